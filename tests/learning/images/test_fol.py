"""FoL's terms on a whole network: each falls as it is learned, described a few images at a time or at once."""

import pytest
import torch

from opticornet.learning.images.describing import describe
from opticornet.learning.images.loss import total, weighted_terms
from opticornet.learning.images.terms.base import LabelledImages
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import FoL
from opticornet.models.images.fol.options import FoLOptions

SIZE = (70, 56)
PLACES = (0, 0, 0, 4, 4, 4, 2, 2)


@pytest.fixture
def network(fill) -> FoL:
    net = FoL(DinoV2(24, 3, 3, trained_size=70), GuidedAggregator(24, 6, 4, 5, 16), local_dims=(12, 7), cells=9)
    fill(net, 3).train_blocks(2)
    return net


def loss_of(
    network: FoL, images: torch.Tensor, at_once: int = 0, terms: tuple[str, ...] = FoLOptions.terms
) -> torch.Tensor:
    with torch.no_grad():
        frozen = network.frozen(images)
    described = describe(network, frozen, SIZE, at_once)
    batch = LabelledImages(described, torch.tensor(PLACES), SIZE, torch.Generator().manual_seed(0))
    return total(weighted_terms(terms), batch)[0]


def test_gradient_of_a_few_images_at_a_time_is_that_of_all(network, normal):
    images = normal(7, len(PLACES), 3, *SIZE)
    losses, gradients = [], []
    for at_once in (0, 3):
        network.zero_grad()
        loss = loss_of(network, images, at_once)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(
            {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.requires_grad}
        )
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("term", ["ms", "local", "alignment", "contrast"])
def test_a_term_falls_as_it_is_learned(term, network, normal):
    """Images of a place are one image with noise."""
    images = normal(7, 5, 3, *SIZE)[list(PLACES)] + normal(8, len(PLACES), 3, *SIZE)
    optimizer = torch.optim.AdamW([weight for weight in network.parameters() if weight.requires_grad], 1e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = loss_of(network, images, terms=(term,))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
