"""What turns a window of frame descriptors into one vector: one file a method, one line here.

To add a method, write ``models/<name>.py`` with a :class:`models.base.SequenceEncoder` and a ``build`` function, and
add its line to ``SEQUENCE_ENCODERS``.
"""
