"""Stages of a torch network: which parameters belong to its last blocks, whatever the architecture."""

from __future__ import annotations

from typing import Any

from index.errors import InputError


def unfreeze(body: Any, last: int, name: str) -> list[Any]:
    """Let the parameters of the last stages, and of all that comes after them, be trained.

    Args:
        body: A ``torch.nn.Module`` without its classifier; parameters of the other stages are frozen.
        last: How many stages.
        name: Of the network, for messages.

    Returns:
        The parameters to train.

    Raises:
        InputError: The network has fewer stages.
    """
    found, after = stages(body)
    if not 1 <= last <= len(found):
        raise InputError(f"{name} has {len(found)} blocks; train the head, or blocks:1 to blocks:{len(found)}")
    body.requires_grad_(False)
    chosen = [*found[-last:], *after]
    for module in chosen:
        module.requires_grad_(True)
    return [parameter for module in chosen for parameter in module.parameters()]


def stages(body: Any) -> tuple[list[Any], list[Any]]:
    """The stages that a network is a sequence of, in order, and the layers after them.

    Found by form, since libraries name them differently (``layer1``, ``blocks``, ``stages``, ``features``): a part
    that is made of parts that are made of layers holds a stage or stages; as long as there is only one such part,
    the stages are within it.

    Args:
        body: A ``torch.nn.Module``.
    """
    after: list[Any] = []
    while True:
        parts = [part for part in body.children() if _counted(part)]
        composite = [at for at, part in enumerate(parts) if _composite(part)]
        if not composite:
            return parts, after
        behind = parts[composite[-1] + 1 :]
        after = behind + after
        if len(composite) > 1:
            return [parts[at] for at in composite], after
        body = parts[composite[0]]


def _counted(part: Any) -> bool:
    return any(True for _ in part.parameters())


def _composite(part: Any) -> bool:
    return any(_counted(inner) for child in part.children() for inner in child.children())
