"""Which images of which places a batch holds."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from opticornet.datasets.images.digest import below_common_folder, digest_of
from opticornet.datasets.places.place_set import PlaceSet
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class PlaceBatch:
    """K images of each of some places, place by place.

    Attributes:
        rows: (B,) int64 rows of the place set.
        places: (B,) int64 place of each.
    """

    rows: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


class PlaceSampler:
    """Batches of P places with K images each.

    Places of fewer than K images are dropped (:attr:`notes` counts them). An epoch takes each of the others once, in
    an order by which no batch holds two places within ``separation`` of each other; a batch that is left with fewer
    than two places is dropped. Everything that is drawn follows from the seed and the number of the epoch, so that a
    run continues from any batch on without further state.

    Args:
        places: the images and their places.
        places_per_batch: P, at least 2.
        images_per_place: K, at least 2.
        order: "shuffled": places of all groups mixed, anew in each epoch; or "published": as GSV-Cities' loader, which
            FoL and SciceVPR train with: one group after the other, the same in each epoch. There the rows of each
            group's table are shuffled once (NumPy's legacy stream of the seed, group after group) and places come as
            their first rows do.
        choice: "random": other images in each epoch; "first": always those of the lowest rank, as FoL takes the latest
            four.
        seed: of all that is drawn.

    Raises:
        UserError: too few places or images to learn from, or ranks that the place set does not have.
    """

    def __init__(
        self,
        places: PlaceSet,
        places_per_batch: int,
        images_per_place: int,
        order: str = "shuffled",
        choice: str = "random",
        seed: int = 0,
    ) -> None:
        for name, number in (("places_per_batch", places_per_batch), ("images_per_place", images_per_place)):
            if number < 2:
                raise UserError(f"`{name}` {number}: wanted at least 2, of which places are learned by comparison")
        if choice == "first" and places.rank is None:
            raise UserError(f"`place_images` first: {places.name} has no ranks; add a column rank, or choose random")
        if order == "published" and seed >= 2**32:
            raise UserError(f"`seed` {seed}: the published order takes one below 2**32")
        self.places, self.places_per_batch, self.images_per_place = places, places_per_batch, images_per_place
        self.order, self.choice, self.seed = order, choice, seed
        enough = places.counts >= images_per_place
        self.kept = np.flatnonzero(enough)  # (P,) places
        if len(self.kept) < 2:
            raise UserError(
                f"{places.name}: {len(self.kept)} of {len(enough)} places have the {images_per_place} images that "
                "`images_per_place` wants, and two must; take fewer images per place, or add some"
            )
        self._near = _near_places(places, self.kept)
        self._batches_of = lru_cache(maxsize=1)(self._cut)
        if not self.known_batches(0):
            raise UserError(
                f"{places.name}: no two of {len(self.kept)} places are more than {places.separation:g} apart, within "
                "which they may look alike, so that no batch can hold two; correct the separation, or the negative "
                "radius that it comes from, or add places"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the place set, in lines for the user."""
        left_out = np.setdiff1d(np.arange(len(self.places.labels)), self.kept)
        if not len(left_out):
            return ()
        images = int(self.places.counts[left_out].sum())
        return (
            f"{self.places.name}: {len(left_out)} of {len(self.places.labels)} places have fewer than "
            f"{self.images_per_place} images and are left out, with {images} of {len(self.places)} images",
        )

    def batches(self, epoch: int, done: int = 0) -> Iterator[PlaceBatch]:
        """The batches of an epoch, without its first ``done``."""
        groups = self._batches_of(self._number(epoch))[done:]
        if not groups:
            return
        of_place = self._images(epoch)  # (P, K)
        for group in groups:
            yield PlaceBatch(of_place[group].ravel(), np.repeat(self.kept[group], self.images_per_place))

    def known_batches(self, epoch: int) -> int:
        """How many batches an epoch has."""
        return len(self._batches_of(self._number(epoch)))

    def state(self) -> dict[str, Any]:
        """What tells whether a run continues on the same images, with the same batches."""
        return {
            "places": self._places_digest,
            "places_per_batch": self.places_per_batch,
            "images_per_place": self.images_per_place,
            "place_order": self.order,
            "place_images": self.choice,
            "seed": self.seed,
        }

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Make sure that a checkpoint, which ``source`` names, was of the same batches.

        Raises:
            UserError: it was not.
        """
        for name, value in self.state().items():
            if state.get(name) == value:
                continue
            if name == "places":
                raise UserError(
                    f"{source}: trained on other images or places than those of {self.places.name}; put those back, or "
                    "start anew"
                )
            raise UserError(f"{source}: trained with `{name}` {state.get(name)}, and this is {value}; give the same")

    @cached_property
    def _places_digest(self) -> str:
        """Of the images and their places, by name, and of all that batches are drawn by."""
        places = self.places
        digest = hashlib.sha256(digest_of([*below_common_folder(places.images), *places.labels]).encode())
        digest.update(places.place.tobytes())
        for array in (
            places.rank if self.choice == "first" else None,
            places.group if self.order == "published" else None,
            *(self._near or ()),
        ):
            digest.update(b"" if array is None else array.tobytes())
        return digest.hexdigest()

    def _number(self, epoch: int) -> int:
        """The epoch, or 0 where all have the same batches."""
        return 0 if self.order == "published" else epoch

    def _cut(self, epoch: int) -> list[np.ndarray]:
        """Numbers of kept places, (<= P,) each, for each batch."""
        if self.order == "published":
            order = _published_order(self.places, self.kept, self.seed)
        else:
            order = self._generator(epoch, 0).permutation(len(self.kept))
        size = self.places_per_batch
        if self._near is None:
            batches = [order[start : start + size] for start in range(0, len(order), size)]
        else:
            batches = _apart(order, size, *self._near)
        return [batch for batch in batches if len(batch) >= 2]

    def _images(self, epoch: int) -> np.ndarray:
        """(P, K) rows of the images of each kept place."""
        place, count = self.places.place, self.images_per_place
        key = self.places.rank if self.choice == "first" else None
        key = self._generator(epoch, 1).random(len(place)) if key is None else key
        order = np.lexsort((key, place))
        first = np.searchsorted(place[order], self.kept)
        return order[first[:, None] + np.arange(count)]

    def _generator(self, epoch: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch, stream))


def _published_order(places: PlaceSet, kept: np.ndarray, seed: int) -> np.ndarray:
    """(P,) numbers of the kept places, in the order of their first rows in each group's shuffled table."""
    stream = np.random.RandomState(seed)  # as pandas shuffles rows by numpy.random.seed
    group_of_row = places.group[places.place]
    by_group = np.argsort(group_of_row, kind="stable")
    ends = np.cumsum(np.bincount(group_of_row))
    parts = (part[stream.permutation(len(part))] for part in np.split(by_group, ends[:-1]))
    shuffled = places.place[np.concatenate(list(parts))]
    distinct, first = np.unique(shuffled, return_index=True)
    in_order = distinct[np.argsort(first)]
    return np.searchsorted(kept, in_order[np.isin(in_order, kept)])


