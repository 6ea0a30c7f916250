"""From a sound network in torch to one ONNX file that is a complete encoder; needs torch, once."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audio.builtin import audible_windows
from audio.decode import read_windows
from audio.frontends import FrontEnd
from audio.network_card import network_card
from audio.patches import patches_of, plan_patches
from audio.slice_cnn import SliceCnn
from audio.temporal_cnn import TemporalCnn
from index.errors import InputError
from index.onnx_export import Parity, add_card, parity_of, publish, write_onnx
from index.onnx_model import OnnxModel

MADE_SOUNDS = 8
"""Sounds made on the spot, where no songs are given."""


@dataclass(frozen=True, slots=True)
class SoundNetwork:
    """A network in torch, with what makes it an encoder.

    Attributes:
        name: As typed after ``--encoder``.
        short: Names its facet, ``content:<short>``.
        module: From patches, float32 ``(batch, *frontend.shape)``, to embeddings, float32 ``(batch, dim)``.
        frontend: What it hears.
        licence: Of its weights.
        source: Where its weights come from; says so when they are random.
    """

    name: str
    short: str
    module: nn.Module
    frontend: FrontEnd
    licence: str
    source: str


class Embedding(nn.Module):  # type: ignore[misc, unused-ignore]  # Any where torch is not installed
    """A trainable network as it is exported: up to its embedding."""

    def __init__(self, network: TemporalCnn | SliceCnn) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        """Embed: patches in, ``(batch, dim)`` out."""
        return self.network.embed(patches)


def export_sound(network: SoundNetwork, out: Path, songs: Sequence[Path] = ()) -> Parity:
    """Write a network as one ONNX file with a free batch axis, its card and its front-end inside.

    Args:
        network: What to export; it is switched to evaluation.
        out: The file to write; replaced only by a file that has passed.
        songs: Sounds to compare torch and onnxruntime on; without any, sounds are made.

    Returns:
        The parity, which the file stores, too.

    Raises:
        InputError: The network cannot be exported, or its file answers otherwise.
        MissingExtraError: onnx or onnxscript is not installed.
        MediaError: One of the songs cannot be described.
        StorageError: The file cannot be written.
    """
    patches = _patches(network.frontend, songs)
    wanted = embed_patches(network.module, patches)
    if wanted.ndim != 2 or not np.isfinite(wanted).all():
        raise InputError(
            f"{network.name} answers with shape {wanted.shape} or with values that are no numbers; expected one vector "
            "per patch: choose a network with a pooled output"
        )
    with tempfile.TemporaryDirectory(prefix="simkin-export-") as scratch:
        draft = Path(scratch) / "float32.onnx"
        example = torch.from_numpy(np.repeat(patches[:1], 2, axis=0))
        write_onnx(network.module, example, "patches", ["embedding"], draft, network.name)
        model = OnnxModel(draft)
        found = np.concatenate([model.run(patches[i : i + 2], ["embedding"])[0] for i in range(0, len(patches), 2)])
        parity = parity_of([[row] for row in wanted], [[row] for row in found], made=not songs)
        parity.check(network.name)
        add_card(draft, _content(network, wanted.shape[1], parity))
        publish(draft, out)
    return parity


def embed_patches(module: nn.Module, patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network in torch, in evaluation mode: patches in, float32 ``(patches, dim)`` out."""
    module.eval()
    with torch.inference_mode():
        found = [module(torch.from_numpy(patches[i : i + 1])) for i in range(len(patches))]
    return np.asarray(torch.cat(found).numpy(), np.float32)


def _patches(front: FrontEnd, songs: Sequence[Path]) -> NDArray[np.float32]:
    if not songs:
        return np.concatenate([patches_of([_sound(front, seed)], front, front.layout) for seed in range(MADE_SOUNDS)])
    plan = plan_patches(front)
    read = [audible_windows(read_windows(song, front.rate, plan)) for song in songs]
    return np.concatenate([patches_of(windows, front, front.layout) for windows in read])


def _sound(front: FrontEnd, seed: int) -> NDArray[np.float32]:
    """A few decaying tones over noise, as long as a patch."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(front.seconds * front.rate)) / front.rate
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in rng.uniform(80, 3000, 5))
    beat = np.exp(-4 * (time * rng.uniform(1, 4) % 1))
    sound = 0.1 * tones * beat + 0.01 * rng.standard_normal(len(time))
    return np.asarray(sound, np.float32)


def _content(network: SoundNetwork, dim: int, parity: Parity) -> dict[str, Any]:
    """What makes the file an encoder."""
    card = network_card(network.name, network.short, dim, network.frontend, network.licence, network.source, sha256="")
    return {
        "card": card.to_json(),
        "outputs": {card.facets[0].name: "embedding"},
        "frontend": network.frontend.to_json(),
        "parity": asdict(parity),
    }
