"""FoL: a global descriptor from attention-guided optimal transport, and local features for re-ranking.

Wang et al., "Focus on Local: Finding Reliable Discriminative Regions for Visual Place Recognition", AAAI 2025. Module
names are those of the published checkpoints (``FoL_base.pth``, ``FoL_large.pth``).
"""
