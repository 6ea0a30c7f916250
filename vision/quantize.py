"""Networks in 8-bit numbers, kept only where they answer nearly alike and faster on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, MissingExtraError
from index.onnx_model import OnnxModel

LEAST_RECALL = 0.98
"""Share of the ten nearest pictures, by the float network, that the 8-bit one must find as well."""

NEIGHBOURS = 10
CALIBRATED = 100
"""Pictures that ranges of activations are read from; more changed no range by a percent."""

ROUNDS = 5
"""Interleaved timings, of which the medians are compared."""


@dataclass(frozen=True, slots=True)
class Int8Trial:
    """What 8-bit numbers cost and brought.

    Attributes:
        method: ``static`` or ``dynamic``.
        recall: Share of the float network's ten nearest pictures found, in the worst facet.
        speedup: How many times as fast as float32, one picture at a time on one thread.
    """

    method: str
    recall: float
    speedup: float

    @property
    def kept(self) -> bool:
        """Whether they are worth it."""
        return self.recall >= LEAST_RECALL and self.speedup > 1

    @property
    def sentence(self) -> str:
        """The verdict, for people."""
        figures = f"{self.method} int8: recall@{NEIGHBOURS} {self.recall:.3f}, {self.speedup:.2f} times as fast"
        if self.kept:
            return f"kept {figures}"
        short = [f"recall {LEAST_RECALL - self.recall:.3f} below {LEAST_RECALL}"] * (self.recall < LEAST_RECALL)
        short += [f"{1 - self.speedup:.0%} slower than float32"] * (self.speedup <= 1)
        return f"kept float32; {figures}, {' and '.join(short)}"


def enough_to_judge(count: int) -> None:
    """Refuse to judge by fewer pictures than say something.

    Raises:
        InputError: There are too few.
    """
    if count < 5 * NEIGHBOURS:
        raise InputError(
            f"int8 is judged on at least {5 * NEIGHBOURS} pictures of your own, not {count}; give more, or none to "
            "have some made"
        )


def try_int8(
    plain: Path, content: Mapping[str, Any], inputs: Sequence[NDArray[np.float32]]
) -> tuple[Path, dict[str, Any]]:
    """Quantize a network and judge it.

    Args:
        plain: The float32 file.
        content: What it will say of itself; see ``vision.export.network_content``.
        inputs: Pictures as it takes them, float32, shape ``(1, 3, height, width)`` each.

    Returns:
        The file to keep, and what it says of itself: the verdict as ``parity``'s ``int8``, and for 8-bit
        numbers ``precision`` in the card's preprocessing, so that their vectors never mix with others.

    Raises:
        InputError: onnxruntime cannot quantize the network.
        MissingExtraError: onnx is not installed.
    """
    outputs = list(dict.fromkeys(content["outputs"].values()))
    small = plain.with_name("int8.onnx")
    method = quantize(plain, small, inputs)
    trial = Int8Trial(method, recall_against(plain, small, inputs, outputs), speedup(plain, small, inputs, outputs))
    judged = {**content, "parity": {**content["parity"], "int8": trial.sentence}}
    if not trial.kept:
        return plain, judged
    card = dict(content["card"])
    card["preprocessing"] = {**card["preprocessing"], "precision": f"int8 {method}"}
    return small, {**judged, "card": card}


def quantize(plain: Path, small: Path, inputs: Sequence[NDArray[np.float32]]) -> str:
    """Write a network in 8-bit numbers.

    Convolutional networks are calibrated: per channel, weights signed and activations unsigned, which
    onnxruntime is fastest at on CPUs. Transformers are not: their activations have outliers that one
    range for all pictures destroys.

    Returns:
        ``static`` or ``dynamic``.
    """
    try:
        import onnx
        from onnxruntime import quantization as q
    except ImportError as error:
        raise MissingExtraError(f"int8 needs {error.name}; install it: pip install 'simkin[torch]'") from None
    operators = [node.op_type for node in onnx.load(str(plain), load_external_data=False).graph.node]
    method = "dynamic" if operators.count("Softmax") > 2 else "static"
    try:
        if method == "dynamic":
            q.quantize_dynamic(str(plain), str(small), per_channel=True, weight_type=q.QuantType.QInt8)
        else:
            prepared = plain.with_name("prepared.onnx")
            q.shape_inference.quant_pre_process(str(plain), str(prepared))
            q.quantize_static(
                str(prepared),
                str(small),
                _reader(plain, inputs),
                quant_format=q.QuantFormat.QDQ,
                per_channel=True,
                activation_type=q.QuantType.QUInt8,
                weight_type=q.QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            )
    except Exception as error:  # onnxruntime's tools raise many classes
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"onnxruntime cannot make int8 of this network ({reason}); export it without int8") from None
    return method


def recall_against(plain: Path, small: Path, inputs: Sequence[NDArray[np.float32]], outputs: Sequence[str]) -> float:
    """Share of each picture's ten nearest by one network that the other finds, in the worst output."""
    return min(
        _recall(a, b) for a, b in zip(*(_features(path, inputs, outputs) for path in (plain, small)), strict=True)
    )


def speedup(plain: Path, small: Path, inputs: Sequence[NDArray[np.float32]], outputs: Sequence[str]) -> float:
    """How many times as fast the second network is, taking turns with the first."""
    models = [OnnxModel(path) for path in (plain, small)]
    some = inputs[:16]
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for model in models:
            start = time.perf_counter()
            for pixels in some:
                model.run(pixels, outputs)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])


def _reader(plain: Path, inputs: Sequence[NDArray[np.float32]]) -> Any:
    """The calibration pictures, in the form that onnxruntime asks for."""
    (name,) = OnnxModel(plain).inputs
    step = max(1, len(inputs) // CALIBRATED)
    waiting = iter([{name: pixels} for pixels in inputs[::step][:CALIBRATED]])

    class Reader:
        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(waiting, None)

    return Reader()


def _features(path: Path, inputs: Sequence[NDArray[np.float32]], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
    """For each output float32, shape ``(pictures, dim)``, rows of unit length."""
    model = OnnxModel(path)
    rows = [model.run(pixels, outputs) for pixels in inputs]
    stacked = [np.concatenate([row[at].reshape(1, -1) for row in rows]) for at in range(len(outputs))]
    return [array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12) for array in stacked]


def _recall(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    near = [np.argsort(-_without_self(rows @ rows.T), axis=1)[:, :NEIGHBOURS] for rows in (one, other)]
    return float(np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(*near, strict=True)]))


def _without_self(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    np.fill_diagonal(scores, -np.inf)
    return scores
