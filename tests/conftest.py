"""Fixtures every test may use, among them weights and inputs of the golden numbers, made from their formulas."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from opticornet.options.registries import REGISTRIES

if TYPE_CHECKING:
    from opticornet.models.images.trainable import TrainableImageEncoder
    from opticornet.models.sequences.sta.encoder import STA

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and golden numbers beside the checkout; the test is skipped where there is none."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("real data and golden numbers (../shared) are not on this machine")
    return folder


@pytest.fixture
def nordland(shared, tmp_path) -> Path:
    """A dataset folder over the real Nordland descriptors, split as their README says."""
    folder = tmp_path / "nordland-1k"
    folder.mkdir()
    for season in ("summer", "winter"):
        (folder / f"{season}.npy").write_bytes((shared / "data" / "nordland-1k" / f"{season}.npy").read_bytes())
    lines = ['name = "nordland-1k"', 'units = "frames"']
    lines += [f'[traverses.{season}]\ndescriptors = "{season}.npy"' for season in ("summer", "winter")]
    for split, start, stop in (("train", 0, 600), ("val", 620, 780), ("test", 800, 1000)):
        lines += [
            f"[splits.{split}]",
            'reference = "summer"\nquery = "winter"',
            f"reference_rows = [{start}, {stop}]\nquery_rows = [{start}, {stop}]",
            "positive_radius = 1\nnegative_radius = 5",
        ]
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture
def gsv_cities(tmp_path) -> Path:
    """A folder as GSV-Cities is shipped, of JPEGs of 32 x 24: places 3, 4, ... of Boston (5 of them), Medellin (4) and
    London (6), numbered alike in all, with 4 to 6 images each but for place 3 of London, which has 3. Images of a place
    show one pattern, with noise of their own: 72 images of 15 places."""
    from PIL import Image

    generator = np.random.default_rng(0)
    root = tmp_path / "GSV-Cities"
    (root / "Dataframes").mkdir(parents=True)
    for city, places, lat, lon in (
        ("Boston", 5, 42.35, -71.06),
        ("Medellin", 4, 6.25, -75.5),
        ("London", 6, 51.5, 0.1),
    ):
        folder = root / "Images" / city
        folder.mkdir(parents=True)
        rows = ["place_id,year,month,northdeg,city_id,lat,lon,panoid"]
        for place in range(3, 3 + places):
            pattern = np.kron(generator.integers(30, 225, (3, 4, 3)), np.ones((8, 8, 1)))
            for number in range(3 if (city, place) == ("London", 3) else 4 + place % 3):
                year, month, degrees = 2010 + number % 4, 1 + place % 12, 37 * number
                at = (round(lat + place / 100, 6), round(lon - place / 100 + number / 1e5, 7))
                name = f"{city}_{place:07d}_{year}_{month:02d}_{degrees:03d}_{at[0]}_{at[1]}_p-{place}_{number}.jpg"
                pixels = pattern + generator.normal(0, 8, pattern.shape)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
                rows.append(f"{place},{year},{month},{degrees},{city},{at[0]},{at[1]},p-{place}_{number}")
        (root / "Dataframes" / f"{city}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def registries_as_before() -> Iterator[None]:
    """Every registry holds after a test what it held before, whatever plugins it loaded."""
    before = {name: dict(registry) for name, registry in REGISTRIES.items()}
    yield
    for name, entries in before.items():
        REGISTRIES[name].clear()
        REGISTRIES[name].update(entries)


@pytest.fixture
def tiny_sta() -> Callable[[], "STA"]:
    """Makes an STA of a few weights, always the same ones: two spatial blocks and a temporal one, images of 16 x 24."""
    from opticornet.models.sequences.sta.encoder import STA
    from opticornet.models.sequences.sta.sizes import Sizes

    def make() -> STA:
        torch.manual_seed(0)
        return STA(Sizes(12, 2, 1, heads=2, clusters=3, grid=(4, 6), kernel=3), (16, 24))

    return make


@pytest.fixture
def tiny_image_encoder() -> Callable[..., "TrainableImageEncoder"]:
    """Makes an image encoder that learns, always of the same weights: a stem, three blocks, dropout and a head of
    numbers (16 x 24 pixels by default)."""
    from opticornet.models.images.base import Preprocess, load_state
    from opticornet.models.images.trainable import Described, TrainableImageEncoder

    class Tiny(TrainableImageEncoder):
        def __init__(self, out_dims: int, dropout: float, image_size: tuple[int, int]) -> None:
            super().__init__()
            self.backbone = torch.nn.ModuleList(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
            self.dropout = torch.nn.Dropout(dropout)
            self.head = torch.nn.Conv2d(3, out_dims, 4, stride=4)
            self.out_dims, self.preprocess, self.first_trained = out_dims, Preprocess(image_size), 3

        def train_blocks(self, count: int) -> None:
            if count > 3:
                raise ValueError("it has 3 blocks")
            self.first_trained = 3 - count
            self.backbone.requires_grad_(False)
            self.backbone[self.first_trained :].requires_grad_(True)

        def load_backbone(self, state, source) -> None:
            load_state(self.backbone, state, source)

        def run(self, images, start, stop):
            for block in self.backbone[start:stop]:
                images = images + block(images).relu()
            return images

        def frozen(self, images):
            return self.run(images, 0, self.first_trained)

        def describe(self, frozen, size):
            assert frozen.shape[-2:] == size
            features = self.head(self.dropout(self.run(frozen, self.first_trained, 3)))
            return Described(torch.nn.functional.normalize(features.mean((2, 3)).float(), dim=1))

    def make(out_dims: int = 6, dropout: float = 0.0, image_size: tuple[int, int] = (16, 24)) -> Tiny:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Tiny(out_dims, dropout, image_size)

    return make


@pytest.fixture
def two_threads() -> Iterator[None]:
    """PyTorch computes with two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _by_formula(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    z = np.random.RandomState(seed).standard_normal(shape)
    last = key.rsplit(".", 1)[-1]
    if last in ("pos_embed", "cls_token", "mask_token", "positional_emb", "rel_pos_h", "rel_pos_w", "rel_pos_t"):
        value = 0.5 * z
    elif last == "centroids":
        value = 0.3 * z
    elif key.endswith("aggregator.conv.weight"):
        value = z
    elif last == "gamma":
        value = 0.5 + 0.1 * z
    elif last == "p":
        value = 3 + 0.1 * z
    elif len(shape) == 1:
        value = 0.1 * z + (last == "weight")
    else:
        value = z / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(value.astype(np.float32))


@pytest.fixture(scope="session")
def fill():
    """fill(model, base): load the formula weights numbered from `base`; returns the model in eval mode."""

    def load(model: torch.nn.Module, base: int) -> torch.nn.Module:
        own = model.state_dict()
        model.load_state_dict(
            {key: _by_formula(key, tuple(own[key].shape), base + number) for number, key in enumerate(sorted(own))}
        )
        return model.eval()

    return load


@pytest.fixture(scope="session")
def formula_state():
    """formula_state(arrays, base): the state dict of the names and shapes that a golden file lists."""

    def make(arrays: dict[str, torch.Tensor | np.ndarray], base: int) -> dict[str, torch.Tensor]:
        layout = sorted(zip(map(str, arrays["keys"]), map(str, arrays["shapes"]), strict=True))
        return {
            key: _by_formula(key, tuple(map(int, shape.split("x"))), base + number)
            for number, (key, shape) in enumerate(layout)
        }

    return make


@pytest.fixture(scope="session")
def normal():
    """normal(seed, *shape): standard normal float32 numbers of the frozen stream."""

    def draw(seed: int, *shape: int) -> torch.Tensor:
        return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))

    return draw


