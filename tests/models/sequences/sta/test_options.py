"""The options of SeqVLAD and STA: what they leave open, and what published files decide."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from opticornet.models.images.cct import CCT, Attention, Tokenizer, Transformer
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.sequences.sta.encoder import STA, SeqVLADEncoder
from opticornet.models.sequences.sta.options import STAOptions
from opticornet.models.sequences.sta.seqvlad_options import SeqVLADOptions
from opticornet.utils.checkpoints import build_empty
from opticornet.utils.errors import UserError
from opticornet.utils.files import sha256

SMALL = {
    "sta_dims": 12,
    "sta_layers": 1,
    "sta_heads": 2,
    "sta_clusters": 3,
    "sta_kernel": 3,
    "sta_image_size": (32, 48),
}


def saved(tmp_path, state, name="weights.pth") -> str:
    torch.save(state, tmp_path / name)
    return str(tmp_path / name)


@pytest.fixture
def published(tmp_path):
    """published(kind, **options): a file of such an encoder's weights, and the encoder."""

    def make(kind=STAOptions, length=5, **options):
        encoder = kind(**SMALL | options).build(0, length)
        return saved(tmp_path, encoder.state_dict()), encoder

    return make


@pytest.fixture
def imagenet(tmp_path) -> tuple[str, CCT]:
    """A classification network as its authors save it: three blocks, positions of a grid of 8 x 8, a classifier."""
    stack = Transformer(12, [Attention(12, 2) for _ in range(3)], (8, 8))
    network = CCT(Tokenizer(12, 3), stack)
    classes = {"classifier.fc.weight": torch.zeros(5, 12), "classifier.fc.bias": torch.zeros(5)}
    return saved(tmp_path, network.state_dict() | classes, "cct.pth"), network


@pytest.fixture
def backbone(tmp_path) -> str:
    """A small transformer of DINOv2's kind, as timm saves it: without a mask token, in float16."""
    torch.manual_seed(0)
    state = DinoV2(64, 3, 1, 70).state_dict()
    return saved(tmp_path, {key: value.half() for key, value in state.items() if key != "mask_token"}, "vit.pth")


def test_defaults_are_those_of_the_published_model():
    encoder = STAOptions().build(0, 5)
    assert isinstance(encoder, STA)
    assert (encoder.image_size, encoder.grid, encoder.out_dims) == ((384, 384), (24, 24), 24576)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 13_539_522  # with temporal tables
    assert isinstance(SeqVLADOptions().build(0, 5), SeqVLADEncoder)


