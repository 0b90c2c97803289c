"""One extraction: images, what describes them, and everything their descriptors depend on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.descriptors.files import DescriptorFiles
from opticornet.datasets.descriptors.local_files import LocalFiles
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
    def local_shape(self) -> tuple[int, int] | None:
        """(R, C) of the local features that are written of an image; None: none are."""
        if not self.options.local or self.encoder.local_shape is None:
            return None
        rows, channels = self.encoder.local_shape
        return self.options.local_features or rows, channels

    @property
    def local_dtype(self) -> str:
        """Of the local features that are written."""
        return self.options.local_dtype or ("float16" if self.options.local_store or self.options.half else "float32")

    @property
    def local_bytes(self) -> int:
        """That an image's local features take."""
        return int(np.prod(self.local_shape or 0)) * np.dtype(self.local_dtype).itemsize

    @property
    def files(self) -> DescriptorFiles:
        """What is written."""
        options, images = self.options, len(self.source.names)
        output, local = Path(options.output), None
        if self.local_shape and options.local_store:
            local = LocalFiles.in_store(Path(options.local_store), output, images, self.local_bytes)
        elif self.local_shape:
            local = LocalFiles.beside(output, images)
        return DescriptorFiles(output, self.identity(), options.overwrite, local, self.source.digest_of_first)

    @property
    def row_shapes(self) -> list[tuple[int, ...]]:
        """Shape of a row of each array that is written: descriptors and, where asked for, local features."""
        shapes: list[tuple[int, ...]] = [(self.dims,)]
        if self.local_shape:
            shapes.append(self.local_shape)
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
            "local_shape": self.local_shape and list(self.local_shape),
            "local_dtype": self.local_dtype if self.local_shape else None,
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
