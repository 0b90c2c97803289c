"""SciceVPR and Super-CricaVPR: DINOv2 layers fused, mixed over tokens, pooled in 14 regions, then correlated.

Wan et al., "SciceVPR: Stable Cross-Image Correlation Enhanced Model for Visual Place Recognition", Neurocomputing.
Super-CricaVPR (the teacher) lets each region attend to the same region of the other images of its context; SciceVPR
(the student) learns from it to do without other images. Both are one network here: the student is the case of one
encoder layer and a context of one image.
"""
