"""One extraction: images, what describes them, and everything their descriptors depend on."""

from dataclasses import asdict, dataclass
from typing import Any

from opticornet.datasets.images.sources import ImageFiles, ImageSource
from opticornet.models.images.base import ImageEncoder
from opticornet.models.images.pca import Projection
from opticornet.options.modes import ExtractOptions


@dataclass(frozen=True)
class ExtractionJob:
    """The images of one source, and what turns them into rows.

    Attributes:
        options: with ``images`` and ``output`` of this source.
        source: the images.
        encoder: describes them.
        projection: of its descriptors; None: none.
    """

    options: ExtractOptions
    source: ImageSource
    encoder: ImageEncoder
    projection: Projection | None

    @property
    def dims(self) -> int:
        """D of the descriptors that are written."""
        return len(self.projection.components) if self.projection else self.encoder.out_dims

    @property
    def row_shapes(self) -> list[tuple[int, ...]]:
        """Shape of a row of each array that is written: descriptors and, where asked for, local features."""
        shapes: list[tuple[int, ...]] = [(self.dims,)]
        if self.options.local and self.encoder.local_shape is not None:
            shapes.append(self.encoder.local_shape)
        return shapes

    def identity(self) -> dict[str, Any]:
        """Everything a descriptor depends on, in JSON's types: two runs that agree in it write the same rows."""
        options, encoder, projection = self.options, self.encoder, self.projection
        levels = self.source.levels if isinstance(self.source, ImageFiles) else None
        own = _json_values(vars(options.part("desc_type")))
        more = {name: value for name, value in own.items() if name not in ("pool", "image_size")}
        preprocess = _json_values(asdict(encoder.preprocess))
        cropped = {"crop": list(options.crop)} if options.crop else {}
        return {
            "encoder": options.desc_type,
            "pool": own.get("pool"),
            **({"options": more} if more else {}),
            "weights": asdict(encoder.weights),
            "preprocess": {"kind": type(encoder.preprocess).__name__} | preprocess | cropped,
            "projection": projection
            and {"dims": len(projection.components), "whiten": projection.whiten, "fitted_on": projection.fitted_on},
            "dims": self.dims,
            "dtype": "float16" if options.half else "float32",
            "amp": options.amp,
            "local_shape": list(encoder.local_shape) if options.local and encoder.local_shape else None,
            "images": {
                "count": len(self.source.names),
                "fps": options.fps or None,
                "bayer": options.bayer or None,
                "range": list(levels) if levels else None,
                "sha256": self.source.digest,
            },
        }


def _json_values(fields: dict[str, Any]) -> dict[str, Any]:
    """The same with lists for tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}
