"""A seeded simulator of two drives along one route, giving NetVLAD-like frame descriptors without any file.

The world is a route of ``route_m`` metres. What a camera sees at arc length s is a latent vector made of

- ``place``: Gaussian noise smoothed along the route, so that it changes smoothly and tells places apart;
- ``alias``: one of a few scene types per stretch of route, each with a pattern of its own, so that far places
  look alike (perceptual aliasing);
- ``season``: the same smooth noise drawn anew for every drive, in fixed directions: vegetation, light, weather.
  It is strong and says nothing about the place, but its directions come back all along the route, so an
  encoder can learn from the training stretch to ignore them. They may depend on the scene type, as trees, fields and
  houses change in ways of their own (``season_kinds``): then what a season changes differs from place to place, which
  no single covariance of the changes describes;
- ``change``: noise drawn anew for every drive in all directions (parked cars, snow), which nothing can undo.

A fixed offset per drive (the mean look of a season) and noise per frame (viewpoint) are added, and the sum is
turned into D dimensions by one random rotation and brought to unit length. Each drive has its own speed, which
wanders, and stops now and then, so that row i of one drive is not row i of the other.
"""

from dataclasses import dataclass

import numpy as np

from opticornet.datasets.traverse import Dataset, Split, Traverse

GRID_M = 0.5  # the world is made at these steps along the route, and frames lie between them


@dataclass(frozen=True)
class SyntheticParameters:
    """The simulator's settings. Lengths are metres along the route, strengths are standard deviations of
    the whole part's length relative to ``place_strength``.

    Attributes:
        dims: D, descriptor dimensions.
        train_m, val_m, test_m, gap_m: lengths of the three stretches of route and of the gaps between them.
        frame_spacing_m: mean distance between frames.
        speed_variation: standard deviation of the speed's logarithm, wandering over ``speed_memory_frames``.
        stop_probability: chance per frame that the car stops, for ``stop_frames`` frames on average.
        place_dims, place_length_m: directions and correlation length of what tells places apart.
        scene_types, scene_length_m, alias_strength: perceptual aliasing.
        season_dims, season_length_m, season_strength: the learnable part of the condition change.
        season_kinds: sets of directions of seasons, each that of some scene types.
        offset_strength: the mean look of a drive.
        change_length_m, change_strength: the part of the condition change that cannot be learned.
        viewpoint_strength: noise of each frame.
        positive_radius_m, negative_radius_m: of the training split; val and test use ``positive_radius_m``.
    """

    dims: int = 128
    train_m: float = 1600.0
    val_m: float = 500.0
    test_m: float = 900.0
    gap_m: float = 60.0
    frame_spacing_m: float = 2.0
    speed_variation: float = 0.15
    speed_memory_frames: float = 40.0
    stop_probability: float = 0.004
    stop_frames: float = 4.0
    place_dims: int = 48
    place_length_m: float = 5.0
    place_strength: float = 1.0
    scene_types: int = 8
    scene_length_m: float = 40.0
    alias_strength: float = 1.2
    season_dims: int = 24
    season_length_m: float = 8.0
    season_strength: float = 2.2
    season_kinds: int = 1
    offset_strength: float = 1.0
    change_length_m: float = 6.0
    change_strength: float = 1.6
    viewpoint_strength: float = 2.0
    positive_radius_m: float = 5.0
    negative_radius_m: float = 20.0


# 20 000 places, which is data enough to learn from, and a stronger season, of four kinds, in a clearer view.
MANY_PLACES = SyntheticParameters(
    train_m=28_000.0,
    val_m=4_000.0,
    test_m=8_000.0,
    season_kinds=4,
    season_strength=2.8,
    change_strength=0.8,
    viewpoint_strength=1.0,
)


def simulate(seed: int = 0, parameters: SyntheticParameters | None = None, name: str = "synthetic") -> Dataset:
    """Drive the route twice ("reference" and "query") and cut both drives into train, val and test.

    The same seed and parameters give the same bits. Nothing is written.

    Returns:
        A dataset of three splits that share no place: every frame of one split is at least ``gap_m`` along the
        route from every frame of another. Descriptors are float32, positions (N, 2) metres.
    """
    p = parameters or SyntheticParameters()
    rng = np.random.default_rng(seed)
    edges = np.cumsum([0, p.train_m, p.gap_m, p.val_m, p.gap_m, p.test_m])  # train, gap, val, gap, test
    grid_m = np.arange(0.0, edges[-1] + GRID_M, GRID_M)
    world = _World(p, rng, grid_m)
    drives = {side: _simulate_drive(p, rng, world, side) for side in ("reference", "query")}

    splits = {}
    for split, start, stop in (("train", *edges[:2]), ("val", *edges[2:4]), ("test", *edges[4:])):
        reference, query = (
            traverse.cut(*(int(row) for row in np.searchsorted(along_m, (start, stop))))
            for traverse, along_m in drives.values()
        )
        negative = p.negative_radius_m if split == "train" else None
        splits[split] = Split(split, reference, query, p.positive_radius_m, negative)
    return Dataset(name, splits)


