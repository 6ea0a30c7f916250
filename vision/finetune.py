"""Fine-tuning: a head on a torch network's features, or its last blocks, trained by metric learning; imports torch."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from index.errors import InputError
from index.types import Batch, EncoderCard, EpochReport, Facet, Training, Vectors
from vision.export import export_loaded
from vision.stages import unfreeze
from vision.torch_models import TorchNetwork, load_torch, weights_sha256
from vision.tuning_features import FeatureFile, embedded, readable
from vision.tuning_head import Head, Tuned, whitened_head
from vision.tuning_loss import MetricLoss
from vision.tuning_pictures import in_batches
from vision.tuning_state import State

HEAD_RATE = 2e-3
BLOCK_RATE = 1e-4
"""Steps of Adam (Kingma & Ba, ICLR 2015) for the head, and for blocks that were trained before."""

PATIENCE = 6
"""Epochs without a better one, after which training ends."""


@dataclass(frozen=True, slots=True)
class TunerOptions:
    """How a network is trained.

    Attributes:
        blocks: How many of its last blocks are trained together with the head; 0 for the head alone.
        loss: A key of ``vision.tuning_loss.LOSSES``.
        hidden: Units of a perceptron in the head; 0 for a linear one.
        dim: Dimensions of its vectors, at most.
        epochs: At most.
        seed: Of all that is random.
    """

    blocks: int
    loss: str
    hidden: int
    dim: int
    epochs: int
    seed: int


class TorchTuner:
    """A network of timm or torchvision in training; see ``index.types.Tuner``.

    Args:
        name: See ``vision.network_names.FORMS``.

    Raises:
        MissingExtraError, InputError, UnknownNameError: As ``vision.torch_models.load_torch``.
    """

    def __init__(self, name: str, options: TunerOptions) -> None:
        self.name = name
        self.options = options
        self.network = load_torch(name)
        self._loss = MetricLoss(options.loss)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._body = self.network.module.to(self._device)
        self._trained = unfreeze(self._body.body, options.blocks, name) if options.blocks else []
        self._pictures: Sequence[Path] = ()
        self._features = torch.zeros(0)
        self._head: Head | None = None
        self._whitened = torch.zeros(0)

    @property
    def card(self) -> EncoderCard:
        """Of the network as it was loaded."""
        return self.network.card

    def read(
        self, pictures: Sequence[Path], folder: Path, on_progress: Callable[[int, int, int], None]
    ) -> tuple[Vectors, NDArray[np.bool_]]:
        """Describe pictures by the network as it was loaded; see ``index.types.Tuner``."""
        kept = FeatureFile(folder, len(pictures), self.card.facets[0].dim)
        kept.fill(self._body, pictures, self.network.preprocessing, self._device, on_progress)
        self._pictures = pictures
        features = np.array(kept.features)
        self._features = torch.from_numpy(features).to(self._device)
        return features, readable(kept.state)

    def train(
        self,
        draw: Callable[[np.random.Generator], Batch],
        steps: int,
        rows: NDArray[np.int64],
        judged: NDArray[np.int64],
        judge: Callable[[Vectors], float],
        folder: Path,
        on_epoch: Callable[[EpochReport], None],
    ) -> Training:
        """Train, keeping the epoch that the judge likes best; see ``index.types.Tuner``.

        An interrupt ends it with what was best so far; before the first epoch is complete it goes through.

        Raises:
            InputError: The loss is no longer a number.
            StorageError: An epoch cannot be kept.
        """
        torch.manual_seed(self.options.seed)
        self._head = head = whitened_head(self._features[rows], self.options.dim, self.options.hidden).to(self._device)
        if not self._trained:
            with torch.no_grad():
                self._whitened = head.whitened(self._features)
        trainable = {**_named("head", head), **(_named("body", self._body) if self._trained else {})}
        groups: list[dict[str, Any]] = [{"params": list(head.parameters()), "lr": HEAD_RATE}]
        groups += [{"params": self._trained, "lr": BLOCK_RATE}] if self._trained else []
        optimizer = torch.optim.Adam(groups)
        state = State.load(folder, trainable, optimizer)
        if state.epoch == 0:
            state.start = state.score = float(judge(self.embed(judged)))
            state.keep_best(trainable)
        rates = [HEAD_RATE, BLOCK_RATE][: len(groups)]
        began, interrupted = state.epoch, False
        started = time.monotonic()
        try:
            for epoch in range(state.epoch + 1, self.options.epochs + 1):
                if epoch - 1 - state.best >= PATIENCE:
                    break
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / self.options.epochs))
                loss, seen, seconds = self._epoch(epoch, draw, steps, optimizer)
                score = float(judge(self.embed(judged)))
                state.epoch = epoch
                if score > state.score:
                    state.best, state.score = epoch, score
                    state.keep_best(trainable)
                state.save(folder, trainable, optimizer)
                each = (time.monotonic() - started) / (epoch - began)
                left = each * (self.options.epochs - epoch)
                on_epoch(EpochReport(epoch, self.options.epochs, loss, score, seen / max(seconds, 1e-9), left))
        except KeyboardInterrupt:
            if not state.epoch:
                raise
            interrupted = True
        state.restore_best(trainable)
        return Training(state.epoch, state.best, state.start, state.score, interrupted)

    def embed(self, rows: NDArray[np.int64]) -> Vectors:
        """Describe pictures that were read by the trained network; see ``index.types.Tuner``."""
        head = self._trained_head().eval()
        if self._trained:
            module = Tuned(self._body, head)
            chosen = [self._pictures[row] for row in rows.tolist()]
            return embedded(module, chosen, self.network.preprocessing, self._device, head.linear.out_features)
        with torch.inference_mode():
            vectors: Vectors = head.from_whitened(self._whitened[rows]).cpu().numpy()
        return vectors

    def export(self, out: Path, pictures: Sequence[Path], facts: Mapping[str, Any]) -> Mapping[str, object]:
        """Write the trained network as an encoder; see ``index.types.Tuner``."""
        module = Tuned(self._body.cpu(), self._trained_head().cpu()).eval().requires_grad_(False)
        network = tuned_network(self.network, module, module.head.linear.out_features)
        return asdict(export_loaded(network, self.name, out, pictures, facts=facts))

    def _trained_head(self) -> Head:
        assert self._head is not None, "train first"
        return self._head

    def _epoch(
        self, epoch: int, draw: Callable[[np.random.Generator], Batch], steps: int, optimizer: Any
    ) -> tuple[float, int, float]:
        """Mean loss, pictures seen, and seconds."""
        started = time.monotonic()
        self._trained_head().train()
        torch.manual_seed(self.options.seed + epoch)
        chance = np.random.default_rng([self.options.seed, epoch])
        batches = [draw(chance) for _ in range(steps)]
        total, seen = 0.0, 0
        for batch, (kept, points) in zip(batches, self._points(batches, epoch), strict=True):
            if len(kept) < 2:
                continue
            labels = torch.from_numpy(batch.labels[kept]).to(self._device)
            negatives = torch.from_numpy(batch.negatives[np.ix_(kept, kept)]).to(self._device)
            loss = self._loss(points, labels, negatives)
            if not torch.isfinite(loss):
                raise InputError(
                    f"the loss of {self.name} is no number in epoch {epoch}: its features are too large or too small "
                    "to train; train the head alone, or take another network"
                )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total, seen = total + float(loss.detach()), seen + len(kept)
        return total / max(1, len(batches)), seen, time.monotonic() - started

    def _points(self, batches: Sequence[Batch], epoch: int) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """For each batch the places that could be read, and their vectors, with what is needed for gradients."""
        head = self._trained_head()
        if not self._trained:
            for batch in batches:
                yield np.arange(len(batch.rows)), head.from_whitened(self._whitened[batch.rows])
            return
        paths = [[self._pictures[row] for row in batch.rows.tolist()] for batch in batches]
        for arrays in in_batches(paths, self.network.preprocessing, [self.options.seed, epoch]):
            kept = np.flatnonzero([array is not None for array in arrays])
            whole = [array for array in arrays if array is not None]
            if not whole:
                yield kept, torch.zeros(0)
                continue
            pixels = torch.from_numpy(np.concatenate(whole)).to(self._device)
            yield kept, head(self._body(pixels)[0])


def tuned_network(network: TorchNetwork, module: Tuned, dim: int) -> TorchNetwork:
    """The trained network as an encoder: its content is the head's vector, the rest of it as it was."""
    content = network.card.facets[0]
    own = Facet(
        f"{content.name}-tuned", 0, dim, content.whitening, min(256, dim), content.same, "fine-tuned pooled features"
    )
    moved = [
        replace(f, name=f"{f.name}-tuned", start=f.start - content.dim + dim, stop=f.stop - content.dim + dim)
        for f in network.card.facets[1:]
    ]
    card = replace(
        network.card,
        name=re.sub(r"(\?|$)", "-tuned\\1", network.card.name, count=1),
        facets=(own, *moved),
        source=f"fine-tuned from {network.card.source}",
        sha256=weights_sha256(module),
    )
    outputs = dict(zip((facet.name for facet in card.facets), network.facets.values(), strict=True))
    return TorchNetwork(module, network.outputs, outputs, card, network.preprocessing)


def _named(prefix: str, module: Any) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
