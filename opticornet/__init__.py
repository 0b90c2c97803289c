"""Sequence-based visual place recognition."""

import os

# `models`, `datasets` and `utils` are links to the folders of the repository's top level. Where a zip archive was
# unpacked (as torch.hub does) or links are not checked out they are small text files: look for the folders up there.
if not os.path.isdir(os.path.join(__path__[0], "models")):
    __path__.append(os.path.dirname(__path__[0]))
