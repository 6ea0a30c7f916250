"""Where training stands, written down after every epoch so that it goes on from there; imports torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from index.errors import StorageError

FILE = "training.pt"


@dataclass(slots=True)
class State:
    """Where training stands.

    Attributes:
        epoch: The last one completed; 0 at the start.
        best: The one that is kept.
        start, score: What was said of epoch 0 and of the best.
        weights: Trained parameters of the best epoch.
    """

    epoch: int = 0
    best: int = 0
    start: float = 0.0
    score: float = 0.0
    weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, trained: Mapping[str, Tensor], optimizer: Any) -> State:
        """Go on from what a run before wrote down, or begin.

        Args:
            folder: Of these very options, pictures and weights.
            trained: Parameters by name; set to where they were.
            optimizer: Likewise.
        """
        try:
            kept = torch.load(folder / FILE, map_location="cpu", weights_only=True)
            state = cls(kept["epoch"], kept["best"], kept["start"], kept["score"], kept["weights"])
            _copy(kept["trained"], trained)
            optimizer.load_state_dict(kept["optimizer"])
        except FileNotFoundError:
            return cls()
        except Exception as error:  # torch and pickle raise anything on a damaged file
            raise StorageError(
                f"{folder / FILE} is damaged ({str(error)[:120]}); remove {folder} to begin anew"
            ) from None
        return state

    def keep_best(self, trained: Mapping[str, Tensor]) -> None:
        """Take a copy of the parameters as they are."""
        self.weights = {name: parameter.detach().cpu().clone() for name, parameter in trained.items()}

    def restore_best(self, trained: Mapping[str, Tensor]) -> None:
        """Set parameters to what was kept."""
        _copy(self.weights, trained)

    def save(self, folder: Path, trained: Mapping[str, Tensor], optimizer: Any) -> None:
        """Write it down, all at once.

        Raises:
            StorageError: It cannot be written.
        """
        content = {
            "epoch": self.epoch,
            "best": self.best,
            "start": self.start,
            "score": self.score,
            "weights": self.weights,
            "trained": {name: parameter.detach().cpu() for name, parameter in trained.items()},
            "optimizer": optimizer.state_dict(),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{FILE}.part"
            torch.save(content, part)
            os.replace(part, folder / FILE)
        except (OSError, RuntimeError) as error:
            raise StorageError(f"cannot keep the epoch in {folder}: {error}") from None


def _copy(values: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(values[name])