class _World:
    """What is the same in every drive: the route's shape and the look of its places, on a grid of arc lengths."""

    def __init__(self, p: SyntheticParameters, rng: np.random.Generator, grid_m: np.ndarray) -> None:
        self.grid_m = grid_m
        steps = len(grid_m)
        # Never turning back, the route does not cross itself, so near positions are near along the route.
        heading = np.tanh(_smooth_noise(rng, steps, 1, 40.0 / GRID_M)[:, 0])
        self.xy_m = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * GRID_M  # (G, 2)

        place = _smooth_noise(rng, steps, p.place_dims, p.place_length_m / GRID_M)
        per_scene = int(p.scene_length_m / GRID_M)
        patterns = _smooth_noise(rng, p.scene_types * per_scene, p.place_dims, p.place_length_m / GRID_M)
        scene = rng.integers(p.scene_types, size=steps // per_scene + 1)
        row = scene[np.arange(steps) // per_scene] * per_scene + np.arange(steps) % per_scene
        look = p.place_strength * place + p.alias_strength * patterns[row]  # (G, place_dims)

        rotation = np.linalg.qr(rng.standard_normal((p.dims, p.dims)))[0]
        self.look = look @ rotation[: p.place_dims] / np.sqrt(p.place_dims)  # (G, D)
        # Seasons act on directions of which half carry places too, so that ignoring them has a price.
        first = p.place_dims - p.season_dims // 2
        others = [_directions(rng, p.season_dims, p.dims) for _ in range(p.season_kinds - 1)]
        self.season_directions = [rotation[first : first + p.season_dims], *others]  # (S, D) for each kind
        self.season_kind = scene[np.arange(steps) // per_scene] % p.season_kinds  # (G,)


def _simulate_drive(
    p: SyntheticParameters, rng: np.random.Generator, world: _World, name: str
) -> tuple[Traverse, np.ndarray]:
    """One drive: its traverse and each frame's arc length in metres, (N,)."""
    grid_m, steps = world.grid_m, len(world.grid_m)
    along_season = _smooth_noise(rng, steps, p.season_dims, p.season_length_m / GRID_M)  # (G, S)
    season = np.empty((steps, p.dims))
    for kind, directions in enumerate(world.season_directions):
        there = world.season_kind == kind
        season[there] = along_season[there] @ directions
    change = _smooth_noise(rng, steps, p.dims, p.change_length_m / GRID_M)
    offset = rng.standard_normal(p.dims)
    scene = (
        world.look
        + p.season_strength / np.sqrt(p.season_dims) * season
        + p.change_strength / np.sqrt(p.dims) * change
        + p.offset_strength / np.sqrt(p.dims) * offset
    )  # (G, D)

    along_m = _arc_lengths(p, rng, grid_m[-1])
    at = along_m / GRID_M
    low = np.minimum(at.astype(np.int64), steps - 2)
    weight = (at - low)[:, None]
    frames = (1 - weight) * scene[low] + weight * scene[low + 1]  # (N, D)
    frames += p.viewpoint_strength / np.sqrt(p.dims) * rng.standard_normal(frames.shape)
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)

    count = len(frames)
    traverse = Traverse(
        name=name,
        descriptors=frames.astype(np.float32),
        positions=(1 - weight) * world.xy_m[low] + weight * world.xy_m[low + 1],
        units="metres",
        bounds=np.tile(np.array([0, count]), (count, 1)),
        source="synthetic",
    )
    return traverse, along_m


def _arc_lengths(p: SyntheticParameters, rng: np.random.Generator, end_m: float) -> np.ndarray:
    """Arc lengths of the frames of one drive, never falling: a wandering speed, and stops."""
    count = int(3 * end_m / p.frame_spacing_m)
    speed = np.exp(p.speed_variation * _smooth_noise(rng, count, 1, p.speed_memory_frames)[:, 0])
    steps_m = p.frame_spacing_m * speed / speed.mean()
    for start in np.flatnonzero(rng.random(count) < p.stop_probability):
        steps_m[start : start + 1 + rng.poisson(p.stop_frames - 1)] = 0.0
    along_m = np.cumsum(steps_m)
    return along_m[along_m <= end_m]


def _smooth_noise(rng: np.random.Generator, count: int, dims: int, length: float) -> np.ndarray:
    """(count, dims) white noise smoothed along the first axis by a Gaussian of ``length`` steps, unit variance."""
    from scipy.ndimage import gaussian_filter1d

    values = gaussian_filter1d(rng.standard_normal((count, dims)), length, axis=0, mode="reflect")
    return values / values.std()


def _directions(rng: np.random.Generator, count: int, dims: int) -> np.ndarray:
    """(count, dims): random orthonormal rows."""
    return np.linalg.qr(rng.standard_normal((dims, count)))[0].T
