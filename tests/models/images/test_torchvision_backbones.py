import pytest
import torch
from torchvision import models as networks

from opticornet.models.images.torchvision_backbones import build_backbone, fetch_weights
from opticornet.utils.errors import UserError


@pytest.mark.parametrize("pool", ["gem", "gmp", "avg"])
def test_batch_size_does_not_matter(pool, normal):
    torch.manual_seed(0)
    encoder = build_backbone(network="resnet18", pool=pool).eval()
    images = normal(1, 5, 3, 64, 96)
    with torch.inference_mode():
        whole = encoder(images)
        alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(5))
    assert whole.shape == (5, encoder.out_dims)


def test_torchvision_weights_load_and_give_torchvision_features(normal):
    torch.manual_seed(0)
    whole = networks.resnet18(weights=None).eval()
    encoder = build_backbone(network="resnet18", pool="avg").eval()
    encoder.load(whole.state_dict(), "resnet18.pth")
    whole.fc = torch.nn.Identity()
    images = normal(2, 2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(images), torch.nn.functional.normalize(whole(images), dim=1))


@pytest.mark.parametrize(("network", "dims", "stride"), [("resnet50", 2048, 32), ("vgg16", 512, 16)])
def test_networks_end_at_their_last_feature_map(network, dims, stride):
    with torch.device("meta"):
        encoder = build_backbone(network=network)
        features = encoder.layers(torch.empty(1, 3, 96, 128))
    assert encoder.out_dims == dims
    assert features.shape == (1, dims, 96 // stride, 128 // stride)


def test_without_a_network_the_weights_to_get_are_named(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(networks.ResNet18_Weights, "get_state_dict", offline)
    with pytest.raises(UserError) as error:
        fetch_weights(network="resnet18")
    assert "cannot download resnet18's ImageNet weights: wanted resnet18-" in str(error.value)
    assert str(error.value).endswith("or name it with `weights`, or try things out with `weights` random")
