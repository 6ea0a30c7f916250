"""Reading front-ends from a model file's metadata or a sidecar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from audio.frontends import FrontEnd, frontend_named
from index.errors import InputError, UnknownNameError

SIZES = {"rate": 1_000_000, "window": 1 << 16, "hop": 1 << 16, "fft": 1 << 16, "mels": 1024, "frames": 1 << 16}
"""Largest values that are taken for meant; front-ends come from files, too."""

LONGEST_PATCH = 300.0
"""Seconds of sound in one patch, at most."""


def frontend_from(content: object) -> FrontEnd:
    """Read a front-end from a model file's metadata or sidecar.

    Args:
        content: The name of a known front-end, or a dictionary of a front-end's fields. Fields that are left out keep
            their defaults, or those of the known front-end that the field ``like`` names.

    Raises:
        InputError: A field is missing, unknown, or not what it must be.
        UnknownNameError: There is no front-end of this name.
    """
    if isinstance(content, str):
        return frontend_named(content)
    if not isinstance(content, Mapping):
        raise InputError(f"a front-end is a name or an object of fields, not {content!r}")
    given = dict(content)
    like = given.pop("like", None)
    known = {field.name for field in fields(FrontEnd)}
    if unknown := sorted(set(given) - known):
        raise UnknownNameError.of("field of a front-end", str(unknown[0]), known)
    for name in _NUMBERS:
        if type(given.get(name)) is int:
            given[name] = float(given[name])  # 0 and 0.0 are one fingerprint
    try:
        front = replace(frontend_named(str(like)), **given) if like is not None else FrontEnd(**given)
    except TypeError as error:
        raise InputError(f"a front-end is incomplete: {str(error).partition('__init__() ')[2]}") from None
    _check(front)
    return front


_NUMBERS = ("lowest", "highest", "preemphasis", "gain", "floor", "offset", "mean", "deviation")

_CHOICES: dict[str, tuple[object, ...]] = {
    "window_kind": ("hann", "hann-symmetric"),
    "padding": ("none", "zeros", "reflect"),
    "scale": ("slaney", "htk"),
    "triangles": ("hertz", "mel"),
    "area": (True, False),
    "power": (1, 2),
    "per_frame": (True, False),
    "base": ("e", "10", "decibel"),
    "fill": ("silence", "zeros"),
    "layout": ("time-mel", "mel-time", "channel-time-mel", "channel-mel-time"),
}


def _check(front: FrontEnd) -> None:
    """Raise ``InputError`` for values that no front-end can have."""
    if not isinstance(front.name, str) or not isinstance(front.source, str):
        raise InputError("a front-end's name and source are text")
    for name, choices in _CHOICES.items():
        value = getattr(front, name)
        if value not in choices:
            raise InputError(f"front-end {front.name}: {name} is {value!r}; expected one of {choices}")
    for name in ("rate", "window", "hop", "fft", "mels", "frames", "patch_hop"):
        value = getattr(front, name)
        most = SIZES.get(name, SIZES["frames"])
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise InputError(f"front-end {front.name}: {name} is {value!r}; expected a whole number from 1 to {most}")
    for name in _NUMBERS:
        value = getattr(front, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e9:
            raise InputError(f"front-end {front.name}: {name} is {value!r}; expected a number")
    if front.fft < front.window:
        raise InputError(f"front-end {front.name}: fft {front.fft} is shorter than window {front.window}")
    if front.seconds > LONGEST_PATCH:
        raise InputError(
            f"front-end {front.name}: a patch of {front.seconds:.0f} s is longer than {LONGEST_PATCH:.0f} s"
        )
    if not 0 <= front.lowest < front.highest <= front.rate / 2:
        raise InputError(
            f"front-end {front.name}: bands from {front.lowest} to {front.highest} Hz do not lie between 0 and half "
            f"the rate, {front.rate / 2} Hz"
        )
    if front.deviation <= 0 or front.gain <= 0 or front.floor < 0 or front.offset < 0:
        raise InputError(f"front-end {front.name}: gain and deviation must be above 0, floor and offset not below")
    if front.floor == 0 and front.offset == 0:
        raise InputError(f"front-end {front.name}: the logarithm of silence needs a floor or an offset above 0")