def test_decided_options_are_numbers_that_build_the_same_weights_for_windows_of_any_length():
    options = STAOptions(**SMALL)
    decided = options.decided(0, 5)
    assert (decided.sta_frames, decided.sta_temporal_layers, decided.sta_grid) == (5, 1, (8, 12))
    assert (decided.sta_relative, decided.sta_stages, decided.sta_weights_sha256) == ("temporal", 2, "")
    assert decided.decided(0, 9) == decided
    shapes = [{k: v.shape for k, v in o.build(0, n).state_dict().items()} for o, n in ((options, 5), (decided, 9))]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    "wrap", [dict, lambda s: {"model_state_dict": s}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SeqVLADOptions, {}),
        (STAOptions, {"sta_relative": "none"}),
        (STAOptions, {"sta_relative": "spatial", "sta_clusters": 4}),
        (STAOptions, {"sta_relative": "both", "sta_temporal_layers": 2, "sta_frames": 3}),
    ],
)
def test_sizes_are_read_from_a_published_file(kind, options, wrap, tmp_path):
    original = kind(**SMALL | options).build(0, 5)
    path = saved(tmp_path, wrap(original.state_dict()))
    started = kind(sta_weights=path, sta_image_size=(32, 48), sta_heads=2)
    encoder = started.build(0, 5)
    assert started.load_weights(encoder) == ()
    frames = torch.randn(1, 5, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(encoder.eval()(frames), original.eval()(frames))
    decided = started.decided(0, 5)
    assert decided.sta_weights_sha256 == sha256(tmp_path / "weights.pth")
    wanted = asdict(kind(**SMALL | options).decided(0, 5)) | {"sta_weights": path}
    assert asdict(decided) == wanted | {"sta_weights_sha256": decided.sta_weights_sha256}


def test_a_run_that_has_begun_needs_the_file_no_more(published, tmp_path):
    path, encoder = published(sta_image_size=(32, 32))
    decided = STAOptions(sta_weights=path, sta_heads=2).decided(0, 5)
    (tmp_path / "weights.pth").unlink()
    again = STAOptions(**asdict(decided))
    assert again.decided(0, 7) == again
    assert again.unused().keys() == {"sta_layer", "sta_pool"}
    assert {k: v.shape for k, v in again.build(0, 7).state_dict().items()} == {
        k: v.shape for k, v in encoder.state_dict().items()
    }


def test_heads_are_read_from_tables_and_asked_for_elsewhere(published):
    path, _ = published(sta_image_size=(32, 32))
    assert STAOptions(sta_weights=path).decided(0, 5).sta_heads == 2
    path, _ = published(sta_image_size=(32, 32), sta_relative="none")
    with pytest.raises(UserError, match="`sta_heads`: give the number of attention heads, as 12 channels"):
        STAOptions(sta_weights=path).decided(0, 5)


def test_heads_are_those_of_the_stack_that_has_tables(published):
    path, _ = published(sta_dims=64, sta_image_size=(32, 32), sta_relative="spatial")
    assert STAOptions(sta_weights=path).decided(0, 5).sta_heads == 2


def test_heads_that_no_table_tells_may_be_given(published):
    path, _ = published(sta_dims=64, sta_image_size=(32, 32), sta_relative="none")
    assert STAOptions(sta_weights=path).decided(0, 5).sta_heads == 1
    assert STAOptions(sta_weights=path, sta_heads=2).decided(0, 5).sta_heads == 2


@pytest.mark.parametrize("size", [(32, 48), (16, 36)])  # grids of 8 x 12 and of 4 x 9, of as many tokens as 6 x 6
def test_the_image_size_is_read_from_tables_of_the_spatial_stack(published, size):
    path, _ = published(sta_image_size=size, sta_relative="both")
    decided = STAOptions(sta_weights=path).decided(0, 5)
    assert (decided.sta_image_size, decided.sta_grid) == (size, (size[0] // 4, size[1] // 4))


def test_the_image_size_is_read_from_a_square_grid_and_asked_for_elsewhere(published):
    path, _ = published(sta_image_size=(32, 32))
    assert STAOptions(sta_weights=path).decided(0, 5).sta_image_size == (32, 32)
    assert STAOptions(sta_weights=path, sta_image_size=(40, 24)).decided(0, 5).sta_grid == (8, 8)
    path, _ = published()
    with pytest.raises(
        UserError, match=r"`sta_image_size` cannot be read from .*weights.pth: its 96 positions are no sq"
    ):
        STAOptions(sta_weights=path).decided(0, 5)
    told = STAOptions(sta_weights=path, sta_grid=(8, 12))
    assert told.decided(0, 5).sta_image_size == (32, 48)
    assert replace(told, sta_image_size=(40, 24)).build(0, 5).grid == (10, 6)
    with pytest.raises(UserError, match=r"`sta_grid` 8 8: .*weights.pth has 96 positions"):
        STAOptions(sta_weights=path, sta_grid=(8, 8)).decided(0, 5)


def test_a_file_is_the_one_whose_hash_is_given(published):
    path, encoder = published(sta_image_size=(32, 32))
    assert STAOptions(sta_weights=path, sta_weights_sha256=sha256(Path(path))).load_weights(encoder) == ()
    assert STAOptions(sta_weights=path, sta_weights_sha256=sha256(Path(path))).decided(0, 5).sta_dims == 12
    with pytest.raises(UserError, match=r"`sta_weights` .* is another file than the one .*, wanted abc\.\.\."):
        STAOptions(sta_weights=path, sta_weights_sha256="abc").load_weights(encoder)


@pytest.mark.parametrize("given", [{}, {"sta_image_size": (20, 20)}])  # of which no tokenizer by default has a grid
def test_a_file_of_the_other_method_is_refused_by_its_names_whatever_is_asked_of_it(published, given):
    path, _ = published(SeqVLADOptions)
    names = r"weights.pth does not fit .*missing \(first: encoder\.spatial.*unexpected \(first: encoder\.tokenizer"
    with pytest.raises(UserError, match=names):
        STAOptions(sta_weights=path, **given).decided(0, 5)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"sta_dims": 24}, "`sta_dims` 24 contradicts 12 in .*weights.pth; leave it out"),
        ({"sta_layers": 2}, "`sta_layers` 2 contradicts 1"),
        ({"sta_clusters": 64}, "`sta_clusters` 64 contradicts 3"),
        ({"sta_relative": "none"}, "`sta_relative` none contradicts temporal"),
        ({"sta_frames": 3}, "`sta_frames` 3 contradicts 5"),
        ({"sta_heads": 3}, "`sta_heads` 3 contradicts 2"),
    ],
)
def test_options_that_contradict_the_file_are_refused(given, what, published):
    path, _ = published(sta_image_size=(32, 32))
    with pytest.raises(UserError, match=what):
        STAOptions(sta_weights=path, **given).decided(0, 5)


