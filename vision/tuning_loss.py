"""Losses of metric learning with their miners, as pytorch-metric-learning has them; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.utils import loss_and_miner_utils
from torch import Tensor

MARGIN = 0.2
"""Of triplets, between cosines, as Schroff, Kalenichenko & Philbin (FaceNet, CVPR 2015) chose it."""

LOSSES: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    # Shankar et al. (Visnet, 2017, section 4), semi-hard negatives of FaceNet (eq. 2-4)
    "triplet": lambda: (
        losses.TripletMarginLoss(margin=MARGIN),
        miners.TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard"),
    ),
    # Wang, Han, Huang, Dong & Scott (CVPR 2019, eq. 11-16)
    "multi-similarity": lambda: (losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
    # Sohn (NIPS 2016, eq. 6) over all negatives at temperature .07
    "ntxent": lambda: (losses.NTXentLoss(temperature=0.07), loss_and_miner_utils.get_all_pairs_indices),
}
"""Name → the loss, and what finds the tuples that it looks at."""


class MetricLoss:
    """One loss with its miner, held to the negatives that a batch allows.

    Args:
        name: A key of ``LOSSES``.
    """

    def __init__(self, name: str) -> None:
        self._loss, self._mine = LOSSES[name]()
        self._from_labels = name == "ntxent"

    def __call__(self, points: Tensor, labels: Tensor, negatives: Tensor) -> Tensor:
        """The loss of one batch; 0 when the miner finds nothing left to learn in it.

        Args:
            points: float32, shape ``(b, dim)``, unit length.
            labels: int64, shape ``(b,)``.
            negatives: bool, shape ``(b, b)``, which may be held against which.
        """
        found = self._mine(labels) if self._from_labels else self._mine(points, labels)
        if len(found) == 3:
            anchor, positive, negative = found
            fine = negatives[anchor, negative]
            found = anchor[fine], positive[fine], negative[fine]
        else:
            anchor, positive, other, negative = found
            fine = negatives[other, negative]
            found = anchor, positive, other[fine], negative[fine]
        loss: Tensor = self._loss(points, labels, found)
        return loss if loss.requires_grad else loss + 0 * points.sum()


def unit(points: Tensor) -> Tensor:
    """Rows of unit length."""
    return torch.nn.functional.normalize(points, dim=1)
