"""Preprocessing by name, for networks that were exported elsewhere and do not say what they want."""

from __future__ import annotations

from dataclasses import replace

from index.errors import UnknownNameError
from vision.preprocess import Colour, Preprocessing

IMAGENET_MEAN: Colour = (0.485, 0.456, 0.406)
IMAGENET_STD: Colour = (0.229, 0.224, 0.225)
CLIP_MEAN: Colour = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Colour = (0.26862954, 0.26130258, 0.27577711)
HALF: Colour = (0.5, 0.5, 0.5)

PRESETS: dict[str, Preprocessing] = {
    # torchvision's classification reference, and most networks trained on ImageNet
    "imagenet": Preprocessing(224, 224, 256, 256, "crop", "bilinear", IMAGENET_MEAN, IMAGENET_STD),
    # Radford et al., ICML 2021, as in their released code; OpenCLIP too
    "clip": Preprocessing(224, 224, 224, 224, "crop", "bicubic", CLIP_MEAN, CLIP_STD),
    # Zhai et al., ICCV 2023: both sides to the input's size, pixels -1 to 1
    "siglip": Preprocessing(224, 224, 224, 224, "squash", "bicubic", HALF, HALF),
    # Szegedy et al., CVPR 2016, and most networks that come from TensorFlow: x/127.5 - 1
    "inception": Preprocessing(224, 224, 256, 256, "crop", "bilinear", HALF, HALF),
    # the same pixels, but the whole picture on a white square: product photos keep their edges
    "inception-padded": Preprocessing(224, 224, 224, 224, "pad", "bicubic", HALF, HALF),
}
"""At 224 pixels; ``preset`` fits them to the network's own size."""


def preset(name: str, height: int = 224, width: int = 224) -> Preprocessing:
    """Preprocessing by name, for an input of this many pixels.

    Raises:
        UnknownNameError: There is no such preset; the message names near ones.
    """
    if name not in PRESETS:
        raise UnknownNameError.of("preprocessing preset", name, PRESETS)
    usual = PRESETS[name]
    return replace(
        usual,
        height=height,
        width=width,
        scaled_height=height * usual.scaled_height // usual.height,
        scaled_width=width * usual.scaled_width // usual.width,
    )
