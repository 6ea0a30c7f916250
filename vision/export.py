"""Convert a torch network to one ONNX file that is a complete encoder, and hold it to the original."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, MediaError, MissingExtraError, StorageError
from index.onnx_model import CARD_KEY, OnnxModel
from vision.decode import decode_image
from vision.preprocess import Preprocessing
from vision.samples import made_pictures
from vision.torch_models import TorchNetwork, load_torch, need_torch

OPSET = 18
"""Version of ONNX's operators: what torch's exporter writes by itself, and onnxruntime 1.17 reads."""

LOWEST_PARITY = 0.9999
"""Cosine to torch that every picture must reach; correct conversions reach 0.999999."""

MADE = 16
"""Pictures made on the spot for parity when none are given."""

MOST = 32
"""Pictures looked at for parity when more are given; it shows in a few, and a large network takes seconds for each."""

MOST_INT8 = 200
"""Pictures that int8 is calibrated and judged on; half as many are made on the spot when none are given."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How well a converted network agrees with the original.

    Attributes:
        pictures: How many were compared.
        minimum: Lowest cosine between torch and the float32 conversion, over pictures and facets.
        mean: Mean cosine, of the worst facet.
        made: Whether the pictures were made on the spot.
        int8: What became of ``int8``: empty when not asked for.
    """

    pictures: int
    minimum: float
    mean: float
    made: bool
    int8: str = ""


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
    network = load_torch(name)
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
        write_onnx(network, plain)
        parity = compare(network, plain, inputs[:MOST], made=made)
        if not parity.minimum >= LOWEST_PARITY:
            raise InputError(
                f"{name} as ONNX answers differently from torch: cosine {parity.minimum:.6f} at worst, expected "
                f"{LOWEST_PARITY}; update torch and onnxscript, or choose another network"
            )
        content = network_content(network, parity)
        chosen = plain
        if int8:
            from vision.quantize import try_int8

            chosen, content = try_int8(plain, content, inputs)
            parity = Parity(**content["parity"])
        add_card(chosen, content)
        _publish(chosen, out)
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


def write_onnx(network: TorchNetwork, path: Path) -> None:
    """Write a network as one file for any number of pictures.

    Raises:
        InputError: torch cannot convert it.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    torch = need_torch("exporting")
    example = torch.zeros(2, 3, network.preprocessing.height, network.preprocessing.width)
    try:
        with _quietly():
            program = torch.onnx.export(
                network.module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["picture"],
                output_names=list(network.outputs),
                dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
                verbose=False,
            )
            program.save(str(path), external_data=False)
    except ImportError as error:
        raise MissingExtraError(f"exporting needs {error.name}; install it: pip install 'simkin[torch]'") from None
    except Exception as error:  # the exporter raises many classes
        reason = str(error).strip().partition("\n")[0][:240]
        raise InputError(
            f"torch cannot convert {network.card.name} to ONNX ({reason}); update torch and onnxscript, or choose "
            "another network"
        ) from None


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
    cosines = np.empty((len(inputs), len(wanted)))
    with torch.inference_mode():
        for row, pixels in enumerate(inputs):
            original = network.module(torch.from_numpy(pixels))
            converted = model.run(pixels, list(network.facets.values()))
            for column, at in enumerate(wanted):
                cosines[row, column] = cosine(original[at].numpy(), converted[column])
    return Parity(len(inputs), float(cosines.min()), float(cosines.mean(axis=0).min()), made)


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Cosine of two vectors, whatever their shape; computed in float64."""
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    return float(a @ b) / math.sqrt(max(float(a @ a) * float(b @ b), 1e-300))


def network_content(network: TorchNetwork, parity: Parity) -> dict[str, Any]:
    """What the file says of itself; ``vision.onnx_encoder`` reads it."""
    return {
        "card": network.card.to_json(),
        "outputs": dict(network.facets),
        "input": network.preprocessing.to_json(),
        "parity": asdict(parity),
    }


def add_card(path: Path, content: Mapping[str, Any]) -> None:
    """Put a card into a file's metadata, in place of what the exporter left there."""
    import onnx

    model = onnx.load(str(path))
    del model.metadata_props[:]
    for node in model.graph.node:  # the exporter notes for each where in whose source code it came from
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(content, sort_keys=True)})
    onnx.save(model, str(path))


def _publish(file: Path, out: Path) -> None:
    """Put a finished file in place all at once."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f".{out.name}.{os.getpid()}.part")
        part.write_bytes(file.read_bytes())
        part.replace(out)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's own progress, advice and deprecations off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
