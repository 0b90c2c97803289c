"""Published weights: the golden numbers of every original, through one function that reads sizes from the weights."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models as networks

from opticornet.inference.published import PUBLISHED, load_published
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.build import build_image_encoder
from opticornet.models.images.dinov2 import VARIANTS, DinoV2, DinoV2Encoder
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import FoL
from opticornet.models.sequences.delta_lstm import DeltaLSTM
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.models.sequences.sta.options import STAOptions
from opticornet.models.sequences.sta.seqvlad_options import SeqVLADOptions
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

CLOSE = {"rtol": 1e-4, "atol": 2e-6}


@pytest.mark.parametrize(("case", "length"), [("seqnet_s5", 5), ("seqnet_s1", 1)])
def test_seqnet(golden, case, length):
    arrays = golden("seqnet/plain")
    prefix = f"weights_{case}/"
    state = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    network = load_published("seqnet", {"state_dict": state, "epoch": 3})
    found = []
    for traverse in ("dbDesc", "qDesc"):
        frames = arrays[traverse]
        starts = (torch.arange(len(frames)) - length // 2).clamp(0, len(frames) - length)
        found.append(network(frames[starts[:, None] + torch.arange(length)]))
    torch.testing.assert_close(torch.cat(found), arrays[f"{case}/desc"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "pool.0.", "module.", "module.pool.0."])
@pytest.mark.parametrize("case", ["L5_same", "L6_proj", "L4_nores", "L5_two"])
def test_delta_lstm(golden, case, prefix):
    arrays = golden("opticornet/delta")
    start = f"{case}/sd/"
    state = {prefix + key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
    network = load_published("delta-lstm", state)
    torch.testing.assert_close(network(arrays[f"{case}/in_x"]), arrays[f"{case}/out_l2"], rtol=0, atol=1e-5)


def test_delta_lstm_is_told_what_its_weights_do_not_tell(golden):
    arrays = golden("opticornet/delta")
    state = {key[len("L5_same/sd/") :]: value for key, value in arrays.items() if key.startswith("L5_same/sd/")}
    without = DeltaLSTM(16, 16, 5, residual=False)
    without.load_state_dict(state)
    found = load_published("delta-lstm", state, residual=False)(arrays["L5_same/in_x"])
    torch.testing.assert_close(found, without(arrays["L5_same/in_x"]))


@pytest.mark.parametrize("name", ["seqvlad", "st_norel", "st_relTS"])
def test_sta_and_seqvlad_are_built_for_what_their_weights_are(golden, formula_state, name):
    arrays = golden(f"sta/sta_full_{name}")
    state = formula_state(arrays, 1000)
    wrapped = {"epoch_num": 3, "model_state_dict": {f"module.{key}": value for key, value in state.items()}}
    network = load_published("seqvlad" if name == "seqvlad" else "sta", wrapped)
    assert not network.training
    assert network.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert (network.frame_shape, network.out_dims) == ((3, 384, 384), 24576)


def small_sta(relative: str = "temporal", kind: type = STAOptions) -> nn.Module:
    torch.manual_seed(0)
    given = {"sta_dims": 12, "sta_heads": 2, "sta_layers": 1, "sta_clusters": 3, "sta_image_size": (64, 64)}
    given |= {"sta_relative": relative} if kind is STAOptions else {}
    return kind(**given).build(0, 5).eval()


@torch.no_grad()
def test_sta_takes_a_part_an_image_size_and_windows_of_other_lengths():
    network, windows = small_sta(), torch.randn(2, 7, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    state = network.state_dict()
    assert torch.equal(load_published("sta", state)(windows), network(windows))
    spatial = load_published("sta", state, part="spatial")
    assert not any(key.startswith("encoder.temporal.") for key in spatial.state_dict())
    described = network.describe_frames(windows.flatten(0, 1))[:, 0].unflatten(0, (2, 7))
    torch.testing.assert_close(spatial(windows), network.aggregator(described))
    larger = load_published("sta", state, image_size=(80, 96))
    assert (larger.preprocess.size, larger.grid) == ((80, 96), (5, 6))
    assert larger(torch.zeros(1, 2, 3, 80, 96)).shape == (1, 36)


def test_what_cannot_be_read_of_sta_is_asked_for_by_its_name():
    state = small_sta("none").state_dict()
    with pytest.raises(UserError, match=r"^`heads`: give the number of attention heads, as 12 channels are no mult"):
        load_published("sta", state)
    assert load_published("sta", state, heads=2).encoder.temporal.blocks[0].self_attn.heads == 2
    with pytest.raises(UserError, match="`heads` 0: wanted a whole number of at least 1"):
        load_published("sta", state, heads=0)
    with pytest.raises(UserError, match="`image_size`: images of 60 x 64 pixels give no whole grid"):
        load_published("sta", state, heads=2, image_size=(60, 64))
    for size in (96, (96,), "64x64", (64, 64, 3)):
        with pytest.raises(UserError, match=r"^`image_size` .*: wanted height and width in pixels$"):
            load_published("sta", state, heads=2, image_size=size)
    with pytest.raises(UserError, match=r"^`heads` 3 contradicts 2 in the state dict; leave it out$"):
        load_published("sta", small_sta().state_dict(), heads=3)
    with pytest.raises(UserError, match="`part` all: choose one of both, spatial, temporal"):
        load_published("sta", state, heads=2, part="all")


@pytest.mark.parametrize(("asked", "held"), [("sta", SeqVLADOptions), ("seqvlad", STAOptions)])
def test_weights_of_the_other_of_sta_and_seqvlad_are_refused_in_one_line(asked, held):
    with pytest.raises(UserError, match=r"missing \(first: encoder\..*unexpected \(first: encoder\.") as error:
        load_published(asked, small_sta("none", held).state_dict(), heads=2)
    assert "\n" not in str(error.value)


def test_the_imagenet_network_is_no_trained_sta():
    network = small_sta().encoder.spatial
    with pytest.raises(UserError, match="does not fit sta: it is the classification network that training starts from"):
        load_published("sta", network.state_dict(), heads=2)


def vgg_formula(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    z = torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))
    if key == "pool.centroids":
        return 0.1 * z
    if key == "pool.conv.weight":
        return 10 * z
    return 0.1 * z if len(shape) == 1 else z * (2 / np.prod(shape[1:])) ** 0.5


def test_netvlad(golden, tmp_path):
    arrays = golden("netvlad/netvlad")
    state = {
        str(key): vgg_formula(str(key), tuple(map(int, str(shape).split("x"))), int(arrays["full/base"]) + number)
        for number, (key, shape) in enumerate(zip(arrays["full/keys"], arrays["full/shapes"], strict=True))
    }
    torch.save({"epoch": 30, "state_dict": state}, tmp_path / "WPCA32.pth.tar")
    draw = np.random.RandomState(int(arrays["full/in_seed"])).standard_normal(tuple(arrays["full/in_shape"].tolist()))
    images = torch.from_numpy(draw.astype(np.float32))
    with torch.inference_mode():
        found = load_published("netvlad", tmp_path / "WPCA32.pth.tar")(images)
        torch.testing.assert_close(found, arrays["full/out_wpca"], **CLOSE)
        plain = {key: value for key, value in state.items() if not key.startswith("WPCA.")}
        torch.testing.assert_close(
            load_published("netvlad", plain)(images)[:, ::16], arrays["full/out_vlad_sub"], **CLOSE
        )


def test_the_head_of_netvlad_alone(golden):
    arrays = golden("netvlad/netvlad")
    state = {key[len("layer/sd/") :]: value for key, value in arrays.items() if key.startswith("layer/sd/")}
    features = arrays["layer/in_x"]
    torch.testing.assert_close(load_published("netvlad", state)(features), arrays["layer/out_wpca"], **CLOSE)
    plain = {key: value for key, value in state.items() if key.startswith("pool.")}
    torch.testing.assert_close(load_published("netvlad", plain)(features), arrays["layer/out_vlad"], **CLOSE)


@torch.inference_mode()
def test_fol(golden, formula_state, normal):
    arrays = golden("fol/fol_net_test322")
    state = formula_state(arrays, 5000)
    state["backbone.model.blocks.5.attn.qkv.weight"] *= 3
    network = load_published(
        "fol", {"model_state_dict": {f"module.{key}": value for key, value in state.items()}}, heads=4
    )
    images = normal(40, 2, 3, 322, 322)
    torch.testing.assert_close(network(images), arrays["out_desc"], **CLOSE)
    with_local = load_published("fol", state, heads=4, local=True)
    assert not with_local.training
    descriptors, local = with_local(images)
    torch.testing.assert_close(descriptors, arrays["out_desc"], **CLOSE)
    assert tuple(local.shape) == tuple(arrays["out_local_shape"].tolist())
    torch.testing.assert_close(local[:, arrays["out_local_rows"]], arrays["out_local_sub"], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_fol_of_any_size(fill, normal):
    aggregator = GuidedAggregator(24, clusters=6, cluster_dim=5, token_dim=4, hidden=16)
    stored = fill(FoL(DinoV2(24, 3, 3, trained_size=70), aggregator, local_dims=(12, 7), image_size=None), 1)
    images = normal(2, 2, 3, 238, 294)
    found = load_published("fol", stored.state_dict(), heads=3, local=True)(images)
    for mine, theirs in zip(found, stored.forward_with_local(images), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert found[1].shape == (2, 3600, 7)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"aggregator.score.3.weight": None}, {}, "does not fit fol: it has no aggregator.score.3.weight"),
        ({"upconv2.bias": None}, {}, r"1 missing \(first: upconv2.bias\)"),
        ({"upconv.weight": (23, 12, 3, 3)}, {}, r"mismatching \(first: upconv.weight is \(23, 12, 3, 3\), wan"),
        ({}, {"heads": 5}, "`heads` 5: wanted a divisor of the 24 channels"),
        ({}, {"heads": None}, "`heads` cannot be read from the state dict: its 24 channels are no multiple of 64"),
    ],
)  # fmt: skip
def test_fol_that_does_not_fit(changes, options, message):
    state = FoL(DinoV2(24, 1, 3, 28), GuidedAggregator(24, 6, 5, 4, 16), local_dims=(12, 7)).state_dict()
    changed = {key: torch.zeros(shape) for key, shape in changes.items() if shape}
    state = {key: value for key, value in (state | changed).items() if key not in changes or key in changed}
    with pytest.raises(UserError, match=message) as error:
        load_published("fol", state, **{"heads": 3} | options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["scicevpr", "super-cricavpr"])
@torch.inference_mode()
def test_scicevpr_and_its_teacher(golden, formula_state, normal, method):
    arrays = golden(f"scicevpr/scice_{method.replace('-', '_')}_full_tiny")
    network = load_published(method, formula_state(arrays, 3000), layers=(3, 0, 1), heads=2)
    torch.testing.assert_close(network(normal(27, 2, 3, 224, 224)), arrays["out_y"], **CLOSE)


@pytest.mark.parametrize("method", ["scicevpr", "super-cricavpr"])
@torch.inference_mode()
def test_the_head_of_scicevpr_alone(golden, state_of, method):
    arrays = golden(f"scicevpr/scice_{method.replace('-', '_')}_head")
    network, features = load_published(method, state_of(arrays)), arrays["in_x"]
    torch.testing.assert_close(network(features), arrays["out_y"], **CLOSE)
    torch.testing.assert_close(network(features[:1]), arrays["out_y_first_alone"], **CLOSE)


@torch.inference_mode()
def test_images_that_attend_to_one_another_are_chosen(golden, formula_state, state_of, normal):
    arrays = golden("scicevpr/scice_super_cricavpr_head")
    alone = load_published("super-cricavpr", state_of(arrays), context=1)(arrays["in_x"])
    torch.testing.assert_close(alone[:1], arrays["out_y_first_alone"], **CLOSE)
    assert (alone - arrays["out_y"]).abs().max() > 1e-3
    arrays = golden("scicevpr/scice_super_cricavpr_tn2_formula")  # two mixers, a batch of four
    network = load_published("super-cricavpr", formula_state(arrays, 2500))
    torch.testing.assert_close(network(normal(23, 4, 24, 16, 16)), arrays["out_y"], **CLOSE)


@pytest.mark.parametrize("pool", ["cls", "gem"])
@torch.inference_mode()
def test_dinov2_of_any_size(fill, normal, pool):
    stored = fill(DinoV2Encoder(128, 3, 2, pool=pool, image_size=(56, 56), trained_size=56), 1)
    images = normal(2, 2, 3, 42, 56)
    found = load_published("dinov2_vits14", stored.state_dict(), pool=pool)
    torch.testing.assert_close(found(images), stored(images))


@pytest.mark.parametrize("method", ["resnet18", "vgg16"])
@torch.inference_mode()
def test_backbones_leave_their_classifier_out(normal, method):
    torch.manual_seed(0)
    whole = getattr(networks, method)(weights=None).eval()
    images = normal(2, 2, 3, 64, 64)
    if method == "resnet18":
        features = torch.nn.Sequential(*list(whole.children())[:-2])(images)
    else:
        features = whole.features[:-1](images)
    wanted = torch.nn.functional.normalize(features.amax((2, 3)))
    torch.testing.assert_close(load_published(method, whole.state_dict(), pool="gmp")(images), wanted)


@pytest.mark.parametrize("method", ["resnet18", "dinov2_vits14"])
@torch.inference_mode()
def test_trained_clusters_are_counted(normal, method):
    stored = build_image_encoder(method, weights="random", pool="netvlad", vlad_clusters=3)
    images = normal(2, 1, 3, 56, 56)
    found = load_published(method, stored.state_dict(), pool="netvlad")
    torch.testing.assert_close(found(images), stored(images))


@pytest.mark.parametrize(("variant", "method"), [("vits14", "dinov2_vits14"), ("vitb14", "dinov2_vitb14")])
def test_published_sizes_have_the_published_heads(variant, method):
    dim, depth, heads = VARIANTS[variant]
    with torch.device("meta"):
        state = DinoV2Encoder(dim, depth, heads, pool="cls", image_size=(224, 224)).state_dict()
    network = load_published(method, {key: value.new_empty(value.shape, device="cpu") for key, value in state.items()})
    assert (network.dim, len(network.blocks), network.blocks[0].attn.num_heads) == (dim, depth, heads)


def test_a_network_is_its_own_and_ready(tmp_path):
    stored = SeqNet(4, 6, 3)
    state = {key: value.half() for key, value in stored.state_dict().items()}
    network = load_published("seqnet", state)
    assert not network.training
    assert (network.in_dims, network.out_dims, network.min_length) == (4, 6, 3)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    before = {key: value.clone() for key, value in state.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    assert all(torch.equal(state[key], value) for key, value in before.items())
    torch.save({"state_dict": stored.state_dict()}, tmp_path / "s.pth.tar")
    windows = torch.randn(2, 5, 4)
    torch.testing.assert_close(load_published("seqnet", str(tmp_path / "s.pth.tar"))(windows), stored(windows))


STATE = SeqNet(4, 6, 3).state_dict()


@pytest.mark.parametrize(
    ("method", "given", "options", "message"),
    [
        ("netvlat", STATE, {}, r"unknown method 'netvlat' \(did you mean netvlad\?\): choose one of seqnet, "),
        ("dsdnet", STATE, {}, "unknown method 'dsdnet'"),
        ("seqnet", STATE, {"w": 3}, "unknown option 'w' of seqnet: it has none"),
        ("fol", STATE, {"head": 3}, r"unknown option 'head' of fol \(did you mean heads\?\): it has size, heads, lo"),
        ("resnet18", STATE, {"network": "vgg16"}, "unknown option 'network' of resnet18: it has pool"),
        ("seqnet", 3, {}, "`file_or_state_dict` int: wanted a path or a state dict"),
        ("seqnet", "nowhere.pth", {}, "no weights at nowhere.pth"),
        ("seqnet", {"epoch": 3}, {}, "the state dict holds no state dict"),
        ("seqnet", {"a": torch.ones(1)}, {}, "the state dict does not fit seqnet: it has no pool.0.conv.weight"),
        ("seqnet", STATE | {"pool.0.conv.weight": torch.ones(3)}, {}, r"pool.0.conv.weight is \(3,\), wanted 3 dim"),
        ("seqnet", {"pool.0.conv.weight": torch.ones(6, 4, 3)}, {}, r"1 missing \(first: pool.0.conv.bias\)"),
        ("seqnet", STATE | {"x": torch.ones(1)}, {}, r"1 unexpected \(first: x\)"),
        ("resnet18", STATE, {}, "the state dict does not fit"),
    ],
)  # fmt: skip
def test_what_does_not_fit(method, given, options, message):
    with pytest.raises(UserError, match=message) as error:
        load_published(method, given, **options)
    assert "\n" not in str(error.value)


def test_an_unknown_pooling():
    with pytest.raises(UserError, match="resnet18: pool must be gem, gmp, avg, grid or netvlad, got 'cls'"):
        load_published("resnet18", networks.resnet18(weights=None).state_dict(), pool="cls")


@pytest.mark.parametrize(
    ("dim", "depth", "changes", "options", "message"),
    [
        (
            32,
            1,
            {},
            {},
            r"`heads` cannot be read from the state dict: its 32 channels .* give dinov2_vits14 .* heads=N",
        ),
        (32, 1, {}, {"heads": 5}, "`heads` 5: wanted a divisor of the 32 channels"),
        (32, 1, {}, {"heads": 0}, "`heads` 0: wanted a whole number of at least 1"),
        (64, 1, {}, {"pool": "max"}, "dinov2_vits14: pool must be cls, gem, .* got 'max'"),
        (768, 12, {}, {}, "it holds a DINOv2 of size vitb14, wanted vits14"),
        (64, 1, {"pos_embed": (1, 4, 64)}, {}, "pos_embed has 4 positions in 1 blocks: no DINOv2"),
        (64, 1, {"register_tokens": (1,)}, {}, r"1 unexpected \(first: register_tokens\)"),
    ],
)
def test_transformers_that_do_not_fit(dim, depth, changes, options, message):
    with torch.device("meta"):
        layout = DinoV2Encoder(dim, depth, 1, pool="cls", image_size=(28, 28), trained_size=28).state_dict()
    shapes = {key: tuple(value.shape) for key, value in layout.items()} | changes
    with pytest.raises(UserError, match=message):
        load_published("dinov2_vits14", {key: torch.empty(shape) for key, shape in shapes.items()}, **options)


def test_scicevpr_that_does_not_fit(golden, state_of, formula_state):
    arrays = golden("scicevpr/scice_super_cricavpr_head")
    with pytest.raises(UserError, match="2 encoder layers, wanted 1"):
        load_published("scicevpr", state_of(arrays))
    with pytest.raises(UserError, match="`context` 0: wanted a whole number"):
        load_published("super-cricavpr", state_of(arrays), context=0)
    whole = formula_state(golden("scicevpr/scice_scicevpr_full_tiny"), 3000)
    for layers in ((0, 1), (1, 2, 4), 3):
        with pytest.raises(UserError, match=r"`layers` .* fuses 3 of the blocks 0 to 3"):
            load_published("scicevpr", whole, layers=layers, heads=2)


class Trap:
    def __reduce__(self):
        return print, ("code of the checkpoint ran",)


def test_no_code_of_a_checkpoint_is_run(tmp_path, capsys):
    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth.tar")
    for name in ("trap.pth", "trap.pth.tar"):
        with pytest.raises(UserError, match="is not a checkpoint of tensors"):
            load_published("seqnet", tmp_path / name)
    assert "ran" not in capsys.readouterr().out


def test_every_image_encoder_with_published_weights_has_a_line():
    published = {name for name in IMAGE_ENCODERS if entry(IMAGE_ENCODERS, name).published}
    assert published == set(PUBLISHED) & set(IMAGE_ENCODERS)
