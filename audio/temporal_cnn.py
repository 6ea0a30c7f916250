"""The temporal network of van den Oord, Dieleman & Schrauwen: convolutions over time, statistics over all of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FACTORS = 40
"""Outputs by default: the latent factors predicted in Dieleman's "Recommending music on Spotify" (2014)."""

SMALLEST = 1e-12
"""Added under the root of the L2 norm, whose slope at silence would be infinite."""


class TemporalCnn(nn.Module):  # type: ignore[misc, unused-ignore]  # Any where torch is not installed
    """Latent factors, or labels, of a song from its log-mel spectrogram.

    Convolutions four frames wide run over time alone, all mel bands being channels of the first; rectified, pooled by
    4, 2 and 2; then mean, maximum and L2 norm over all time, and dense layers. From "Deep content-based music
    recommendation" (NIPS 2013) and Dieleman's article of 2014, whose global pooling this is. The article gives 256
    filters to the first layer and 2048 units to each of two dense layers; 256 and 512 for the other two layers are its
    figure's. It trained on the squared error to factors of unit norm, with dropout in the dense layers and Nesterov
    momentum, on half minutes cropped at random.

    Args:
        outputs: Latent factors or labels to predict.
        mels: Mel bands of the input.
        channels: Filters per convolution.
        pools: Frames per maximum after each convolution.
        hidden: Units of each dense layer; the last of them is the embedding.
        dropout: Share of units left out while training, in the dense layers.
    """

    def __init__(
        self,
        outputs: int = FACTORS,
        *,
        mels: int = 128,
        channels: tuple[int, ...] = (256, 256, 512),
        pools: tuple[int, ...] = (4, 2, 2),
        hidden: tuple[int, ...] = (2048, 2048),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        before = mels
        for filters, pool in zip(channels, pools, strict=True):
            steps += [nn.Conv1d(before, filters, kernel_size=4), nn.ReLU(), nn.MaxPool1d(pool)]
            before = filters
        self.over_time = nn.Sequential(*steps)
        dense: list[nn.Module] = []
        before *= 3
        for units in hidden:
            dense += [nn.Linear(before, units), nn.ReLU(), nn.Dropout(dropout)]
            before = units
        self.dense = nn.Sequential(*dense)
        self.head = nn.Linear(before, outputs)

    def embed(self, patches: Tensor) -> Tensor:
        """The last dense layer.

        Args:
            patches: float32, shape ``(batch, mels, frames)``; 599 frames in the article, at least 55 with its pooling.

        Returns:
            float32, shape ``(batch, hidden[-1])``, not negative.
        """
        found = self.over_time(patches)
        norm = torch.sqrt((found * found).sum(dim=2) + SMALLEST)
        pooled = torch.cat([found.mean(dim=2), found.amax(dim=2), norm], dim=1)
        embedded: Tensor = self.dense(pooled)
        return embedded

    def forward(self, patches: Tensor) -> Tensor:
        """Predict: shape ``(batch, mels, frames)`` in, ``(batch, outputs)`` out."""
        predicted: Tensor = self.head(self.embed(patches))
        return predicted