def _near_places(places: PlaceSet, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The kept places within ``separation`` of each kept place, as offsets and numbers (compressed rows); None: no two
    are."""
    if places.positions is None or not places.separation:
        return None
    from scipy.spatial import cKDTree

    known = np.flatnonzero(np.isfinite(places.positions[kept]).all(axis=1))
    pairs = cKDTree(places.positions[kept[known]]).query_pairs(places.separation, output_type="ndarray")
    if not len(pairs):
        return None
    one, other = known[np.concatenate([pairs, pairs[:, ::-1]])].T
    order = np.lexsort((other, one))
    counts = np.bincount(one, minlength=len(kept))
    return np.concatenate([[0], np.cumsum(counts)]), other[order]


def _apart(order: np.ndarray, size: int, offsets: np.ndarray, near: np.ndarray) -> list[np.ndarray]:
    """Batches of at most ``size`` places in a given order; one that is too near to another of its batch waits for the
    next."""
    batches = []
    waiting = order.tolist()
    while waiting:
        blocked = np.zeros(len(offsets) - 1, bool)
        batch, later = list[int](), list[int]()
        for number, place in enumerate(waiting):
            if len(batch) == size:
                later += waiting[number:]
                break
            if blocked[place]:
                later.append(place)
                continue
            batch.append(place)
            blocked[near[offsets[place] : offsets[place + 1]]] = True
        batches.append(np.array(batch))
        waiting = later
    return batches
