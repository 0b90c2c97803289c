"""A weighted sum of terms."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from opticornet.learning.images.loss import check_terms, total, weighted_terms
from opticornet.learning.images.terms import LOSS_TERMS
from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions
from opticornet.models.images.trainable import Described
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class WithHeights(Described):
    heights: torch.Tensor


class Heights(LossTerm):
    """The mean of something that not every encoder gives."""

    takes = WithHeights

    def forward(self, images):
        return images.described.heights.mean()


class Targets(LossTerm):
    needs_targets = True

    def forward(self, images):
        return (images.described.descriptors - images.targets).square().sum()


@dataclass(frozen=True, kw_only=True)
class HeightOptions(LossTermOptions):
    weight: ClassVar[float] = 0.25

    def build(self):
        return Heights()


class TargetOptions(LossTermOptions):
    def build(self):
        return Targets()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(LOSS_TERMS, "heights", HeightOptions)
    monkeypatch.setitem(LOSS_TERMS, "targets", TargetOptions)


def images(heights, targets=None):
    descriptors = torch.nn.functional.normalize(torch.arange(8.0).view(4, 2) + 1, dim=1).requires_grad_()
    described = WithHeights(descriptors, heights)
    return LabelledImages(described, torch.tensor([0, 0, 1, 1]), (8, 8), torch.Generator(), targets)


def test_terms_are_summed_by_their_weights_and_tell_their_shares():
    heights = torch.tensor([-1.0, -2.0, -3.0, -6.0], requires_grad=True)
    terms = weighted_terms(["heights", "targets:2"])
    assert list(map(str, terms)) == ["heights:0.25", "targets:2"]
    batch = images(heights, torch.zeros(4, 2))
    loss, values = total(terms, batch)
    assert loss.item() == pytest.approx(0.25 * -3 + 2 * 4)  # four unit vectors
    assert {name: value.item() for name, value in values.items()} == {
        "loss_heights": pytest.approx(-3), "loss_targets": pytest.approx(4),
        "share_heights": pytest.approx(0.75 / 8.75), "share_targets": pytest.approx(8 / 8.75),
    }  # fmt: skip
    loss.backward()
    assert heights.grad.tolist() == [0.0625] * 4


def test_a_single_term_has_no_share():
    assert total(weighted_terms(["heights"]), images(torch.ones(4)))[1].keys() == {"loss_heights"}


@pytest.mark.parametrize("written", ["ms:0", "ms:-1", "ms:nan", "ms:inf", "ms:", "ms:much"])
def test_weights_are_numbers_above_zero(written):
    with pytest.raises(UserError, match=f"`loss_terms` {written}: wanted a weight above 0"):
        weighted_terms([written])


def test_terms_that_need_what_there_is_not_are_refused():
    plain, taught = Described(torch.ones(2, 2)), WithHeights(torch.ones(2, 2), torch.ones(2))
    with pytest.raises(
        UserError, match="heights needs WithHeights of an encoder, and flat gives Described; leave it out"
    ):
        check_terms(weighted_terms(["ms", "heights"]), "flat", plain, False)
    with pytest.raises(UserError, match="targets needs a teacher"):
        check_terms(weighted_terms(["targets"]), "flat", plain, False)
    with pytest.raises(UserError, match="`teacher` changes nothing here: no term of the loss needs targets"):
        check_terms(weighted_terms(["ms"]), "flat", plain, True)
    check_terms(weighted_terms(["ms", "heights", "targets"]), "steep", taught, True)
