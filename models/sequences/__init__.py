"""What turns a window of frames into one vector: one file per method, one line here.

To add a method, write ``models/sequences/<name>.py`` with a :class:`.base.SequenceEncoder` and its
:class:`.base.SequenceEncoderOptions`, and give the latter a line below; see ``docs/adding-a-method.md``.
"""

from opticornet.utils.registry import Registry

SEQUENCE_ENCODERS: Registry = {
    "single": "opticornet.models.sequences.averages:SingleOptions",
    "smooth": "opticornet.models.sequences.averages:SmoothOptions",
    "delta": "opticornet.models.sequences.averages:DeltaOptions",
    "seqnet": "opticornet.models.sequences.seqnet:SeqNetOptions",
    "dsdnet": "opticornet.models.sequences.dsdnet:DSDNetOptions",
    "delta-lstm": "opticornet.models.sequences.delta_lstm:DeltaLSTMOptions",
    "seqvlad": "opticornet.models.sequences.sta.seqvlad_options:SeqVLADOptions",
    "sta": "opticornet.models.sequences.sta.options:STAOptions",
}
