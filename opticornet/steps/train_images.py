"""Step: learn an image encoder from labelled places."""
