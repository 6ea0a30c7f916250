"""Networks of torchvision: by name, with downloaded, local or random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torchvision import models

from index.errors import InputError, UnknownNameError
from vision.network_names import NetworkName
from vision.preprocess import Preprocessing
from vision.presets import preset
from vision.torch_models import Backbone, load_weights, untrained_source
from vision.torch_taps import STYLE_STRIDE, HookedTaps


def torchvision_backbone(parsed: NetworkName) -> Backbone:
    """Load a torchvision network with the preprocessing of its weights.

    Raises:
        UnknownNameError: torchvision has no such network or weights.
        InputError: Its weights cannot be had, or do not fit.
    """
    known = models.list_models(module=models)
    if parsed.arch not in known:
        raise UnknownNameError.of("torchvision network", parsed.arch, known)
    weights = _weights(parsed)
    preprocessing = preset("imagenet") if weights is None else from_transforms(weights.transforms())
    body = models.get_model(parsed.arch, weights=None)
    classifier = _classifier(body, parsed)
    licence, source = "BSD-3-Clause", f"torchvision {parsed.arch}/{weights.name if weights is not None else 'none'}"
    if parsed.untrained:
        source = untrained_source(parsed)
    elif parsed.checkpoint is not None:
        load_weights(body, parsed.checkpoint, (classifier, "aux"))
        licence, source = "unknown", f"torchvision {parsed.arch}, weights of the local file {parsed.checkpoint.name}"
    else:
        load_weights(body, _downloaded(weights, parsed), (classifier, "aux"))
    parent, _, leaf = classifier.rpartition(".")
    setattr(body.get_submodule(parent), leaf, torch.nn.Identity())
    return Backbone(_tapped(body.eval(), preprocessing), preprocessing, licence, source)


def from_transforms(transforms: Any) -> Preprocessing:
    """Preprocessing as the transforms of torchvision's weights describe it.

    Raises:
        InputError: They are none that make one input of a picture.
    """
    try:
        side, scaled = int(transforms.crop_size[0]), int(transforms.resize_size[0])
        mean, std = tuple(transforms.mean), tuple(transforms.std)
        interpolation = str(transforms.interpolation.value)
    except (AttributeError, TypeError, IndexError):
        raise InputError("these torchvision weights do not prepare single pictures; choose a classifier's") from None
    return Preprocessing(side, side, max(side, scaled), max(side, scaled), "crop", interpolation, mean, std, mean)


def _weights(parsed: NetworkName) -> Any:
    every = models.get_model_weights(parsed.arch)
    if parsed.weights and parsed.weights not in every.__members__:
        raise UnknownNameError.of(f"weights of torchvision {parsed.arch}", parsed.weights, every.__members__)
    if parsed.weights:
        return every[parsed.weights]
    return every.DEFAULT if len(every) else None


def _downloaded(weights: Any, parsed: NetworkName) -> Path:
    if weights is None:
        raise InputError(f"torchvision has no trained weights for {parsed.arch}; add ?checkpoint=FILE or ?untrained")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlsplit(weights.url).path).name
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights.url, str(path), progress=False)
        except Exception as error:  # networks, disks and servers fail in many ways
            reason = str(error).partition("\n")[0][:160]
            raise InputError(
                f"the weights of {parsed.arch} cannot be had ({reason}); fetch {weights.url} by hand and put it into "
                f"{folder}"
            ) from None
    return path


def _classifier(body: Any, parsed: NetworkName) -> str:
    """Name of the last layer: the one that turns features into classes."""
    layers: list[str] = [name for name, module in body.named_modules() if isinstance(module, torch.nn.Linear)]
    if not layers:
        raise InputError(
            f"torchvision {parsed.arch} has no pooled output: its classes are made of feature maps; choose another"
        )
    return layers[-1]


def _tapped(body: Any, preprocessing: Preprocessing) -> HookedTaps:
    """Find which modules give the early and middle feature maps, and which the last, by watching one picture."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _given, made, name=name: (
                shapes.update({name: tuple(made.shape)}) if isinstance(made, torch.Tensor) and made.ndim == 4 else None
            )
        )
        for name, module in body.named_modules()
        if name
    ]
    with torch.inference_mode():
        body(torch.zeros(1, 3, preprocessing.height, preprocessing.width))
    for hook in hooks:
        hook.remove()
    for channels_last in (False, True):
        rows, columns = (1, 2) if channels_last else (2, 3)
        at: dict[int, str] = {}
        for name, shape in shapes.items():
            if shape[rows] > 1 and shape[rows] * preprocessing.width == shape[columns] * preprocessing.height:
                stride = round(preprocessing.height / shape[rows])
                if stride not in at or name.count(".") <= at[stride].count("."):  # whole stages rather than their parts
                    at[stride] = name
        styled = [at[stride] for stride in sorted(at) if 1 < stride <= STYLE_STRIDE]
        if styled and len(at) > 1:
            return HookedTaps(body, [name for name in styled if name != at[max(at)]], at[max(at)], channels_last)
    return HookedTaps(body, [], "", False)
