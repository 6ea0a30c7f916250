"""The spectrogram-slice network: small pictures of sound, whose penultimate layer is averaged over a song."""

from __future__ import annotations

from torch import Tensor, nn


class SliceCnn(nn.Module):  # type: ignore[misc, unused-ignore]  # Any where torch is not installed
    """Labels of a song from slices of its log-mel spectrogram, each seen as a picture.

    Four convolutions, 2 by 2, with ELU, each pooled by 2, then a dense layer with dropout, after Despois, "Finding the
    genre of a song with deep learning" (2016; despoisj/DeepAudioClassification, model.py). Two things differ. Time is
    averaged away before the dense layer: where in its two and a half seconds a sound falls means nothing, and a dense
    layer over all positions would have 33 million weights. And a song is the mean of the penultimate layer over its
    slices, instead of a vote of their labels, so that songs can be compared.

    Args:
        outputs: Labels to tell apart.
        mels: Mel bands of the input, a multiple of ``2 ** len(channels)``.
        channels: Filters per convolution.
        hidden: Units of the dense layer: the embedding.
        dropout: Share of units left out while training.
    """

    def __init__(
        self,
        outputs: int,
        *,
        mels: int = 128,
        channels: tuple[int, ...] = (64, 128, 256, 512),
        hidden: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        before = 1
        for filters in channels:
            # Zeros below and behind keep the size, as "same" does, whose even kernels torch warns of.
            steps += [nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(before, filters, kernel_size=2), nn.ELU(), nn.MaxPool2d(2)]
            before = filters
        self.over_slice = nn.Sequential(*steps)
        self.dense = nn.Sequential(nn.Linear(before * (mels >> len(channels)), hidden), nn.ELU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, outputs)

    def embed(self, slices: Tensor) -> Tensor:
        """The penultimate layer of each slice.

        Args:
            slices: float32, shape ``(batch, 1, mels, frames)``.

        Returns:
            float32, shape ``(batch, hidden)``.
        """
        found = self.over_slice(slices).mean(dim=3)
        embedded: Tensor = self.dense(found.flatten(1))
        return embedded

    def embed_song(self, slices: Tensor) -> Tensor:
        """A song: shape ``(slices, 1, mels, frames)`` in, the mean over slices, shape ``(hidden,)``, out."""
        mean: Tensor = self.embed(slices).mean(dim=0)
        return mean

    def forward(self, slices: Tensor) -> Tensor:
        """Predict per slice: shape ``(batch, 1, mels, frames)`` in, ``(batch, outputs)`` out."""
        predicted: Tensor = self.head(self.dropout(self.embed(slices)))
        return predicted
