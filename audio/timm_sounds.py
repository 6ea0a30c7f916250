"""Sound networks of timm: image architectures that take log-mel patches as pictures of one channel; needs torch."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from timm.models import load_state_dict

from audio.export import SoundNetwork
from audio.frontends import FrontEnd, Layout, frontend_named
from audio.sound_names import SoundName
from audio.timm_cards import TIMM_SOUNDS
from index.errors import InputError, UnknownNameError

UNTRAINED = "UNTRAINED random weights"
"""How the source of a card begins whose network has learned nothing."""


def load_timm_sound(parsed: SoundName) -> SoundNetwork:
    """Load a timm network that hears.

    Args:
        parsed: A key of ``TIMM_SOUNDS``, or any timm architecture with a front-end: the network is built for one
            channel of the front-end's patches. Random weights are the same every time, and the card says so.

    Raises:
        InputError: The network has no pooled output, or its weights cannot be had or do not fit.
        UnknownNameError: timm has no such network, or there is no such front-end.
    """
    name, checkpoint, untrained = parsed.target, parsed.checkpoint, parsed.untrained
    known = TIMM_SOUNDS.get(name)
    if known is None and not parsed.frontend:
        listed = ", ".join(TIMM_SOUNDS)
        raise InputError(
            f"timm:{name} is not known to hear; name its front-end, as in timm:{name}?frontend=audiomae, or take one "
            f"of {listed}"
        )
    front = frontend_named(parsed.frontend or (known.frontend if known else ""))
    layout: Layout = "channel-mel-time" if front.layout in ("mel-time", "channel-mel-time") else "channel-time-mel"
    front = replace(front, layout=layout)
    local = untrained or checkpoint is not None
    arch = known.arch if known and local else name
    if not arch.startswith("hf_hub:") and not timm.is_model(arch.partition(".")[0]):
        raise UnknownNameError.of("timm network", arch.partition(".")[0], timm.list_models())
    weights = _weights(checkpoint) if checkpoint is not None else {}
    module = _created(arch, front, pretrained=not local, norm_first="norm.weight" in weights)
    if checkpoint is not None:
        _load(module, weights, checkpoint)
    _try_out(name, module, front)
    licence, source = (known.licence, known.source) if known else (_licence(module), f"timm {name}")
    title = parsed.text
    if untrained:
        licence, source = "Apache-2.0", f"{UNTRAINED}: {arch}; its answers mean nothing"
    elif checkpoint is not None:
        title = title.replace(str(checkpoint), checkpoint.name)  # wherever the file lies, its network is the same
        licence, source = "unknown", f"timm {arch}, weights of the local file {checkpoint.name}"
    short = name.rpartition("/")[2].rpartition(":")[2]
    return SoundNetwork(title, short, module, front, licence, source)


def _created(arch: str, front: FrontEnd, *, pretrained: bool, norm_first: bool) -> Any:
    """Build a network for one channel, with pooled features instead of classes.

    ``norm_first``: a transformer's tokens are normalised before they are averaged, as checkpoints without classifier
    have it, not after.
    """
    rows, columns = front.shape[-2:]
    options: dict[str, Any] = {"in_chans": 1, "num_classes": 0}
    shaped = options | {"global_pool": "avg", "img_size": (rows, columns)} | ({"fc_norm": False} if norm_first else {})
    torch.manual_seed(0)  # random weights, where asked for, are the same every time
    if arch.startswith("hf_hub:"):
        return _downloaded(arch)
    try:
        return timm.create_model(arch, pretrained=pretrained, **shaped).eval()
    except TypeError:  # convolutional networks take any size, and no option for it
        pass
    except Exception as error:
        raise InputError(f"timm:{arch} cannot be built for patches of {rows}×{columns}: {_first_line(error)}") from None
    try:
        return timm.create_model(arch, pretrained=pretrained, **options).eval()
    except Exception as error:
        raise InputError(f"timm:{arch} cannot be built for one channel: {_first_line(error)}") from None


def _downloaded(arch: str) -> Any:
    repository = arch.partition(":")[2]
    problem = "the model hub cannot be reached"
    if _at_hand(repository):
        try:
            return timm.create_model(arch, pretrained=True, num_classes=0).eval()
        except Exception as error:  # hubs, disks and networks fail in many ways
            problem = _first_line(error)
    raise InputError(
        f"the weights of {arch} cannot be had ({problem}); fetch model.safetensors of "
        f"https://huggingface.co/{repository} by hand and name it: timm:{arch}?checkpoint=model.safetensors"
    )


def _at_hand(repository: str) -> bool:
    """Whether a model is cached, or its hub's name resolves; asking first spares half a minute of retries."""
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repository, "config.json"), str):
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _weights(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors, never code."""
    if not path.is_file():
        raise InputError(f"the checkpoint {path} does not exist; expected a file of weights")
    try:
        found: dict[str, Any] = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch and safetensors raise anything
        raise InputError(f"{path} is no checkpoint that can be read: {_first_line(error)}") from None
    return found


def _load(module: Any, found: dict[str, Any], path: Path) -> None:
    wanted = module.state_dict()
    missing = sorted(wanted.keys() - found.keys())
    other = sorted(key for key in wanted.keys() & found.keys() if wanted[key].shape != found[key].shape)
    if missing or other:
        told = f"{missing[0]} is missing" if missing else f"{other[0]} has shape {tuple(found[other[0]].shape)}"
        raise InputError(f"{path} is a checkpoint of another network: {told}; name the architecture it was saved from")
    module.load_state_dict({key: found[key] for key in wanted})


def _try_out(name: str, module: Any, front: FrontEnd) -> None:
    try:
        with torch.inference_mode():
            shape = tuple(module(torch.zeros(1, 1, *front.shape[-2:])).shape)
    except Exception as error:
        raise InputError(
            f"timm:{name} does not take patches of front-end {front.name}, {front.shape[-2:]}: {_first_line(error)}"
        ) from None
    if len(shape) != 2:
        raise InputError(
            f"timm:{name} has no pooled output, its features have shape {shape[1:]}; choose another network"
        )


def _licence(module: Any) -> str:
    return str((getattr(module, "pretrained_cfg", None) or {}).get("license") or "unknown")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
