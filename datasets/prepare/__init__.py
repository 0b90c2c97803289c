"""Public datasets, or one's own drives, as dataset folders.

``sources/`` reads the layouts that datasets have, ``drives/`` what says when and where one's own images were taken, and
``tracks/`` the formats of where a camera was. All give what ``prepared.py`` describes; ``writing.py`` writes it down.
"""