@pytest.fixture(scope="session")
def golden(shared):
    """golden("fol/fol_ot"): the arrays of that file by name, floats and integers as tensors."""

    def load(name: str) -> dict[str, torch.Tensor | np.ndarray]:
        with np.load(shared / "golden" / f"{name}.npz", allow_pickle=False) as file:
            return {
                key: file[key] if file[key].dtype.kind == "U" else torch.from_numpy(file[key]) for key in file.files
            }

    return load


@pytest.fixture(scope="session")
def state_of():
    """state_of(arrays): the state dict a golden file stores under `sd/`."""

    def select(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key.removeprefix("sd/"): value for key, value in arrays.items() if key.startswith("sd/")}

    return select


@pytest.fixture(scope="session")
def layout():
    """layout(model): names and shapes of a model's state dict, as the golden key files write them."""

    def describe(model: torch.nn.Module) -> dict[str, str]:
        return {key: "x".join(map(str, value.shape)) for key, value in model.state_dict().items()}

    return describe


@pytest.fixture
def write_bag():
    """write_bag(path, "bag", {topic: messages}): its path. A message is (recorded, stamp, ...) in nanoseconds and

    - encoding, pixels: of an image; an encoding "jpeg" or "png" and bytes make it a compressed one;
    - latitude, longitude, status: a fix;
    - x, y, z: the position of an odometry message.
    """
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Writer2
    from rosbags.typesys import Stores, get_typestore

    def write(path, kind, topics):
        path.parent.mkdir(parents=True, exist_ok=True)
        store = get_typestore(Stores.ROS1_NOETIC if kind == "bag" else Stores.ROS2_HUMBLE)
        if kind == "bag":
            path = path.with_name(f"{path.name}.bag")
            writer, encode = Writer1(path), store.serialize_ros1
        else:
            plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
            writer, encode = Writer2(path, version=9, storage_plugin=plugin), store.serialize_cdr
        with writer:
            for topic, messages in topics.items():
                made = [_message(store, kind == "bag", *rest) for _, *rest in messages]
                connection = writer.add_connection(topic, made[0].__msgtype__, typestore=store)
                for (recorded, *_), message in zip(messages, made, strict=True):
                    writer.write(connection, recorded, encode(message, message.__msgtype__))
        return path

    return write


