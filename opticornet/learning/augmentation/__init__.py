"""How the windows of training queries are made otherwise, by name."""

from opticornet.utils.registry import Registry

AUGMENTATIONS: Registry = {
    "none": "opticornet.learning.augmentation.base:AugmentationOptions",
    "time": "opticornet.learning.augmentation.kinds:TimeAugmentation",
    "descriptors": "opticornet.learning.augmentation.kinds:DescriptorAugmentation",
    "images": "opticornet.learning.augmentation.images:ImageAugmentation",
    "time+images": "opticornet.learning.augmentation.images:TimeAndImageAugmentation",
    "time+descriptors": "opticornet.learning.augmentation.kinds:TimeAndDescriptorAugmentation",
}
