"""Pooling that encoders of images and of sequences share: feature maps or patches in, one vector out."""
