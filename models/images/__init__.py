"""Image encoders: what turns an image into a frame descriptor. One file per encoder, one line here.

To add one, write ``models/images/<name>.py`` with a :class:`.base.ImageEncoder` and its
:class:`.base.ImageEncoderOptions`, and give the latter a line below; see ``docs/adding-a-method.md``.
"""

from opticornet.utils.registry import Registry

_HERE = "opticornet.models.images"

IMAGE_ENCODERS: Registry = {
    "thumbnail": f"{_HERE}.thumbnail:ThumbnailOptions",
    "hog": f"{_HERE}.hog:HogOptions",
    "netvlad": f"{_HERE}.netvlad:NetVLADOptions",
    "resnet18": f"{_HERE}.torchvision_backbones:ResNet18Options",
    "resnet50": f"{_HERE}.torchvision_backbones:ResNet50Options",
    "vgg16": f"{_HERE}.torchvision_backbones:Vgg16Options",
    "efficientnet-lite0": f"{_HERE}.efficientnet_lite:EfficientNetLite0Options",
    "efficientnet-lite2": f"{_HERE}.efficientnet_lite:EfficientNetLite2Options",
    "dinov2_vits14": f"{_HERE}.dinov2:DinoV2SmallOptions",
    "dinov2_vitb14": f"{_HERE}.dinov2:DinoV2BaseOptions",
    "dinov2_vitl14": f"{_HERE}.dinov2:DinoV2LargeOptions",
    "scicevpr": f"{_HERE}.scicevpr.options:SciceVPROptions",
    "scicevpr-large": f"{_HERE}.scicevpr.options:SciceVPRLargeOptions",
    "scicevpr-small": f"{_HERE}.scicevpr.options:SciceVPRSmallOptions",
    "super-cricavpr": f"{_HERE}.scicevpr.options:SuperCricaVPROptions",
    "super-cricavpr-large": f"{_HERE}.scicevpr.options:SuperCricaVPRLargeOptions",
    "super-cricavpr-small": f"{_HERE}.scicevpr.options:SuperCricaVPRSmallOptions",
    "fol": f"{_HERE}.fol.options:FoLOptions",
    "fol-base": f"{_HERE}.fol.options:FoLBaseOptions",
    "fol-small": f"{_HERE}.fol.options:FoLSmallOptions",
    "hub:": f"{_HERE}.hub:HubOptions",
}
