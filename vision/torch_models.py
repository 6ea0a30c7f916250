"""Picture networks of timm and torchvision, with the outputs that facets are made of; needs torch."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.errors import InputError, MissingExtraError
from index.types import EncoderCard, Facet
from vision.network_names import NetworkName, parse_name
from vision.preprocess import Preprocessing

UNTRAINED = "UNTRAINED random weights"
"""How the source of a card begins whose network has learned nothing."""

STYLE_SOURCE = "channel statistics: Huang & Belongie, ICCV 2017, eq. 5-6; Gatys et al., CVPR 2016"


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a library knows about one of its networks, before outputs are attached."""

    module: Any
    """``torch.nn.Module``: float32 ``(n, 3, height, width)`` to a tuple of tensors; see ``vision.torch_taps``."""

    preprocessing: Preprocessing
    licence: str
    source: str


@dataclass(frozen=True, slots=True)
class TorchNetwork:
    """A loaded network, ready to be exported.

    Attributes:
        module: ``torch.nn.Module`` in evaluation mode, float32 ``(n, 3, height, width)`` to a tuple of tensors.
        outputs: Names of what it answers with, in order: ``pooled``, then ``style`` and ``map`` where it has them.
        facets: Output of each facet, in the card's order.
        card: Of the network as an encoder.
        preprocessing: What it wants done to a picture.
    """

    module: Any
    outputs: tuple[str, ...]
    facets: Mapping[str, str]
    card: EncoderCard
    preprocessing: Preprocessing


def load_torch(name: str) -> TorchNetwork:
    """Load a network by name.

    Args:
        name: See ``vision.network_names.FORMS``.

    Raises:
        MissingExtraError: torch, timm or torchvision is not installed.
        InputError: The name, its weights or its checkpoint do not fit, or the network has no pooled output.
        UnknownNameError: The library has no such network.
    """
    parsed = parse_name(name)
    torch = need_torch(f"network {name!r}")
    torch.manual_seed(0)  # so that untrained networks are the same every time
    if parsed.library == "timm":
        from vision.timm_models import timm_backbone as load
    else:
        from vision.torchvision_models import torchvision_backbone as load
    backbone = load(parsed)
    module = backbone.module.eval().requires_grad_(False)
    shapes = _output_shapes(module, backbone.preprocessing, name)
    outputs = ["pooled"] + ["style"] * any(len(s) == 2 for s in shapes[1:]) + ["map"] * any(len(s) == 4 for s in shapes)
    facets = _facets(parsed.short, dict(zip(outputs, shapes, strict=True)))
    card = EncoderCard(
        name=name if parsed.checkpoint is None else name.partition("?")[0] + f"?checkpoint={parsed.checkpoint.name}",
        revision=1,
        modality="image",
        facets=facets,
        preprocessing=backbone.preprocessing.attributes(),
        licence=backbone.licence,
        source=backbone.source,
        sha256=weights_sha256(module),
    )
    named = {facet.name: {"content": "pooled"}.get(facet.kind, facet.kind) for facet in facets}
    return TorchNetwork(module, tuple(outputs), named, card, backbone.preprocessing)


def need_torch(what: str) -> Any:
    """Import torch, timm and torchvision, and return torch.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    try:
        for library in ("timm", "torchvision"):
            importlib.import_module(library)
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs torch once, to be converted ({error}); install it: pip install 'simkin[torch]'"
        ) from None


def load_weights(module: Any, path: Path, classifier: tuple[str, ...]) -> None:
    """Fill a network from a local checkpoint: a safetensors file or what ``torch.save`` wrote of a state dict.

    Args:
        module: The network, changed in place.
        path: The file; a state dict may lie under ``state_dict``, ``model`` or the like, and only tensors
            are read, never code.
        classifier: Names of modules whose weights may be missing, left over or of other shapes.

    Raises:
        InputError: The file is no checkpoint, or one of another network.
    """
    from timm.models import load_state_dict

    try:
        found: dict[str, Any] = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch and safetensors raise anything
        reason = str(error).partition("\n")[0][:160]
        raise InputError(f"{path} is no checkpoint that can be read ({reason}); expected a state dict") from None
    wanted = {key: value for key, value in module.state_dict().items() if not key.startswith(classifier)}
    missing = sorted(wanted.keys() - found.keys())
    other = [key for key in wanted.keys() & found.keys() if wanted[key].shape != found[key].shape]
    if missing:
        raise InputError(
            f"{path} is a checkpoint of another network: {len(missing)} of {len(wanted)} weights are missing, "
            f"{missing[0]} among them; name the architecture it was saved from"
        )
    if other:
        key = min(other)
        raise InputError(
            f"{path} is a checkpoint of a network of other shapes: {key} is {tuple(found[key].shape)}, expected "
            f"{tuple(wanted[key].shape)}; name the architecture it was saved from"
        )
    module.load_state_dict({key: found[key] for key in wanted}, strict=False)


def untrained_source(parsed: NetworkName) -> str:
    """A card's source for random weights."""
    return f"{UNTRAINED}: {parsed.library} {parsed.arch} as initialised; its answers mean nothing"


def _output_shapes(module: Any, preprocessing: Preprocessing, name: str) -> list[tuple[int, ...]]:
    import torch

    with torch.inference_mode():
        try:
            made = module(torch.zeros(1, 3, preprocessing.height, preprocessing.width))
        except Exception as error:  # whatever an unusual network raises
            reason = str(error).partition("\n")[0][:160]
            raise InputError(f"{name} does not answer with pooled features ({reason}); choose a backbone") from None
    shapes = [tuple(map(int, tensor.shape)) for tensor in made]
    if len(shapes[0]) != 2:
        raise InputError(
            f"{name} has no pooled output, its features are {'×'.join(map(str, shapes[0][1:]))}; choose a network "
            "with a pooled output, as those made for classification have"
        )
    return shapes


def _facets(short: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Facet, ...]:
    pooled = shapes["pooled"][1]
    content = Facet(f"content:{short}", 0, pooled, 0.0, min(256, pooled), 0.97, "pooled features before the classifier")
    if "style" not in shapes:
        return (content,)
    dim = shapes["style"][1]
    return content, Facet(f"style:{short}", pooled, pooled + dim, 0.25, min(96, dim), 0.97, STYLE_SOURCE)


def weights_sha256(module: Any) -> str:
    """Hash of all weights and buffers of a ``torch.nn.Module``, wherever they lie."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
