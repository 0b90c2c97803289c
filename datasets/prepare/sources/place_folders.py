"""A folder per place, of a camera or a clip for instance, perhaps in folders of groups::

<root>/<place>/*.jpg
<root>/<group>/<place>/*.jpg
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from opticornet.datasets.prepare.image_folder import absolute, images_in
from opticornet.datasets.prepare.labelled import PlaceSource, SourceImages, regular
from opticornet.datasets.prepare.prepared import Prepared
from opticornet.utils.errors import UserError
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class PlaceFolders(PlaceSource):
    """``place-folders``: a folder per place."""

    group_depth: int = option(
        "--groupDepth", 1, "folders of an image's path that name its group; 0: there is one group"
    )
    place_pattern: str = option(
        "--placePattern", "", "regular expression whose one group in brackets is the place in an image's path"
    )

    def read(self, root: Path) -> Prepared:
        """Every folder that holds images is a place, named by its path below ``root``; images in natural order.

        Args:
            group_depth: as many of the outermost folders, no more than there are, are the group: with 1 the place
                itself where places lie in ``root``.
            place_pattern: the place is what its group finds in the path below ``root``, of one group alone.

        Raises:
            UserError: no images, images outside of any folder, or that the pattern does not fit.
        """
        inside = images_in(root)
        folders = [PurePosixPath(image).parent.as_posix() for image in inside.images]
        if "." in folders:
            image = inside.images[folders.index(".")]
            raise UserError(f"{root}: the image {image} lies in no folder; wanted one folder per place")
        group = ["/".join(folder.split("/")[: self.group_depth]) for folder in folders]
        place = folders
        if self.place_pattern:
            found = places_in_names("place_pattern", self.place_pattern, str(root), inside.images)
            place = [f"{of}/{name}" if of else name for of, name in zip(group, found, strict=True)]
        images = SourceImages(str(root), absolute(root, inside.images), inside.images, np.array(place), np.array(group))
        return self.prepared(images, inside.notes(str(root)))


def places_in_names(option: str, text: str, where: str, names: tuple[str, ...]) -> list[str]:
    """What the one group of a regular expression finds in each name.

    Raises:
        UserError: it is no such expression, or some names do not fit.
    """
    pattern = regular(option, text, groups=1)
    found = [match[1] if (match := pattern.search(name)) else None for name in names]
    if missing := [name for name, place in zip(names, found, strict=True) if not place]:
        raise UserError(
            f"{where}: `{option}` {text!r} finds no place in {len(missing)} of {len(names)} names, first {missing[0]}"
        )
    return [place for place in found if place]
