"""A network in one ONNX file: its session, and the card it carries as metadata."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InputError, MediaError
from index.types import EncoderCard

CARD_KEY = "simkin.card"
"""Metadata key under which a file exported here carries its card and the names of its outputs."""

PROVIDER = "SIMKIN_PROVIDER"
"""Environment variable that says what networks run on: ``cpu``, unless it says ``cuda``."""

SIDECAR = ".json"
"""A file exported elsewhere may have the same content beside it, in ``model.onnx.json``."""


class OnnxModel:
    """An open session on one thread: the worker processes are the parallelism, and spinning threads
    would cost more than they bring.

    Args:
        path: The ``.onnx`` file.

    Raises:
        InputError: It is missing, truncated, lacks its external data, or is no ONNX file; the message
            says which and what to do.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        if not path.is_file():
            raise InputError(f"{path} does not exist; expected an ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.path = path
        providers = _providers(onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime raises a dozen classes without a common root
            raise InputError(_why_not(path, str(error))) from None
        nodes = self._session.get_inputs()
        self.inputs: dict[str, tuple[Any, ...]] = {node.name: tuple(node.shape) for node in nodes}
        self._dtypes: dict[str, str] = {node.name: node.type for node in nodes}
        self.outputs: dict[str, tuple[Any, ...]] = {
            node.name: tuple(node.shape) for node in self._session.get_outputs()
        }

    def single_input(self) -> tuple[str, tuple[Any, ...]]:
        """Name and shape of the input; a dimension that may vary is a string or ``None``.

        Raises:
            InputError: There are several, or it takes no numbers.
        """
        if len(self.inputs) != 1:
            raise InputError(
                f"{self.path} has {len(self.inputs)} inputs ({', '.join(self.inputs)}); expected one, a picture or a "
                "spectrogram: export the part of the network that takes only that"
            )
        ((name, shape),) = self.inputs.items()
        if self._dtypes[name] not in _TAKEN:
            raise InputError(
                f"{self.path} takes {name} as {self._dtypes[name]}; expected float or float16: export it without the "
                "steps before the network"
            )
        return name, shape

    def run(self, batch: NDArray[Any], outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Run the network on one batch through its single input.

        Args:
            batch: As the network takes it, first axis the batch.
            outputs: Names of outputs, in the order wanted.

        Returns:
            float32 arrays, first axis the batch.

        Raises:
            InputError: The network has several inputs, or does not take this shape.
            MediaError: A value is no number.
        """
        name, shape = self.single_input()
        try:
            found = self._session.run(list(outputs), {name: batch.astype(_TAKEN[self._dtypes[name]], copy=False)})
        except Exception as error:  # as above
            raise InputError(
                f"{self.path} takes {name} of shape {_shown(shape)}, not {_shown(batch.shape)}; name the preprocessing "
                f"it was trained with ({_first_line(error)})"
            ) from None
        arrays = [np.asarray(array, np.float32) for array in found]
        if not all(np.isfinite(array).all() for array in arrays):
            raise MediaError(
                "encode", f"the network {self.path.name} made values that are no numbers; export it in float32"
            )
        return arrays

    def metadata(self) -> dict[str, Any]:
        """The card's JSON as the file carries it, or its sidecar does; empty when neither does.

        Raises:
            InputError: It is not JSON.
        """
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY, "")
        sidecar = self.path.with_name(self.path.name + SIDECAR)
        try:
            if not text and sidecar.is_file():
                text = sidecar.read_text()
            content: dict[str, Any] = json.loads(text) if text else {}
        except (OSError, ValueError) as error:
            raise InputError(f"{sidecar if not text else self.path}: its card is not JSON: {error}") from None
        return content


@contextmanager
def running_on(provider: str) -> Iterator[None]:
    """Have processes that are started by the body run networks on ``"cpu"`` or ``"cuda"``."""
    before = os.environ.get(PROVIDER)
    os.environ[PROVIDER] = provider
    try:
        yield
    finally:
        if before is None:
            del os.environ[PROVIDER]
        else:
            os.environ[PROVIDER] = before


def _providers(available: Sequence[str]) -> list[str]:
    """What a session runs on, as ``SIMKIN_PROVIDER`` says: ``cpu``, or ``cuda`` with the CPU for what that lacks."""
    asked = os.environ.get(PROVIDER, "cpu")
    if asked not in ("cpu", "cuda"):
        raise InputError(f"{PROVIDER} is {asked!r}; expected cpu or cuda")
    if asked == "cuda" and "CUDAExecutionProvider" not in available:
        raise InputError(
            f"this onnxruntime runs on {', '.join(available)}, not on CUDA; install the other one: "
            "pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if asked == "cuda" else ["CPUExecutionProvider"]


_TAKEN: dict[str, type[np.floating[Any]]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
"""Types of input that float32 numbers are cast to."""


def card_from(content: Mapping[str, Any], path: Path) -> EncoderCard:
    """Read an encoder's card from metadata.

    Raises:
        InputError: Something is missing; the message says what.
    """
    try:
        return EncoderCard.from_json(content["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the card of {path} is incomplete: {error!r}") from None


def file_sha256(path: Path) -> str:
    """Hash of a file's content, for its card."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(shape: Sequence[Any]) -> str:
    return "×".join(str(size) if isinstance(size, int) else "N" for size in shape)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:160]


def _why_not(path: Path, error: str) -> str:
    lowered = error.lower()
    if "external data" in lowered or "external_data" in lowered or ".data" in lowered:
        return f"{path} keeps its weights in another file that is not beside it ({error[:160]}); fetch that too"
    if "protobuf" in lowered or "parse" in lowered or "invalid model" in lowered or "modelproto" in lowered:
        return f"{path} is truncated or no ONNX file ({path.stat().st_size} bytes); fetch it again"
    return f"{path} cannot be opened by onnxruntime: {error[:300]}"
