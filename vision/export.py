"""Convert a torch network to one ONNX file that is a complete encoder, and hold it to the original."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import MediaError
from index.onnx_export import Parity, add_card, parity_of, publish, write_onnx
from index.onnx_model import OnnxModel
from vision.decode import decode_image
from vision.preprocess import Preprocessing
from vision.samples import made_pictures
from vision.torch_models import TorchNetwork, load_torch, need_torch

MADE = 16
"""Pictures made on the spot for parity when none are given."""

MOST = 32
"""Pictures looked at for parity when more are given; it shows in a few, and a large network takes seconds for each."""

MOST_INT8 = 200
"""Pictures that int8 is calibrated and judged on; half as many are made on the spot when none are given."""


def export(name: str, out: Path, samples: Sequence[Path] = (), *, int8: bool = False) -> Parity:
    """Convert a network by name.

    Args:
        name: See ``vision.network_names.FORMS``.
        out: The ``.onnx`` file to write; replaced if it exists.
        samples: The user's own pictures; unreadable ones are passed over. None: made on the spot.
        int8: Whether to try 8-bit numbers, kept only where they answer nearly alike and faster; see
            ``vision.quantize``.

    Returns:
        The parity reached, as stored in the file.

    Raises:
        MissingExtraError: torch, timm, torchvision, onnx or onnxscript is not installed.
        InputError: The network cannot be loaded or converted, or the conversion answers differently.
        UnknownNameError: There is no such network.
        StorageError: The file cannot be written.
    """
    need_torch(f"network {name!r}")
    return export_loaded(load_torch(name), name, out, samples, int8=int8)


def export_loaded(
    network: TorchNetwork,
    name: str,
    out: Path,
    samples: Sequence[Path] = (),
    *,
    int8: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Parity:
    """Convert a network that is loaded already; as ``export``.

    Args:
        name: Shown in errors.
        facts: What else the file says of itself, beside its card.
    """
    torch = need_torch(f"network {name!r}")
    inputs = sample_inputs(network.preprocessing, samples, MOST_INT8 if int8 else MOST)
    made = not inputs
    if made:
        pictures = made_pictures(MOST_INT8 // 2 if int8 else MADE)
        inputs = [network.preprocessing.apply(picture) for picture in pictures]
    if int8:
        from vision.quantize import enough_to_judge

        enough_to_judge(len(inputs))
    with tempfile.TemporaryDirectory(prefix="simkin-export-") as scratch:
        plain = Path(scratch) / "float32.onnx"
        how = network.preprocessing
        example = torch.zeros(2, 3, how.height, how.width)
        write_onnx(network.module, example, "picture", list(network.outputs), plain, name)
        parity = compare(network, plain, inputs[:MOST], made=made)
        parity.check(name)
        content = {**network_content(network, parity), **(facts or {})}
        chosen = plain
        if int8:
            from vision.quantize import try_int8

            chosen, content = try_int8(plain, content, inputs)
            parity = Parity(**content["parity"])
        add_card(chosen, content)
        publish(chosen, out)
    return parity


def sample_inputs(preprocessing: Preprocessing, samples: Sequence[Path], most: int) -> list[NDArray[np.float32]]:
    """Prepare the user's pictures, spread evenly over those given.

    Returns:
        float32, shape ``(1, 3, height, width)`` each; at most ``most``.
    """
    step = max(1, -(-len(samples) // most))
    inputs = []
    for path in samples[::step]:
        with contextlib.suppress(MediaError):
            inputs.append(preprocessing.apply(decode_image(path, preprocessing.min_side)))
    return inputs


def compare(network: TorchNetwork, path: Path, inputs: Sequence[NDArray[np.float32]], *, made: bool) -> Parity:
    """Ask both for the same pictures.

    Args:
        network: The original.
        path: The converted network.
        inputs: float32, shape ``(1, 3, height, width)`` each.
        made: Whether they were made on the spot.
    """
    torch = need_torch("comparing")
    model = OnnxModel(path)
    wanted = [network.outputs.index(output) for output in network.facets.values()]
    with torch.inference_mode():
        answers = [network.module(torch.from_numpy(pixels)) for pixels in inputs]
    original = [[answer[at].numpy() for at in wanted] for answer in answers]
    converted = [model.run(pixels, list(network.facets.values())) for pixels in inputs]
    return parity_of(original, converted, made=made)


def network_content(network: TorchNetwork, parity: Parity) -> dict[str, Any]:
    """What the file says of itself; ``vision.onnx_encoder`` reads it."""
    return {
        "card": network.card.to_json(),
        "outputs": dict(network.facets),
        "input": network.preprocessing.to_json(),
        "parity": asdict(parity),
    }
