"""Sound networks on a model hub that timm builds; plain data, so that listing them loads nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimmSound:
    """A sound network on a model hub, as timm builds it.

    Attributes:
        arch: timm's architecture.
        frontend: Name of its front-end; its patches are the pictures.
        licence: Of the weights.
        source: The paper, and who converted the weights.
    """

    arch: str
    frontend: str
    licence: str
    source: str


_AUDIOMAE = "Huang et al., Masked Autoencoders that Listen, NeurIPS 2022; weights converted to timm by gaunernst"

TIMM_SOUNDS: dict[str, TimmSound] = {
    "hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m": TimmSound(
        arch="vit_base_patch16_224",
        frontend="audiomae",
        licence="CC-BY-4.0",
        source=_AUDIOMAE,
    ),
    "hf_hub:gaunernst/vit_base_patch16_1024_128.audiomae_as2m_ft_as20k": TimmSound(
        arch="vit_base_patch16_224",
        frontend="audiomae",
        licence="CC-BY-4.0",
        source=f"{_AUDIOMAE}; fine-tuned on AudioSet-20K",
    ),
}
