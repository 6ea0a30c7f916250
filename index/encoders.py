"""The composition root: the one place that knows ``vision`` and ``audio``, importing them when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from index.errors import InputError, MediaError, MissingExtraError, UnknownNameError
from index.model_cache import converted_file, hub_file
from index.types import Attribute, Encoder, EncoderCard, Modality, PictureEncoder, Tuner, Vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from audio.hearing import Heard as Heard
    from vision.looking import Looking as Looking


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


NETWORKS = ("onnx", "hf", "timm", "torchvision")
"""What a network's name begins with, before a colon."""

READY_MADE = "vectors"
"""What the name of an encoder begins with that is not here: only its vectors are."""

OPTIONS = ("preset", "frontend", "output")
"""What may follow the name of an ONNX file, as in ``onnx:FILE?preset=imagenet``."""


def encoder_names(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Expand aliases, check names and make files absolute, keeping order and dropping repeats.

    Raises:
        UnknownNameError: A name is neither an encoder nor an alias.
    """
    names: list[str] = []
    for name in asked:
        library, colon, rest = name.partition(":")
        if colon and library in NETWORKS:
            path, mark, options = rest.partition("?")
            full = f"onnx:{Path(path).absolute()}{mark}{options}" if library == "onnx" else name
            names.extend(n for n in (full,) if n not in names)
        elif name not in ENCODERS and name not in ALIASES:
            raise UnknownNameError.of("encoder", name, [*ENCODERS, *ALIASES, *(f"{kind}:…" for kind in NETWORKS)])
        else:
            names.extend(n for n in ALIASES.get(name, (name,)) if n not in names)
    return tuple(names)


def card_of(name: str) -> EncoderCard:
    """Return the card of one encoder; a built-in one loads nothing heavy, a network opens its file.

    Raises:
        UnknownNameError: No encoder has this name.
        InputError: The network cannot be opened.
    """
    return ENCODERS[name].card() if name in ENCODERS else _network(name).card


def load_encoder(name: str) -> Encoder:
    """Load one encoder, ready to ``describe`` files.

    Raises:
        UnknownNameError: No encoder has this name.
        InputError: The network cannot be opened.
        MissingExtraError: It must be converted first, and torch is not installed.
    """
    return ENCODERS[name].load() if name in ENCODERS else _network(name)


def export_network(name: str, out: Path, samples: Sequence[Path] = (), *, int8: bool = False) -> Mapping[str, object]:
    """Convert a network of timm or torchvision to one ONNX file that is a complete encoder.

    Args:
        samples: Pictures or sounds to compare torch and onnxruntime on; made on the spot when there are none.
        int8: Try 8-bit numbers; kept only where they answer nearly alike and faster.

    Returns:
        The parity reached, as stored in the file.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: The network cannot be converted, or the file would answer otherwise.
    """
    try:
        if _hears(name):
            from audio.export import export_sound
            from audio.sound_names import parse_sound_name
            from audio.timm_sounds import load_timm_sound

            if int8:
                raise InputError("--int8 is for picture networks")
            return asdict(export_sound(load_timm_sound(parse_sound_name(name)), out, samples))
        from vision.export import export

        return asdict(export(name, out, samples, int8=int8))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("torch", "timm", "torchvision", "onnx", "onnxscript"):
            raise
        raise MissingExtraError(
            f"converting {name} needs {error.name}; install it with: pip install 'simkin[torch]'"
        ) from None


def check_tunable(name: str) -> None:
    """Refuse a network that cannot be trained further, by its name alone.

    Raises:
        InputError: It names sounds, no network of torch, or nothing of a known form.
    """
    if name.partition(":")[0] not in ("timm", "torchvision"):
        raise InputError(
            f"{name} cannot be trained further; name a picture network of torch: timm:ARCH?checkpoint=FILE, "
            "timm:ARCH.TAG, torchvision:ARCH/WEIGHTS, or timm:ARCH?untrained to try things out"
        )
    if _hears(name):
        raise InputError(f"{name} hears; only networks of pictures can be tuned")
    from vision.network_names import parse_name

    parse_name(name)


def open_tuner(name: str, *, blocks: int, loss: str, hidden: int, dim: int, epochs: int, seed: int) -> Tuner:
    """Load a picture network of timm or torchvision, ready to be trained further.

    Args:
        blocks: How many of its last blocks are trained together with a head; 0 for the head alone.
        loss: A key of ``index.learning.tune.LOSSES``.
        hidden: Units of a perceptron in the head; 0 for a linear one.
        dim: Dimensions of its vectors, at most.
        epochs: At most.
        seed: Of all that is random.

    Raises:
        MissingExtraError: torch, timm, torchvision or pytorch-metric-learning is not installed.
        InputError, UnknownNameError: The network cannot be loaded, or has fewer blocks.
    """
    try:
        from vision.finetune import TorchTuner, TunerOptions
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in (
            "torch", "timm", "torchvision", "onnx", "onnxscript", "pytorch_metric_learning"
        ):  # fmt: skip
            raise
        raise MissingExtraError(
            f"tuning {name} needs {error.name}; install it with: pip install 'simkin[torch]'"
        ) from None
    return TorchTuner(name, TunerOptions(blocks, loss, hidden, dim, epochs, seed))


def _hears(name: str) -> bool:
    from audio.sound_names import names_a_sound_network

    return names_a_sound_network(name)


def _network(name: str) -> Encoder:
    library, colon, rest = name.partition(":")
    if library == READY_MADE:
        raise InputError(
            f"{name} names vectors that came ready made: they can be taken in and asked about by id, but no file can "
            "be described by them"
        )
    if not colon or library not in NETWORKS:
        raise UnknownNameError.of("encoder", name, ENCODERS)
    place, _, tail = rest.partition("?")
    if library == "onnx":
        return _open(Path(place), _options(name, tail))
    if library == "hf":
        return _open(hub_file(place), _options(name, tail))
    file = converted_file(name)
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        export_network(name, file)
    return _open(file, {})


def _options(name: str, tail: str) -> dict[str, str]:
    options = dict(part.partition("=")[::2] for part in tail.split("&")) if tail else {}
    for key in options:
        if key not in OPTIONS:
            raise UnknownNameError.of(f"option of {name.partition('?')[0]}", key, OPTIONS)
    return options


def _open(path: Path, options: Mapping[str, str]) -> Encoder:
    """Open an ONNX file as what it says it is, or as what the options say."""
    from index.onnx_model import OnnxModel

    content = OnnxModel(path).metadata()
    told = content.get("card", {}).get("modality") if isinstance(content.get("card"), dict) else None
    if told == "audio" or "frontend" in options or "frontend" in content:
        from audio.onnx_encoder import OnnxSongEncoder

        return OnnxSongEncoder(path, options.get("frontend", ""), options.get("output", ""))
    from vision.onnx_encoder import OnnxPictureEncoder

    if not content and "preset" not in options:
        from audio.frontends import FRONTENDS
        from vision.presets import PRESETS

        raise InputError(
            f"{path} does not say what it takes; name a preset for pictures (onnx:FILE?preset=NAME: "
            f"{', '.join(PRESETS)}) or a front-end for sounds (onnx:FILE?frontend=NAME: {', '.join(FRONTENDS)})"
        )
    return OnnxPictureEncoder(path, options.get("preset", ""))


def look_at(encoders: Sequence[PictureEncoder], path: Path) -> Looking:
    """Look at a picture again, to explain an answer.

    Raises:
        MediaError: It cannot be read or decoded.
    """
    from vision.looking import Looking

    return Looking(encoders, path)


def hear(path: Path) -> Heard:
    """Listen to a song again, to explain an answer.

    Raises:
        MediaError: It cannot be read or decoded, or is too short or silent.
    """
    from audio.hearing import hear

    return hear(path)


def player_source(path: Path) -> str:
    """A sound as a ``data:`` address that a browser plays.

    Raises:
        MediaError: It cannot be read or decoded.
    """
    from audio.player import data_address

    return data_address(path)


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


def open_picture(source: Path | bytes, min_side: int) -> Image:
    """Decode a picture, upright and over white, in mode ``RGB``; larger ones may come scaled, see ``vision.decode``.

    Args:
        source: A file, or the content of one.

    Raises:
        MediaError: It cannot be read or decoded.
    """
    from vision.decode import decode_content, decode_image

    return decode_content(source, min_side) if isinstance(source, bytes) else decode_image(source, min_side)


def cover_of(path: Path) -> bytes | None:
    """The picture inside a sound file as it is stored, or ``None``."""
    from audio.outline import read_cover

    return read_cover(path)


def outline_of(path: Path, bars: int) -> NDArray[np.float32]:
    """How loud a recording is along its length: float32, shape ``(bars,)``, 0 to 1.

    Raises:
        MediaError: It cannot be read or decoded.
    """
    from audio.outline import read_outline

    return read_outline(path, bars)


def tags_of(path: Path, modality: Modality) -> dict[str, Attribute]:
    """What a media file says of itself: for sounds title, artist, album, genre, year, track, duration."""
    if modality == "image":
        return {}
    from audio.tags import read_tags

    return {name: value for name, value in read_tags(path).items() if value is not None}


IMPRESSIONS = {"tempo": "builtin-audio", "energy": "builtin-audio"}
"""What can be estimated of a song without opening it, and from which encoder's vectors."""


def impression_of(name: str, vectors: Vectors) -> NDArray[np.float64]:
    """Estimate one of ``IMPRESSIONS`` from vectors of its encoder: see ``audio.impression``.

    Args:
        vectors: float32, shape ``(n, dim)``.

    Returns:
        float64, shape ``(n,)``; not a number where it cannot be told.
    """
    from audio.impression import energy, tempo

    return {"tempo": tempo, "energy": energy}[name](vectors)


def seconds_of(path: Path) -> float | None:
    """Length of a sound file as its header has it; ``None`` when it cannot be opened."""
    from audio.decode import read_windows

    try:
        return read_windows(path, 8000, lambda _: ()).seconds
    except MediaError:
        return None


def pixels_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture file as its header has it; ``None`` when it cannot be opened."""
    from vision.header import picture_size

    return picture_size(path)


def overlay_of(one: Path, other: Path) -> float | None:
    """Correlation of the detail of two pictures, the one laid over the other: see ``vision.overlay``."""
    from vision.overlay import overlay

    return overlay(one, other)
