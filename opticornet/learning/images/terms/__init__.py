"""Terms of the loss that image encoders learn by. One file per term, one line here."""

from opticornet.utils.registry import Registry

_HERE = "opticornet.learning.images.terms"

LOSS_TERMS: Registry = {
    "ms": f"{_HERE}.multi_similarity:MultiSimilarityOptions",
    "distillation": f"{_HERE}.distillation:DistillationOptions",
    "local": f"{_HERE}.local:LocalOptions",
    "alignment": f"{_HERE}.alignment:AlignmentOptions",
    "contrast": f"{_HERE}.contrast:ContrastOptions",
    "weak": f"{_HERE}.weak:WeakOptions",
}
