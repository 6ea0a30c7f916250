# mypy: allow-subclassing-any
"""What is read off a torch network on its way: pooled features, style statistics, the last feature map.

Imports torch; only ``vision.torch_models`` and ``vision.export`` import this module, when asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

STYLE_STRIDE = 8
"""Most pixels of the picture that one step of a map may stand for whose statistics make the style.

With MobileNetV2 on 723 shop photos, statistics at strides 2, 4 and 8 found the same colour nearest for 38 % and
the same kind for 57 %; with stride 16 among them 33 % and 67 %: another content rather than style.
"""

EPS = 1e-6
"""Added to variances and lengths, so that a flat feature map divides by no zero."""


class TimmTaps(nn.Module):
    """A timm network; blocks are numbered as its ``forward_intermediates`` does.

    Args:
        body: The network, its classifier unused.
        styled: Blocks whose feature maps make the style, in order.
        last: The last block; ``None`` for networks that do not show their blocks.
    """

    def __init__(self, body: nn.Module, styled: Sequence[int], last: int | None) -> None:
        super().__init__()
        self.body: Any = body
        self.styled = list(styled)
        self.last = last

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """See ``outputs``; ``picture`` is float32, shape ``(n, 3, height, width)``."""
        if self.last is None:
            final = self.body.forward_features(picture)
            return outputs(self.body.forward_head(final, pre_logits=True), [], final)
        final, maps = self.body.forward_intermediates(picture, indices=[*self.styled, self.last], norm=False)
        shown = maps[-1]
        if final.ndim == 4 and final.shape[2:] == shown.shape[2:]:
            shown = final  # the very map that is pooled
        elif final.ndim == 4 and final.shape[1:3] == shown.shape[2:]:
            shown = final.permute(0, 3, 1, 2)
        return outputs(self.body.forward_head(final, pre_logits=True), maps[:-1], shown)


class HookedTaps(nn.Module):
    """A network whose forward returns pooled features; modules are watched by name.

    Args:
        body: The network, its classifier replaced by nothing.
        styled: Names of modules whose outputs make the style.
        shown: Name of the module whose output is the last feature map; empty for none.
        channels_last: Whether these outputs have shape ``(n, rows, columns, channels)``.
    """

    def __init__(self, body: nn.Module, styled: Sequence[str], shown: str, channels_last: bool) -> None:
        super().__init__()
        self.body = body
        self.styled = list(styled)
        self.shown = shown
        self.channels_last = channels_last

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """See ``outputs``; ``picture`` is float32, shape ``(n, 3, height, width)``."""
        seen: dict[str, Tensor] = {}
        watched = {*self.styled, self.shown} - {""}
        hooks = [
            module.register_forward_hook(lambda _module, _given, made, name=name: seen.update({name: made.clone()}))
            for name, module in self.body.named_modules()
            if name in watched
        ]
        try:
            pooled = self.body(picture)
        finally:
            for hook in hooks:
                hook.remove()
        maps = {name: made.permute(0, 3, 1, 2) if self.channels_last else made for name, made in seen.items()}
        return outputs(pooled, [maps[name] for name in self.styled], maps.get(self.shown))


def outputs(pooled: Tensor, styled: Sequence[Tensor], shown: Tensor | None) -> tuple[Tensor, ...]:
    """Put together what the exported network answers with.

    Args:
        pooled: Features before the classifier, shape ``(n, features)``.
        styled: Feature maps, each of shape ``(n, channels, rows, columns)``.
        shown: The last feature map, of the same form; anything else is left out.

    Returns:
        ``pooled``; the style, shape ``(n, 2 * all channels)``, if there are maps for it; ``shown``.
    """
    found = [pooled]
    if styled:
        found.append(torch.cat([_statistics(feature_map) for feature_map in styled], dim=1))
    if shown is not None and shown.ndim == 4:
        found.append(shown)
    return tuple(found)


def _statistics(feature_map: Tensor) -> Tensor:
    """Mean and deviation of each channel (Huang & Belongie, ICCV 2017, eq. 5 and 6), as one row of length 1."""
    mean = feature_map.mean(dim=(2, 3))
    spread = ((feature_map - mean[:, :, None, None]).square().mean(dim=(2, 3)) + EPS).sqrt()
    both = torch.cat([mean, spread], dim=1)
    return both / (both.square().sum(dim=1, keepdim=True) + EPS).sqrt()
