"""Any picture network in one ONNX file, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from index.errors import InputError, MediaError
from index.onnx_model import OnnxModel, card_from, file_sha256
from index.types import EncoderCard, Facet, FeatureMap, Vector
from vision.decode import decode_image
from vision.preprocess import Preprocessing
from vision.presets import PRESETS, preset

CONTENT_OUTPUTS = ("embedding", "embeddings", "pooled", "image_embeds", "pooler_output", "features")
"""Names under which exporters give a picture's pooled features, best first."""

MAP_OUTPUT = "map"
"""Name of the last feature map, shape ``(n, channels, rows, columns)``, in files exported here."""


class OnnxPictureEncoder:
    """Describes pictures by a network; the file carries its card, or a preset says how to feed it.

    Args:
        path: The ``.onnx`` file. Its card comes from its metadata, else from ``model.onnx.json`` beside it
            (which may hold only ``{"preset": NAME}`` or ``{"input": …}``), else from ``preset``.
        preset: A key of ``vision.presets.PRESETS``, for files that say nothing themselves.

    Raises:
        InputError: The file cannot be opened, does not take one picture, or does not say how.
        UnknownNameError: There is no such preset.
    """

    def __init__(self, path: Path, preset: str = "") -> None:
        self.model = OnnxModel(path)
        self._channels_last, height, width = _input_size(self.model)
        content = self.model.metadata()
        if content and preset:
            raise InputError(f"{path} says itself how to feed it; leave the preset {preset!r} out")
        if "card" in content:
            self.preprocessing = Preprocessing.from_json(content.get("input", {}))
            self._card = card_from(content, path)
            self._outputs = _named_outputs(content, self._card, self.model)
        else:
            self.preprocessing = _preprocessing(content, preset, height or 224, width or height or 224, path)
            output = _content_output(self.model, content)
            self._card = _made_card(path, self.preprocessing, output, self._features([output])[0].size)
            self._outputs = [output]
        wanted = (self.preprocessing.height, self.preprocessing.width)
        if height not in (None, wanted[0]) or width not in (None, wanted[1]):
            raise InputError(
                f"{path} takes pictures of {height}×{width} pixels, but its card says {wanted[0]}×{wanted[1]}; "
                "correct the card"
            )

    @property
    def card(self) -> EncoderCard:
        """What identifies this encoder."""
        return self._card

    def describe(self, path: Path) -> Vector:
        """Read, decode and describe one picture.

        Returns:
            float32, shape ``(card.dim,)``, each facet of unit length.

        Raises:
            MediaError: The file cannot be read or decoded, or the network has no answer for it.
            InputError: The network does not fit its card.
        """
        return self.describe_pixels(decode_image(path, self.preprocessing.min_side))

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """See ``index.types.PictureEncoder``."""
        return np.asarray(decode_image(path, self.preprocessing.min_side), np.uint8)

    def describe_pixels(self, rgb: Image.Image | NDArray[np.uint8]) -> Vector:
        """Describe one decoded picture.

        Args:
            rgb: sRGB, mode ``RGB``; or uint8, shape ``(h, w, 3)``.

        Returns:
            As ``describe``.
        """
        parts = self._run(self.preprocessing.apply(rgb), self._outputs)
        vector = np.empty(self._card.dim, np.float32)
        for facet, part in zip(self._card.facets, parts, strict=True):
            if part.size != facet.dim:
                raise InputError(
                    f"{self.model.path}: output for {facet.name} has {part.size} numbers, its card says {facet.dim}"
                )
            vector[facet.start : facet.stop] = _unit(part)
        return vector

    def feature_map(self, rgb: Image.Image | NDArray[np.uint8]) -> FeatureMap | None:
        """What the network saw where, to explain answers.

        Args:
            rgb: sRGB, mode ``RGB``; or uint8, shape ``(h, w, 3)``.

        Returns:
            The map over what ``preprocessing`` keeps of the picture; ``None`` when the file has no such output.
        """
        if MAP_OUTPUT not in self.model.outputs:
            return None
        (found,) = self.model.run(self._input(self.preprocessing.apply(rgb)), [MAP_OUTPUT])
        width, height = rgb.size if isinstance(rgb, Image.Image) else rgb.shape[1::-1]
        return FeatureMap(found[0], self.preprocessing.seen(width, height))

    def _features(self, outputs: list[str]) -> list[NDArray[np.float32]]:
        """What the network makes of grey noise: shows shapes, and whether it works at all."""
        noise = np.random.default_rng(0).normal(0, 0.5, (1, 3, self.preprocessing.height, self.preprocessing.width))
        try:
            return self._run(noise.astype(np.float32), outputs)
        except MediaError:
            raise InputError(
                f"{self.model.path} makes values that are no numbers (NaN or infinite) even of noise; "
                "export it again, in float32"
            ) from None

    def _run(self, pixels: NDArray[np.float32], outputs: list[str]) -> list[NDArray[np.float32]]:
        return [_pooled(array) for array in self.model.run(self._input(pixels), outputs)]

    def _input(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if self._channels_last else pixels


def _input_size(model: OnnxModel) -> tuple[bool, int | None, int | None]:
    """Whether channels come last, then rows and columns; ``None`` when they may vary."""
    name, shape = model.single_input()
    fixed = [size if isinstance(size, int) else None for size in shape]
    problem = ""
    if len(shape) != 4 or (fixed[1] not in (3, None) and fixed[3] != 3):
        problem = f"takes {name} of shape {list(shape)}, which is no picture (N×3×height×width)"
    elif fixed[0] not in (1, None):
        problem = f"takes exactly {fixed[0]} pictures at once"
    if problem:
        raise InputError(f"{model.path} {problem}; export the network for any number of RGB pictures")
    if fixed[3] == 3 and fixed[1] != 3:
        return True, fixed[1], fixed[2]
    return False, fixed[2], fixed[3]


def _named_outputs(content: Mapping[str, Any], card: EncoderCard, model: OnnxModel) -> list[str]:
    """Output for each facet, in the card's order."""
    named = content.get("outputs")
    if card.modality != "image" or not isinstance(named, dict) or any(f.name not in named for f in card.facets):
        raise InputError(f"the card of {model.path} does not name a picture output for each facet; export it again")
    outputs = [str(named[facet.name]) for facet in card.facets]
    missing = [name for name in outputs if name not in model.outputs]
    if missing:
        raise InputError(f"{model.path} has no output {missing[0]!r} (it has {', '.join(model.outputs)})")
    return outputs


def _preprocessing(content: Mapping[str, Any], name: str, height: int, width: int, path: Path) -> Preprocessing:
    if "input" in content:
        return Preprocessing.from_json(content["input"])
    name = name or str(content.get("preset", ""))
    if not name:
        raise InputError(
            f"{path} does not say how to prepare pictures for it; name a preset ({', '.join(PRESETS)}) or put a card "
            f"beside it as {path.name}.json"
        )
    return preset(name, height, width)


def _content_output(model: OnnxModel, content: Mapping[str, Any]) -> str:
    """The output that says most of what is seen: by name, else the first flat one, else one to be pooled."""
    if "output" in content:
        if content["output"] not in model.outputs:
            raise InputError(f"{model.path} has no output {content['output']!r} (it has {', '.join(model.outputs)})")
        return str(content["output"])
    known = [name for name in CONTENT_OUTPUTS if name in model.outputs]
    for rank in (2, 4, 3):
        known += [name for name, shape in model.outputs.items() if len(shape) == rank]
    if not known:
        raise InputError(f"{model.path} has no output that is one vector a picture (it has {', '.join(model.outputs)})")
    return known[0]


def _made_card(path: Path, preprocessing: Preprocessing, output: str, dim: int) -> EncoderCard:
    content = Facet(f"content:{path.stem}", 0, dim, whitening=0.0, kept=256, same=0.97, source=f"output {output}")
    return EncoderCard(
        name=f"onnx:{path.name}",
        revision=1,
        modality="image",
        facets=(content,),
        preprocessing={**preprocessing.attributes(), "output": output},
        licence="unknown",
        source=f"the file {path.name}",
        sha256=file_sha256(path),
    )


def _pooled(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """One picture's output as one row: maps ``(1, c, h, w)`` are averaged, of tokens ``(1, n, c)`` the first taken."""
    if array.ndim == 4:
        return np.asarray(array[0].mean(axis=(1, 2)), np.float32)
    return np.asarray(array[0, 0] if array.ndim == 3 else array.reshape(-1), np.float32)


def _unit(part: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.sqrt(np.sum(np.square(part, dtype=np.float64))))
    if length < 1e-12:
        raise MediaError("encode", "the network answers with zeros; there is nothing to compare")
    return (part / np.float32(length)).astype(np.float32)
