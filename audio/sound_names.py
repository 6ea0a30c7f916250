"""Names of sound networks as typed: ``timm:<arch>?frontend=audiomae``, ``onnx:FILE?frontend=musicnn``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audio.timm_cards import TIMM_SOUNDS
from index.errors import InputError, UnknownNameError

FORMS = (
    "onnx:FILE, onnx:FILE?frontend=NAME&output=NAME, timm:<arch>?frontend=NAME, with &checkpoint=FILE or &untrained, "
    f"or one of {', '.join('timm:' + name for name in TIMM_SOUNDS)}"
)

OPTIONS = {"onnx": ("frontend", "output"), "timm": ("frontend", "checkpoint", "untrained")}
"""What may follow the question mark, by library."""


@dataclass(frozen=True, slots=True)
class SoundName:
    """A sound network's name, taken apart.

    Attributes:
        text: As typed.
        library: What reads it.
        target: The file, or timm's name of the architecture or of a repository on a model hub.
        frontend: Name of a front-end; empty where the network says itself.
        output: Name of a file's output; empty for the usual one.
        checkpoint: Local file of weights, instead of the hub's.
        untrained: Whether random weights are asked for.
    """

    text: str
    library: Literal["onnx", "timm"]
    target: str
    frontend: str = ""
    output: str = ""
    checkpoint: Path | None = None
    untrained: bool = False


def parse_sound_name(text: str) -> SoundName:
    """Take a name apart.

    Raises:
        InputError: It has none of the forms in ``FORMS``.
        UnknownNameError: One of its options is not known.
    """
    library, _, rest = text.partition(":")
    target, _, tail = rest.partition("?")
    if library not in ("onnx", "timm") or not target:
        raise InputError(f"cannot read the network's name {text!r}; expected {FORMS}")
    options: dict[str, str] = {}
    for option in tail.split("&") if tail else []:
        key, sign, value = option.partition("=")
        if key not in OPTIONS[library]:
            raise UnknownNameError.of(f"option of {library}:{target}", key, OPTIONS[library])
        if bool(value) == (key == "untrained") or bool(sign) == (key == "untrained") or key in options:
            raise InputError(f"cannot read {option!r} in the network's name {text!r}; expected {FORMS}")
        options[key] = value
    checkpoint = Path(options["checkpoint"]) if "checkpoint" in options else None
    if checkpoint is not None and "untrained" in options:
        raise InputError(f"{text!r} asks for a checkpoint and for random weights; leave one out")
    frontend, untrained = options.get("frontend", ""), "untrained" in options
    if library == "onnx":
        return SoundName(text, "onnx", target, frontend, options.get("output", ""))
    return SoundName(text, "timm", target, frontend, "", checkpoint, untrained)


def names_a_sound_network(text: str) -> bool:
    """Whether a name says by itself that the network hears; of ``onnx:FILE``, only the file can tell."""
    library, _, rest = text.partition(":")
    target, _, tail = rest.partition("?")
    if library not in ("onnx", "timm"):
        return False
    return (library == "timm" and target in TIMM_SOUNDS) or any(
        part.startswith("frontend=") for part in tail.split("&")
    )
