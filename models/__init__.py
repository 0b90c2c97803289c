"""What turns a window of frame descriptors into one vector: one file a method, one line here.

To add a method, write ``models/<name>.py`` with a :class:`models.base.SequenceEncoder` and give it a line below.
"""

from collections.abc import Callable
from dataclasses import dataclass

from models.averages import Delta, Single, Smooth
from models.base import SequenceEncoder
from models.delta_lstm import DeltaLSTM
from models.dsdnet import DSDNet
from models.seqnet import SeqNet


@dataclass(frozen=True)
class EncoderSpec:
    """What a method may need to know to be built.

    Attributes:
        in_dims: D, of a frame descriptor.
        out_dims: dimensions of the encoding.
        length: L, frames a window, for the one method whose weights depend on it (delta-lstm).
        w: frames under the convolution's kernel.
        delta, lstm, residual, fusion: parts of dsdnet.
    """

    in_dims: int
    out_dims: int
    length: int
    w: int
    delta: bool = True
    lstm: bool = True
    residual: bool = True
    fusion: str = "concat"


SEQUENCE_ENCODERS: dict[str, Callable[[EncoderSpec], SequenceEncoder]] = {
    "single": lambda spec: Single(spec.in_dims),
    "smooth": lambda spec: Smooth(spec.in_dims),
    "delta": lambda spec: Delta(spec.in_dims),
    "seqnet": lambda spec: SeqNet(spec.in_dims, spec.out_dims, spec.w),
    "dsdnet": lambda spec: DSDNet(
        spec.in_dims,
        spec.out_dims,
        spec.w,
        delta=spec.delta,
        lstm=spec.lstm,
        residual=spec.residual,
        fusion=spec.fusion,
    ),
    "delta-lstm": lambda spec: DeltaLSTM(spec.in_dims, spec.out_dims, spec.length),
}
