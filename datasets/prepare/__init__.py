"""Public datasets as dataset folders: one file a source, each with one function ``read``.

A source reads what its authors ship (image names, positions, times, sequences) and says which frames make which
split; ``prepared.py`` writes it down. No image is opened.
"""
