"""Names of networks as typed, such as ``timm:<arch.tag>`` or ``torchvision:<arch>?checkpoint=FILE``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from index.errors import InputError

FORMS = (
    "timm:<arch.tag>, timm:<arch>?checkpoint=FILE, torchvision:<arch>/<weights>, torchvision:<arch>?checkpoint=FILE, "
    "or either with ?untrained"
)


@dataclass(frozen=True, slots=True)
class NetworkName:
    """A network's name, taken apart.

    Attributes:
        text: As typed.
        library: Where the architecture comes from.
        arch: Its name there, without weights.
        weights: The library's name for trained weights; empty for its usual ones.
        checkpoint: Local file with weights instead; ``None`` for the library's.
        untrained: Whether random weights are asked for.
    """

    text: str
    library: Literal["timm", "torchvision"]
    arch: str
    weights: str
    checkpoint: Path | None
    untrained: bool

    @property
    def short(self) -> str:
        """What facets are named after: the architecture without folders of a model hub."""
        return self.arch.rpartition("/")[2].rpartition(":")[2]


def parse_name(text: str) -> NetworkName:
    """Take a network's name apart.

    Raises:
        InputError: It has none of the forms in ``FORMS``, or its checkpoint does not exist.
    """
    library, _, rest = text.partition(":")
    network, _, option = rest.partition("?")
    key, _, value = option.partition("=")
    if library not in ("timm", "torchvision") or not network or key not in ("", "checkpoint", "untrained"):
        raise InputError(f"cannot read the network's name {text!r}; expected {FORMS}")
    if (key == "checkpoint") != bool(value):
        raise InputError(f"cannot read the network's name {text!r}: ?checkpoint=FILE takes a file, ?untrained nothing")
    checkpoint = Path(value) if value else None
    if checkpoint is not None and not checkpoint.is_file():
        raise InputError(f"the checkpoint {checkpoint} does not exist; expected a file of weights")
    if library == "torchvision":
        arch, _, weights = network.partition("/")
        return NetworkName(text, "torchvision", arch, weights, checkpoint, key == "untrained")
    if "/" in network:  # a repository of the model hub: hf_hub:<owner>/<name>
        return NetworkName(text, "timm", network, "", checkpoint, key == "untrained")
    arch, _, weights = network.partition(".")
    return NetworkName(text, "timm", arch, weights, checkpoint, key == "untrained")