def _message(store, ros1, stamp, *content):
    def new(kind, **fields):
        return store.types[kind](**fields)

    time = new("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    header = new("std_msgs/msg/Header", stamp=time, frame_id="f", **({"seq": 0} if ros1 else {}))
    if isinstance(content[0], str):
        encoding, pixels = content
        if encoding in ("jpeg", "png"):
            return new("sensor_msgs/msg/CompressedImage", header=header, format=encoding, data=pixels)
        return new(
            "sensor_msgs/msg/Image",
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels[0].nbytes,
            data=np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8),
        )
    if isinstance(content[-1], int):
        latitude, longitude, status = content
        return new(
            "sensor_msgs/msg/NavSatFix",
            header=header,
            status=new("sensor_msgs/msg/NavSatStatus", status=status, service=1),
            latitude=latitude,
            longitude=longitude,
            altitude=0.0,
            position_covariance=np.zeros(9),
            position_covariance_type=0,
        )
    zeros = {"x": 0.0, "y": 0.0, "z": 0.0}
    place = new("geometry_msgs/msg/Point", **dict(zip("xyz", content, strict=True)))
    turn = new("geometry_msgs/msg/Quaternion", **zeros, w=1.0)
    pose = new("geometry_msgs/msg/Pose", position=place, orientation=turn)
    still = new("geometry_msgs/msg/Vector3", **zeros)
    return new(
        "nav_msgs/msg/Odometry",
        header=header,
        child_frame_id="b",
        pose=new("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
        twist=new(
            "geometry_msgs/msg/TwistWithCovariance",
            twist=new("geometry_msgs/msg/Twist", linear=still, angular=still),
            covariance=np.zeros(36),
        ),
    )
