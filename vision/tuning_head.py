# mypy: allow-subclassing-any
"""The head that tuning trains on top of a network: a linear map or a small perceptron; imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WHITENING = 0.25
"""Power of each direction's variance that is divided out at the start: half of what makes all directions alike.

On 2,167 shop photos of 47 kinds, with an ImageNet MobileNetV2 and items held out, recall@1 was .695 untouched; trained
from full whitening .758 and .749 (without and with dropout), from half of it .749, and .770 with 512 directions."""

SHRINK = 0.1
"""Share of the mean variance added to each direction's own before that."""

DIRECTIONS = 512
"""Principal directions that the head sees, at most."""

DROPOUT = 0.3
"""Share of the directions that are left out at random in training."""


class Head(nn.Module):
    """From pooled features to a vector of unit length, beginning at their whitened principal directions.

    Args:
        mean: Of the features at unit length, float32, shape ``(d,)``.
        basis: Their whitened principal directions, largest first, float32, shape ``(d, r)``.
        dim: Dimensions of the vector, at most r.
        hidden: Units of a perceptron beside the linear map, which adds nothing at first; 0 for none.
    """

    def __init__(self, mean: Tensor, basis: Tensor, dim: int, hidden: int = 0) -> None:
        super().__init__()
        self.mean: Tensor
        self.basis: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        directions = basis.shape[1]
        self.linear = nn.Linear(directions, dim, bias=False)
        self.into: nn.Linear | None = None
        self.out: nn.Linear | None = None
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(dim, directions))
        if hidden:
            self.into, self.out = nn.Linear(directions, hidden), nn.Linear(hidden, dim, bias=False)
            with torch.no_grad():
                self.out.weight.zero_()

    def forward(self, features: Tensor) -> Tensor:
        """float32, shape ``(n, d)`` of any length → ``(n, dim)`` of unit length."""
        return self.from_whitened(self.whitened(features))

    def whitened(self, features: Tensor) -> Tensor:
        """The part that is not trained: float32, shape ``(n, d)`` of any length → ``(n, r)``."""
        found: Tensor = (nn.functional.normalize(features, dim=1) - self.mean) @ self.basis
        return found

    def from_whitened(self, whitened: Tensor) -> Tensor:
        """The part that is trained: float32, shape ``(n, r)`` → ``(n, dim)`` of unit length."""
        whitened = nn.functional.dropout(whitened, DROPOUT, self.training)
        made = self.linear(whitened)
        if self.into is not None and self.out is not None:
            made = made + self.out(nn.functional.relu(self.into(whitened)))
        return nn.functional.normalize(made, dim=1)


class Tuned(nn.Module):
    """A network with a head: what it answered with before, the pooled features replaced by the head's vector.

    Args:
        body: float32 ``(n, 3, height, width)`` to a tuple of tensors; see ``vision.torch_taps``.
        head: Takes the first of them.
    """

    def __init__(self, body: nn.Module, head: Head) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """See ``vision.torch_taps.outputs``."""
        pooled, *others = self.body(picture)
        return (self.head(pooled), *others)


def whitened_head(features: Tensor, dim: int, hidden: int = 0) -> Head:
    """A head that begins where the features' variance is nearly the same in every direction.

    Args:
        features: Of the pictures to learn from, float32, shape ``(n, d)``, unit length.
        dim: As for ``Head``; fewer where there are fewer features or pictures.
        hidden: As for ``Head``.
    """
    mean = features.mean(dim=0)
    centred = (features - mean).double()
    values, axes = torch.linalg.eigh(centred.T @ centred / len(features))
    values, axes = values.flip(0).clamp(min=0), axes.flip(1)
    basis = axes / (values + SHRINK * values.mean()).clamp(min=1e-12) ** WHITENING
    basis = basis[:, :DIRECTIONS] / (centred @ basis[:, :DIRECTIONS]).norm(dim=1).mean().clamp(min=1e-12)
    return Head(mean, basis.float(), min(dim, basis.shape[1]), hidden)
