"""A sound network in an ONNX file, as an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audio.builtin import audible_windows
from audio.decode import DEFAULT_LIMITS, Limits, read_windows
from audio.frontend_json import frontend_from
from audio.frontends import FRONTENDS, FrontEnd, Layout, patch_shape
from audio.network_card import network_card
from audio.patches import patches_of, plan_patches
from index.errors import InputError, MediaError, UnknownNameError
from index.onnx_model import OnnxModel, card_from, file_sha256
from index.types import EncoderCard, Vector

BATCH = 8
"""Patches per run: enough to fill the processor's vector units, few enough that a transformer's attention stays
within some hundred megabytes."""

EMBEDDING_NAMES = ("embedding", "embeddings", "features")
"""Names of the output taken where a file has several and nothing says which."""


class OnnxSongEncoder:
    """Any network that takes log-mel patches; a song's vector is the mean over its patches, of unit length.

    A file that was exported here carries its card. One exported elsewhere has the same JSON beside it, in
    ``model.onnx.json`` (there, ``frontend`` alone is enough), or its front-end is named.

    Args:
        path: The ``.onnx`` file.
        frontend: Name of a front-end; needed only where neither file nor sidecar says.
        output: Name of the output to take; needed only where it is not plain.
        limits: What one sound file may cost.

    Raises:
        InputError: The file is missing, truncated or no ONNX file, nothing says what it hears, or its inputs or
            outputs are not those of such a network.
        UnknownNameError: There is no such front-end or output.
    """

    def __init__(self, path: Path, frontend: str = "", output: str = "", limits: Limits = DEFAULT_LIMITS) -> None:
        self._model = OnnxModel(path)
        self._limits = limits
        content = self._model.metadata()
        self._front = _frontend(path, content, frontend)
        self._layout, self._batch = _fit(self._model, self._front)
        self._outputs = _outputs(self._model, content, output)
        dims = self._try_out()
        if "card" in content and not output:
            card = card_from(content, path)
            _check_card(path, card, list(self._outputs), dims)
            self._card = replace(card, sha256=file_sha256(path))
        else:
            self._card = self._made_card(path, content, next(iter(dims.values())), frontend, output)

    @property
    def card(self) -> EncoderCard:
        """What identifies this encoder."""
        return self._card

    @property
    def frontend(self) -> FrontEnd:
        """What the network hears."""
        return self._front

    def describe(self, path: Path) -> Vector:
        """Describe one sound file.

        Args:
            path: Any format that libsndfile or FFmpeg reads.

        Returns:
            float32, shape ``(card.dim,)``, each facet of unit length.

        Raises:
            MediaError: The file cannot be read or decoded, is too short or silent, or makes the network produce values
                that are no numbers.
        """
        recording = read_windows(path, self._front.rate, plan_patches(self._front), self._limits)
        return self.describe_patches(patches_of(audible_windows(recording), self._front, self._layout))

    def describe_patches(self, patches: NDArray[np.float32]) -> Vector:
        """Describe a song by its patches: float32, shape ``(patches, *shape)``, in the network's layout.

        Raises:
            MediaError: The network answers with zeros or with values that are no numbers.
        """
        sums = [np.zeros(facet.dim) for facet in self._card.facets]
        for start in range(0, len(patches), self._batch):
            found = self._model.run(patches[start : start + self._batch], list(self._outputs.values()))
            for total, rows in zip(sums, found, strict=True):
                total += rows.sum(axis=0, dtype=np.float64)
        if not any(total.any() for total in sums):
            raise MediaError("encode", "the network answers with zeros; there is nothing to compare")
        return np.concatenate([_unit(total) for total in sums])

    def _try_out(self) -> dict[str, int]:
        """Run the network once on noise: length per output name.

        Raises:
            InputError: It fails, or makes values that are no numbers, or no vector per patch.
        """
        noise = 0.1 * np.random.default_rng(0).standard_normal(self._front.rate).astype(np.float32)
        names = list(self._outputs.values())
        try:
            found = self._model.run(patches_of([noise], self._front, self._layout), names)
        except MediaError:
            raise InputError(
                f"{self._model.path} makes values that are no numbers even of plain noise; "
                "convert it again, in float32, and check the conversion"
            ) from None
        for name, rows in zip(names, found, strict=True):
            if rows.ndim != 2 or len(rows) != 1:
                raise InputError(
                    f"{self._model.path}: output {name} has shape {rows.shape} for one patch; expected (1, n), a "
                    f"vector per patch; choose another output: {', '.join(self._model.outputs)}"
                )
        return {name: rows.shape[1] for name, rows in zip(names, found, strict=True)}

    def _made_card(self, path: Path, content: Mapping[str, Any], dim: int, frontend: str, output: str) -> EncoderCard:
        options = "&".join(f"{key}={value}" for key, value in (("frontend", frontend), ("output", output)) if value)
        name = f"onnx:{path.name}" + (f"?{options}" if options else "")
        licence, source = str(content.get("licence", "unknown")), str(content.get("source", f"the file {path.name}"))
        return network_card(name, path.stem, dim, self._front, licence, source, file_sha256(path))


def _frontend(path: Path, content: Mapping[str, Any], named: str) -> FrontEnd:
    given = frontend_from(content["frontend"]) if "frontend" in content else None
    if named:
        front = frontend_from(named)
        if "card" in content and given not in (None, front):
            raise InputError(f"{path} says itself what it hears, and that is not {named}; leave frontend= out")
        return front
    if given is not None:
        return given
    raise InputError(
        f"{path} does not say what it hears; name its front-end, as in onnx:{path.name}?frontend=musicnn (known: "
        f"{', '.join(sorted(FRONTENDS))}), or describe it in {path.name}.json"
    )


def _fit(model: OnnxModel, front: FrontEnd) -> tuple[Layout, int]:
    """The layout in which the front-end's patches fit the network's input, and how many go into one run."""
    name, shape = model.single_input()
    layouts: tuple[Layout, ...] = ("time-mel", "mel-time", "channel-time-mel", "channel-mel-time")
    for layout in (front.layout, *layouts):
        wanted = patch_shape(layout, front.frames, front.mels)
        fits = len(shape) == 1 + len(wanted) and all(
            not isinstance(there, int) or there == here for there, here in zip(shape[1:], wanted, strict=True)
        )
        if fits:
            batch = shape[0] if isinstance(shape[0], int) else BATCH
            if batch not in (1, BATCH) and isinstance(shape[0], int):
                raise InputError(
                    f"{model.path} takes exactly {batch} patches at once; export it with a free batch axis"
                )
            return layout, int(batch)
    raise InputError(
        f"{model.path} takes {name} of shape {shape}, but front-end {front.name} makes patches of {front.frames} "
        f"frames by {front.mels} bands; name the front-end it was trained with (known: {', '.join(sorted(FRONTENDS))})"
    )


def _outputs(model: OnnxModel, content: Mapping[str, Any], named: str) -> dict[str, str]:
    """Facet name → output name; one facet without name where nothing says more."""
    given = content.get("outputs", {"": content["output"]} if "output" in content else {})
    if not isinstance(given, Mapping):
        raise InputError(f"the card of {model.path}: outputs is no object of facet and output names")
    wanted = {"": named} if named else {str(facet): str(output) for facet, output in given.items()}
    for output in wanted.values():
        if output not in model.outputs:
            raise UnknownNameError.of(f"output of {model.path}", output, model.outputs)
    if wanted:
        return wanted
    known = [name for name in EMBEDDING_NAMES if name in model.outputs]
    if known or len(model.outputs) == 1:
        return {"": known[0] if known else next(iter(model.outputs))}
    raise InputError(
        f"{model.path} has several outputs: {', '.join(model.outputs)}; name the embedding, as in "
        f"onnx:{model.path.name}?frontend=…&output={next(iter(model.outputs))}"
    )


def _check_card(path: Path, card: EncoderCard, facets: list[str], dims: Mapping[str, int]) -> None:
    if [facet.name for facet in card.facets] != facets or [facet.dim for facet in card.facets] != list(dims.values()):
        told = ", ".join(f"{facet.name} of {facet.dim}" for facet in card.facets)
        found = ", ".join(f"{facet or 'an output'} of {dim}" for facet, dim in zip(facets, dims.values(), strict=True))
        raise InputError(f"the card of {path} promises {told}, but the network gives {found}; export it again")
    if card.modality != "audio":
        raise InputError(f"{path} is a network for modality {card.modality!r}; songs need one for 'audio'")


def _unit(total: NDArray[np.float64]) -> Vector:
    length = float(np.linalg.norm(total))
    return (total / length if length > 1e-9 else np.zeros_like(total)).astype(np.float32)
