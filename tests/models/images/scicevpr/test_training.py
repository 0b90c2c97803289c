"""What SciceVPR and Super-CricaVPR do where they are trained."""

import pytest
import torch
from torch.nn.functional import normalize

from opticornet.models.images.base import read_state_dict
from opticornet.models.images.build import build_image_encoder
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import FoL
from opticornet.models.images.scicevpr.encoder import SciceVPR, Student
from opticornet.models.images.scicevpr.parts import FusedLayers, region_weights
from opticornet.utils.errors import UserError

SIZE = (56, 70)
GRID = (4, 5)


def network(kind: type[SciceVPR] = SciceVPR, seed: int = 0, layers: tuple[int, ...] = (0, 2), **options) -> SciceVPR:
    torch.manual_seed(seed)
    backbone = FusedLayers(DinoV2(16, 3, 2, trained_size=56), layers)
    student = kind is Student
    return kind(
        backbone,
        backbone.channels,
        32,
        mixers=2,
        encoder_layers=1 if student else 2,
        training_context=1 if student else options.pop("training_context", None),
        grid=options.pop("grid", GRID),
        **options,
    ).eval()


@pytest.fixture
def images(normal):
    return normal(1, 6, 3, *SIZE)


@torch.no_grad()
def test_images_need_not_be_square(images):
    encoder = network()
    assert encoder.preprocess.size == SIZE
    rows = encoder(images)
    assert rows.shape == (6, encoder.out_dims)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize(
    ("side", "thirds"), [(16, (5, 6, 5)), (8, (3, 2, 3)), (9, (3, 3, 3)), (7, (2, 3, 2)), (3, (1, 1, 1))]
)
def test_regions_of_other_grids_are_as_equal_as_can_be(side, thirds):
    weights = region_weights((side, 4)).unflatten(1, (side, 4))
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(14))
    rows = (weights[[5, 8, 11]] > 0).any(2)  # the first column's thirds
    assert tuple(rows.sum(1).tolist()) == thirds
    assert (rows.sum(0) == 1).all()
    halves = (weights[[1, 3]] > 0).any(2)
    assert torch.equal(halves[0], halves[1].flip(0))
    assert halves.any(0).all()
    with pytest.raises(ValueError, match="regions need 3x3 patches at least, got 2x4"):
        region_weights((2, 4))


def test_what_learns_is_all_but_the_backbone(images):
    encoder = network()
    encoder.train_blocks(0)
    encoder.train()
    assert not encoder.backbone.training
    encoder(images)[:, :7].sum().backward()
    assert {name.split(".")[0] for name, weight in encoder.named_parameters() if weight.grad is not None} == {
        "conv",
        "tokenmix",
        "gem",
        "encoder",
    }
    assert encoder.gem.p.grad.abs().item() > 0
    with pytest.raises(ValueError, match="its backbone does not learn, as published"):
        encoder.train_blocks(1)


def test_token_mixers_start_as_published():
    weights = [layer for mixer in network(grid=(16, 16)).tokenmix for layer in (mixer.mix[0], mixer.mix[2])]
    for layer in weights:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.weight.abs().max() <= 2
        assert not layer.bias.any()


@torch.no_grad()
def test_images_described_apart_are_related_together(images):
    encoder = network(context=None)
    parts = [encoder.describe(encoder.frozen(part), SIZE).regions for part in images.split(4)]
    described = encoder.describe(encoder.frozen(images), SIZE)
    torch.testing.assert_close(torch.cat(parts), described.regions, rtol=0, atol=1e-6)
    torch.testing.assert_close(described.descriptors, normalize(described.regions.flatten(1), dim=1))
    torch.testing.assert_close(encoder.relate(described).descriptors, encoder(images), rtol=0, atol=1e-6)


@torch.no_grad()
def test_all_of_a_batch_attend_to_one_another_in_training_alone(images):
    encoder = network()  # the default: a context of one image in evaluation, of all in training
    encoder.encoder.layers[0].dropout.p = 0.0
    for module in encoder.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(encoder(images), alone, rtol=0, atol=1e-5)
    together = encoder.train()(images)
    assert (together - alone).abs().max() > 1e-3
    encoder.training_context = 2
    pairs = torch.cat([encoder(pair) for pair in images.split(2)])
    torch.testing.assert_close(encoder(images), pairs, rtol=0, atol=1e-5)