@pytest.mark.parametrize(("asked", "held"), [(STAOptions, SeqVLADOptions), (SeqVLADOptions, STAOptions)])
def test_weights_of_another_method_are_refused_with_the_first_names(asked, held, published):
    path, _ = published(held, sta_image_size=(32, 32))
    options = asked(sta_weights=path, **SMALL)
    with pytest.raises(UserError, match=r"missing \(first: encoder\..*unexpected \(first: encoder\.") as error:
        options.load_weights(options.build(0, 5))
    assert "\n" not in str(error.value)


def test_weights_of_another_width_are_refused_with_the_first_names(published):
    path, _ = published()
    other = STAOptions(**SMALL | {"sta_dims": 16})
    with pytest.raises(UserError, match=r"mismatching \(first: aggregator.centroids is \(3, 12\), wanted \(3, 16\)"):
        STAOptions(sta_weights=path).load_weights(other.build(0, 5))


@pytest.mark.parametrize("part", ["spatial", "temporal"])
def test_a_part_takes_its_weights_from_a_file_of_both(part, published):
    path, encoder = published(sta_image_size=(32, 32))
    options = STAOptions(sta_weights=path, sta_part=part)
    alone = options.build(0, 5)
    assert options.load_weights(alone) == ()
    whole = encoder.state_dict()
    assert all(torch.equal(value, whole[key]) for key, value in alone.state_dict().items())
    prefix = {"spatial": "encoder.temporal.", "temporal": "encoder.spatial.classifier."}[part]
    assert {key for key in whole if key not in alone.state_dict()} == {key for key in whole if key.startswith(prefix)}


@pytest.mark.parametrize("kind", [SeqVLADOptions, STAOptions])
def test_training_starts_from_the_imagenet_network(kind, imagenet):
    path, network = imagenet
    options = kind(sta_weights=path, sta_layers=2, sta_heads=2, sta_clusters=3)
    encoder = options.build(0, 5)
    drawn = {key: value.clone() for key, value in encoder.state_dict().items()}
    left = options.load_weights(encoder)
    own, source = encoder.state_dict(), network.state_dict()
    assert set(left) == {key for key in own if key.startswith("aggregator.") or "rel_pos" in key}
    assert all(torch.equal(own[key], drawn[key]) for key in left)
    starts = ("encoder.spatial.", "encoder.") if kind is STAOptions else ("encoder.",)
    for key in set(own) - set(left):
        name = key.replace("encoder.temporal.", "classifier.")
        for start in starts:
            name = name.removeprefix(start)
        assert torch.equal(own[key], source[name]), key
    assert encoder.image_size == (32, 32)
    assert options.started_from == path


