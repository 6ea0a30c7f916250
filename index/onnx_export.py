"""Writing a torch network as one ONNX file with its card, held to what torch answers."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, MissingExtraError, StorageError
from index.onnx_model import CARD_KEY

OPSET = 18
"""Version of ONNX's operators: what torch's exporter writes by itself, and onnxruntime 1.17 reads."""

LOWEST_PARITY = 0.9999
"""Cosine to torch that every sample must reach; correct conversions reach 0.999999."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How well a converted network agrees with the original.

    Attributes:
        samples: How many pictures, or patches of sounds, were compared.
        minimum: Lowest cosine between torch and the float32 conversion, over samples and outputs.
        mean: Mean cosine, of the worst output.
        made: Whether the samples were made on the spot.
        int8: What became of ``int8``: empty when not asked for.
    """

    samples: int
    minimum: float
    mean: float
    made: bool
    int8: str = ""

    def check(self, name: str) -> None:
        """Refuse a conversion that answers otherwise.

        Raises:
            InputError: The lowest cosine is below ``LOWEST_PARITY``.
        """
        if not self.minimum >= LOWEST_PARITY:
            raise InputError(
                f"{name} as ONNX answers otherwise than in torch: cosine {self.minimum:.6f} at worst, expected "
                f"{LOWEST_PARITY}; update torch and onnxscript, or choose another network"
            )


def parity_of(
    torch_answers: Sequence[Sequence[NDArray[np.float32]]],
    onnx_answers: Sequence[Sequence[NDArray[np.float32]]],
    *,
    made: bool,
) -> Parity:
    """Compare what both answered.

    Args:
        torch_answers: For each sample, each output, of any shape.
        onnx_answers: The same from the converted network.
        made: Whether the samples were made on the spot.
    """
    cosines = np.array(
        [
            [cosine(a, b) for a, b in zip(ours, theirs, strict=True)]
            for ours, theirs in zip(torch_answers, onnx_answers, strict=True)
        ]
    )
    return Parity(len(cosines), float(cosines.min()), float(cosines.mean(axis=0).min()), made)


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Cosine of two vectors, whatever their shape; computed in float64; 1 for two that are all zero."""
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    if not a.any() and not b.any():
        return 1.0
    return float(a @ b) / math.sqrt(max(float(a @ a) * float(b @ b), 1e-300))


def write_onnx(module: Any, example: Any, inputs: str, outputs: Sequence[str], path: Path, name: str) -> None:
    """Write a network as one file with a free batch axis.

    Args:
        module: A ``torch.nn.Module`` in evaluation mode.
        example: A tensor as it takes it, at least two samples: a batch of one would be taken for fixed.
        inputs: Name of its input.
        outputs: Names of its outputs, in order.
        name: Shown in errors.

    Raises:
        InputError: torch cannot convert it.
        MissingExtraError: torch, onnx or onnxscript is not installed.
    """
    try:
        import torch

        with _quietly():
            program: Any = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[inputs],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
                verbose=False,
            )
            program.save(str(path), external_data=False)
    except ImportError as error:
        raise MissingExtraError(f"exporting needs {error.name}; install it: pip install 'simkin[torch]'") from None
    except Exception as error:  # the exporter raises many classes
        reason = str(error).strip().partition("\n")[0][:240]
        raise InputError(
            f"torch cannot convert {name} to ONNX ({reason}); update torch and onnxscript, or choose another network"
        ) from None


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


def publish(file: Path, out: Path) -> None:
    """Put a finished file in place all at once.

    Raises:
        StorageError: It cannot be written.
    """
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