def test_dropout_acts_in_training(images):
    encoder = network().train()
    torch.manual_seed(0)
    first = encoder(images)
    assert not torch.equal(first, encoder(images))
    encoder.eval()
    assert torch.equal(encoder(images), encoder(images))


def test_a_student_takes_over_what_is_frozen_and_starts_afresh(images):
    teacher, student = network(seed=1), network(Student, seed=2)
    fresh = {name: weight.clone() for name, weight in student.state_dict().items()}
    assert student.learn_from(teacher)  # what does not learn is the same of both
    student.train_blocks(0)
    student.train()
    assert torch.equal(student.conv.weight, teacher.conv.weight)
    assert torch.equal(
        student.backbone.dino_model.blocks[2].mlp.fc1.weight, teacher.backbone.dino_model.blocks[2].mlp.fc1.weight
    )
    for name, weight in student.state_dict().items():
        assert name.startswith(("backbone.", "conv.")) or torch.equal(weight, fresh[name])
    assert torch.equal(student.frozen(images), teacher.frozen(images))
    student(images)[:, :7].sum().backward()
    learnt = {name.split(".")[0] for name, weight in student.named_parameters() if weight.grad is not None}
    assert learnt == {"tokenmix", "gem", "encoder"}
    assert not student.conv.training


def test_queries_and_keys_of_a_student_do_not_learn(images):
    student = network(Student)
    student.train_blocks(0)
    student(images)[:, :7].sum().backward()
    gradient = student.encoder.layers[0].self_attn.in_proj_weight.grad
    assert gradient[:64].abs().max() < 1e-7
    assert gradient[64:].abs().max() > 1e-5


@torch.no_grad()
def test_a_student_describes_the_same_with_its_frozen_convolution(images):
    teacher, student = network(seed=1), network(Student, seed=2)
    student.learn_from(teacher)
    again = network(Student)
    again.load(student.state_dict(), "run")
    torch.testing.assert_close(again(images), student(images), rtol=0, atol=1e-6)


def test_teachers_that_do_not_fit_are_refused():
    student = network(Student)
    fol = FoL(DinoV2(16, 3, 2, trained_size=56), GuidedAggregator(16, 4, 2, 2), image_size=SIZE)
    for teacher, message in (
        (fol, "as it is no Super-CricaVPR"),
        (network(Student), "as it is no Super-CricaVPR"),
        (network(layers=(1, 2)), "which fuses the layers 1 2: wanted 0 2"),
        (network(grid=(5, 5)), "whose images have 5x5 patches: wanted 4x5"),
    ):
        with pytest.raises(ValueError, match=message):
            student.learn_from(teacher)


@pytest.mark.parametrize("name", ["scicevpr-small", "super-cricavpr-small"])
@torch.no_grad()
def test_small_ones_start_from_a_real_backbone(shared, name):
    path = shared / "data" / "vits14-fp16.pth"
    encoder = build_image_encoder(name, weights="random", image_size=(42, 56), fused_layers=(6, 8))
    mixer = encoder.tokenmix[0].mix[0].weight.clone()
    encoder.load_backbone(read_state_dict(path), path)
    dino = encoder.backbone.dino_model
    assert len(dino.blocks) == 9
    assert dino.blocks[8].mlp.fc1.weight.dtype == torch.float32
    assert torch.equal(encoder.tokenmix[0].mix[0].weight, mixer)
    assert encoder(torch.zeros(1, 3, 42, 56)).shape == (1, 14 * 384)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fused_layers": (3, 12)}, "scicevpr-small: `fused_layers` 3 12: its backbone has 0 to 11"),
        ({"image_size": (112, 120)}, "scicevpr-small: `image_size` 112 120: wanted multiples of 14 pixels"),
        (
            {"image_size": (28, 112)},
            "scicevpr-small: its regions need 3x3 patches at least, got 2x8: use larger images",
        ),
        ({"image_size": (0, 0)}, "this encoder has to resize images"),
    ],
)
def test_sizes_that_it_cannot_have(options, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        build_image_encoder("scicevpr-small", weights="random", **options)


def test_the_context_is_chosen():
    with torch.device("meta"):
        chosen = build_image_encoder("super-cricavpr-small", weights="random", context=4)
        default = build_image_encoder("super-cricavpr-small", weights="random")
    assert (chosen.context, chosen.training_context) == (4, 4)
    assert (default.context, default.training_context) == (1, None)