def test_more_blocks_than_the_imagenet_network_has_are_refused(imagenet):
    options = STAOptions(sta_weights=imagenet[0], sta_layers=4, sta_heads=2)
    with pytest.raises(UserError, match=r"cct.pth does not fit this encoder: \d+ missing \(first: encoder.*blocks.3"):
        options.load_weights(options.build(0, 5))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (
            {"sta_image_size": (30, 48)},
            "`sta_image_size`: images of 30 x 48 pixels give no whole grid: wanted multiples of 4",
        ),
        ({"sta_kernel": 4}, "`sta_kernel`: a kernel of 4: wanted an odd one"),
        ({"sta_heads": 5}, "`sta_heads` 5: wanted a divisor of the 12 channels"),
        ({"sta_heads": 0}, "`sta_heads`: give the number of attention heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(given, what):
    with pytest.raises(UserError, match=what):
        STAOptions(**SMALL | given).build(0, 5)


def test_an_image_size_is_two_numbers():
    with pytest.raises(UserError, match="`sta_image_size` 32: wanted height and width in pixels"):
        STAOptions(sta_image_size=(32,))


def test_tables_of_one_frame_cannot_be_interpolated():
    decided = STAOptions(**SMALL).decided(0, 1)
    with pytest.raises(UserError, match="`sequence_length` 5: relative positions of weights for windows of 1 frame"):
        decided.build(0, 5)
    without = STAOptions(**SMALL, sta_relative="none").decided(0, 1)
    assert without.build(0, 5)(torch.zeros(1, 5, 3, 32, 48)).shape == (1, 36)


class TestBackbone:
    """Tokens of a frozen transformer."""

    def options(self, backbone: str, **given) -> STAOptions:
        sizes = {"sta_temporal_layers": 1, "sta_clusters": 3, "sta_image_size": (28, 42)}
        return STAOptions(sta_backbone=backbone, **sizes | given)

    @torch.no_grad()
    def test_its_tokens_are_what_is_attended_to(self, backbone):
        encoder = self.options(backbone, sta_layer=2).build(0, 3).eval()
        assert (encoder.grid, encoder.out_dims) == ((2, 3), 192)
        windows = torch.randn(2, 3, 3, 28, 42, generator=torch.Generator().manual_seed(0))
        network = DinoV2(64, 3, 1, 70)
        state = torch.load(backbone, weights_only=True)
        network.load_state_dict(state | {"mask_token": torch.zeros(1, 64)})
        (maps,) = network.eval().feature_maps(windows.flatten(0, 1), [1])  # the second block
        tokens = maps.flatten(2).transpose(1, 2).unflatten(0, (2, 3))  # (2, 3, 6, 64)
        temporal = encoder.encoder.temporal(tokens, (2, 3))
        torch.testing.assert_close(encoder(windows), encoder.aggregator(tokens + temporal))
        alone = self.options(backbone, sta_layer=2, sta_part="temporal").build(0, 3).eval()
        alone.load_state_dict(encoder.state_dict())
        torch.testing.assert_close(alone(windows), encoder.aggregator(temporal))
        mean = self.options(backbone, sta_layer=2, sta_part="spatial").build(0, 3).eval()
        mean.aggregator.load_state_dict(encoder.aggregator.state_dict())
        torch.testing.assert_close(mean(windows), encoder.aggregator(tokens))

    @torch.no_grad()
    def test_a_token_may_be_the_mean_of_a_square_of_patches(self, backbone):
        images = torch.randn(2, 3, 28, 56, generator=torch.Generator().manual_seed(0))
        encoders = [self.options(backbone, sta_pool=pool, sta_image_size=(28, 56)).build(0, 3) for pool in (1, 2)]
        assert [encoder.grid for encoder in encoders] == [(2, 4), (1, 2)]
        patches, tokens = (encoder.describe_frames(images) for encoder in encoders)  # (2, 1, 8, 64), (2, 1, 2, 64)
        left = patches[:, :, [0, 1, 4, 5]].mean(2)
        torch.testing.assert_close(tokens[:, :, 0], left)

    def test_it_is_neither_trained_nor_saved(self, backbone):
        encoder = self.options(backbone).build(0, 3).train()
        assert not encoder.backbone.network.training
        assert encoder.parts.of_frames == (encoder.backbone,)  # what it describes may be kept
        assert {key.split(".")[0] for key in encoder.state_dict()} == {"encoder", "aggregator"}
        encoder(torch.randn(1, 3, 3, 28, 42)).square().mul(torch.arange(192)).sum().backward()
        assert all(parameter.grad is None for parameter in encoder.backbone.network.parameters())
        assert encoder.aggregator.centroids.grad is not None
        encoder.double()
        assert encoder.backbone.network.pos_embed.dtype == torch.float64  # it goes where the encoder goes

    def test_the_file_is_recorded_and_must_stay_the_same(self, backbone, tmp_path):
        decided = self.options(backbone).decided(0, 3)
        assert decided.sta_backbone_sha256 == sha256(tmp_path / "vit.pth")
        assert (decided.sta_dims, decided.sta_heads) == (64, 1)
        assert decided.started_from == "random weights on tokens of vit.pth"
        saved(tmp_path, DinoV2(64, 3, 1, 70).state_dict(), "vit.pth")
        with pytest.raises(UserError, match=r"vit.pth is another file than the one that was trained on"):
            decided.build(0, 3)

    @pytest.mark.parametrize(
        ("given", "what"),
        [
            ({"sta_image_size": (30, 42)}, "`sta_image_size`: image sides must be multiples of 14 pixels, got 30x42"),
            ({"sta_pool": 2}, "28x42 pixels are 2 x 3 patches, which `sta_pool` 2 does not divide"),
            ({"sta_layer": 4}, "`sta_layer` 4: .*vit.pth has 3 blocks"),
            ({"sta_dims": 128}, "`sta_dims` 128 contradicts 64 in .*vit.pth"),
        ],
    )
    def test_options_that_do_not_fit_it_are_refused(self, backbone, given, what):
        with pytest.raises(UserError, match=what):
            self.options(backbone, **given).build(0, 3)

    def test_it_has_its_values_where_an_encoder_is_built_without(self, backbone):
        encoder = build_empty(lambda: self.options(backbone).build(0, 3))
        assert encoder.backbone.network.pos_embed.isfinite().all()

    def test_another_kind_of_file_is_refused(self, published):
        path, _ = published()
        with pytest.raises(UserError, match=r"weights.pth holds no transformer of DINOv2's kind"):
            self.options(path).build(0, 3)

    @pytest.mark.parametrize("name", ["sta_layers", "sta_kernel", "sta_stages", "sta_weights"])
    def test_what_it_stands_in_place_of_has_no_options(self, backbone, name):
        assert self.options(backbone).unused()[name] == "tokens are those of `sta_backbone`"

    def test_the_real_one_gives_tokens(self, shared):
        options = STAOptions(
            sta_backbone=str(shared / "data" / "vits14-fp16.pth"),
            sta_layer=8,
            sta_part="spatial",
            sta_image_size=(56, 56),
        )
        with torch.no_grad():
            tokens = options.build(0, 2).describe_frames(torch.zeros(1, 3, 56, 56))
        assert tokens.shape == (1, 1, 16, 384)
        assert tokens.isfinite().all()
