"""The composition root: the one place that knows ``vision`` and ``audio``, importing them when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from index.errors import UnknownNameError
from index.types import Attribute, Encoder, EncoderCard, Modality


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """One registered encoder: its card without loading it, and how to load it."""

    card: Callable[[], EncoderCard]
    load: Callable[[], Encoder]


def _picture_card() -> EncoderCard:
    from vision.cards import CARD

    return CARD


def _picture_encoder() -> Encoder:
    from vision.builtin import BuiltinPictureEncoder

    return BuiltinPictureEncoder()


def _song_card() -> EncoderCard:
    from audio.cards import CARD

    return CARD


def _song_encoder() -> Encoder:
    from audio.builtin import BuiltinSongEncoder

    return BuiltinSongEncoder()


ENCODERS: dict[str, EncoderEntry] = {
    "builtin-image": EncoderEntry(_picture_card, _picture_encoder),
    "builtin-audio": EncoderEntry(_song_card, _song_encoder),
}

ALIASES: dict[str, tuple[str, ...]] = {"builtin": ("builtin-image", "builtin-audio")}
"""Names that stand for several encoders, one for each modality."""


def encoder_names(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Expand aliases and check names, keeping order and dropping repeats.

    Raises:
        UnknownNameError: A name is neither an encoder nor an alias.
    """
    names: list[str] = []
    for name in asked:
        if name not in ENCODERS and name not in ALIASES:
            raise UnknownNameError.of("encoder", name, [*ENCODERS, *ALIASES])
        names.extend(n for n in ALIASES.get(name, (name,)) if n not in names)
    return tuple(names)


def card_of(name: str) -> EncoderCard:
    """Return the card of one encoder; loads no weights and no heavy library.

    Raises:
        UnknownNameError: No encoder has this name.
    """
    if name not in ENCODERS:
        raise UnknownNameError.of("encoder", name, ENCODERS)
    return ENCODERS[name].card()


def load_encoder(name: str) -> Encoder:
    """Load one encoder, ready to ``describe`` files.

    Raises:
        UnknownNameError: No encoder has this name.
    """
    if name not in ENCODERS:
        raise UnknownNameError.of("encoder", name, ENCODERS)
    return ENCODERS[name].load()


IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .dib .tif .tiff .ppm .pgm .pnm .tga .jp2 .avif".split()
)
AUDIO_SUFFIXES = frozenset(
    ".wav .flac .mp3 .ogg .oga .opus .m4a .mp4a .aac .aif .aiff .aifc .wma .au .caf .w64 .wv .ape .mka .weba".split()
)


def modality_of(name: str) -> Modality | None:
    """Tell from a file name's ending whether it is a picture or a sound; ``None`` for anything else."""
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot >= 0 else ""
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in AUDIO_SUFFIXES:
        return "audio"
    return None


def tags_of(path: Path, modality: Modality) -> dict[str, Attribute]:
    """What a media file says of itself: for sounds title, artist, album, genre, year, track, duration."""
    if modality == "image":
        return {}
    from audio.tags import read_tags

    return {name: value for name, value in read_tags(path).items() if value is not None}
