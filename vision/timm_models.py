"""Networks of timm: by name, with downloaded, local or random weights."""

from __future__ import annotations

import math
import socket
from typing import Any
from urllib.parse import urlsplit

import timm
from timm.data.config import resolve_model_data_config
from timm.utils.model import reparameterize_model

from index.errors import InputError, UnknownNameError
from vision.network_names import NetworkName
from vision.preprocess import Fit, Preprocessing
from vision.torch_models import Backbone, load_weights, untrained_source
from vision.torch_taps import STYLE_STRIDE, TimmTaps

FITS: dict[str, Fit] = {"center": "crop", "squash": "squash", "border": "border"}
"""What timm's crop modes are called here."""


def timm_backbone(parsed: NetworkName) -> Backbone:
    """Load a timm network with its own preprocessing.

    Raises:
        UnknownNameError: timm has no such network, or none with this tag.
        InputError: Its weights cannot be had, or do not fit.
    """
    tagged = f"{parsed.arch}.{parsed.weights}" if parsed.weights else parsed.arch
    if "/" not in parsed.arch:
        _check_name(parsed, tagged)
    body = _created(parsed, tagged)
    config: dict[str, Any] = body.pretrained_cfg
    if parsed.checkpoint is not None:
        classifier = config.get("classifier") or ()
        load_weights(body, parsed.checkpoint, (classifier,) if isinstance(classifier, str) else tuple(classifier))
    config_of: Any = resolve_model_data_config  # without types of its own
    preprocessing = from_data_config(config_of(body))
    licence, source = str(config.get("license") or "unknown"), f"timm {tagged}"
    if parsed.untrained:
        licence, source = "Apache-2.0", untrained_source(parsed)
    elif parsed.checkpoint is not None:
        licence, source = "unknown", f"timm {parsed.arch}, weights of the local file {parsed.checkpoint.name}"
    elif config.get("hf_hub_id"):
        source += f", weights of https://huggingface.co/{config['hf_hub_id']}"
    body = reparameterize_model(body.eval())  # branches that only training needs, folded
    styled, last = _blocks(body)
    return Backbone(TimmTaps(body, styled, last), preprocessing, licence, source)


def from_data_config(config: dict[str, Any]) -> Preprocessing:
    """Preprocessing as timm's ``resolve_model_data_config`` describes it.

    Raises:
        InputError: The network takes no RGB pictures, or pictures cropped in a way not known here.
    """
    channels, height, width = config["input_size"]
    if channels != 3 or config["crop_mode"] not in FITS:
        raise InputError(
            f"the network takes {channels} channels, cropped {config['crop_mode']!r}; expected RGB pictures"
        )
    return Preprocessing(
        height=height,
        width=width,
        scaled_height=max(height, math.floor(height / config["crop_pct"])),
        scaled_width=max(width, math.floor(width / config["crop_pct"])),
        fit=FITS[config["crop_mode"]],
        interpolation="bilinear" if config["interpolation"] == "random" else config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        fill=tuple(config["mean"]),
    )


def _check_name(parsed: NetworkName, tagged: str) -> None:
    if not timm.is_model(parsed.arch):
        raise UnknownNameError.of("timm network", parsed.arch, timm.list_models())
    if parsed.weights:
        tags = timm.list_pretrained(f"{parsed.arch}.*")
        if tagged not in tags:
            raise UnknownNameError.of("timm weights", tagged, tags)


def _created(parsed: NetworkName, tagged: str) -> Any:
    if parsed.untrained or parsed.checkpoint is not None:
        return timm.create_model(parsed.arch, pretrained=False)
    config = timm.get_pretrained_cfg(tagged) if "/" not in tagged else None
    if config is not None and not (config.hf_hub_id or config.url or config.file):
        raise InputError(
            f"timm has no trained weights for {tagged}; name your own, timm:{parsed.arch}?checkpoint=FILE, or take "
            f"random ones to try things out, timm:{parsed.arch}?untrained"
        )
    repository = str(config.hf_hub_id) if config is not None and config.hf_hub_id else tagged.partition(":")[2]
    by_hand = (
        f"fetch model.safetensors from https://huggingface.co/{repository} by hand and name it: "
        f"timm:{parsed.arch}?checkpoint=model.safetensors"
    )
    if repository and not _at_hand(repository):
        raise InputError(
            f"the weights of {tagged} are not on this machine and the model hub cannot be reached; {by_hand}"
        )
    try:
        return timm.create_model(tagged, pretrained=True)
    except Exception as error:  # networks, disks and servers fail in many ways
        reason = str(error).partition("\n")[0][:160]
        raise InputError(f"the weights of {tagged} cannot be had ({reason}); {by_hand}") from None


def _at_hand(repository: str) -> bool:
    """Whether a model is cached, or its hub's name resolves; asking first spares a minute of retries."""
    from huggingface_hub import constants, try_to_load_from_cache

    if any(
        isinstance(try_to_load_from_cache(repository, name), str) for name in ("model.safetensors", "pytorch_model.bin")
    ):
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _blocks(body: Any) -> tuple[list[int], int | None]:
    """Which blocks make the style, and the last one.

    Style is made up to ``STYLE_STRIDE``; where the map keeps its size, a quarter and half of the way through.
    """
    strides = [int(block["reduction"]) for block in getattr(body, "feature_info", [])]
    if not strides or not hasattr(body, "forward_intermediates"):
        return [], None
    last = len(strides) - 1
    if strides[0] == strides[-1]:
        return sorted({max(len(strides) // 4 - 1, 0), max(len(strides) // 2 - 1, 0)}), last
    early = [block for block, stride in enumerate(strides) if stride < strides[-1]]
    return [block for block in early if strides[block] <= STYLE_STRIDE] or early[:1], last
