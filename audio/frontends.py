"""Front-ends: how a sound network wants its mel spectrogram, as plain data; the field's well-known ones described."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from index.errors import UnknownNameError

WindowKind: TypeAlias = Literal["hann", "hann-symmetric"]
"""Periodic (the zero at the end left out) or symmetric (zeros at both ends), as SciPy's ``fftbins`` tells them."""

Padding: TypeAlias = Literal["none", "zeros", "reflect"]
"""Beyond the ends: frames start at sample 0 and lie inside, or are centred on multiples of the hop."""

Scale: TypeAlias = Literal["slaney", "htk"]
"""Mel scale: linear up to 1 kHz and logarithmic above (Slaney 1998), or 2595 log10(1 + f / 700)."""

Triangles: TypeAlias = Literal["hertz", "mel"]
"""Filters are triangles over Hz (librosa, torchaudio) or over mel (HTK, Kaldi, TensorFlow)."""

Layout: TypeAlias = Literal["time-mel", "mel-time", "channel-time-mel", "channel-mel-time"]
"""Axes of a network's input after the batch."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """From mono sound to the patches that a network takes.

    A value is ``(log(max(gain * mel, floor) + offset) - mean) / deviation``.

    Attributes:
        name: As typed after ``frontend=``.
        rate: Samples per second.
        window: Samples per frame.
        hop: Samples from frame to frame.
        fft: Samples of the Fourier transform, at least ``window``; the rest are zeros.
        mels: Number of mel bands.
        lowest: Lower edge of the first band, in Hz.
        highest: Upper edge of the last band, in Hz.
        frames: Frames per patch.
        patch_hop: Frames from patch to patch, at most.
        source: The paper and the repository that define it.
        window_kind: See ``WindowKind``.
        padding: See ``Padding``.
        scale: See ``Scale``.
        triangles: See ``Triangles``.
        area: Filters have unit area over Hz (Slaney's norm) instead of unit height.
        power: 2 for power spectra, 1 for magnitudes.
        preemphasis: ``x[t] - preemphasis * x[t - 1]``; 0 for none.
        per_frame: Each frame by itself loses its mean and is then preemphasised, as Kaldi does; else the whole sound
            is preemphasised.
        base: Of the logarithm, times a factor: ``"e"``, ``"10"``, or ``"decibel"`` for 10 log10.
        gain: Factor on mel energies.
        floor: What fainter energies count as.
        offset: Added to energies.
        mean: Subtracted from logarithms.
        deviation: Divides them then.
        fill: How a sound shorter than a patch is filled up: with ``"silence"``, or with zeros for logarithms (before
            ``mean`` and ``deviation``), as networks were trained that expect this.
        layout: See ``Layout``.
    """

    name: str
    rate: int
    window: int
    hop: int
    fft: int
    mels: int
    lowest: float
    highest: float
    frames: int
    patch_hop: int
    source: str
    window_kind: WindowKind = "hann"
    padding: Padding = "none"
    scale: Scale = "slaney"
    triangles: Triangles = "hertz"
    area: bool = True
    power: int = 2
    preemphasis: float = 0.0
    per_frame: bool = False
    base: Literal["e", "10", "decibel"] = "e"
    gain: float = 1.0
    floor: float = 0.0
    offset: float = 0.0
    mean: float = 0.0
    deviation: float = 1.0
    fill: Literal["silence", "zeros"] = "silence"
    layout: Layout = "time-mel"

    @property
    def seconds(self) -> float:
        """Length of the sound that one patch sees, in seconds."""
        reach = (self.frames - 1) * self.hop
        return (reach + (self.window if self.padding == "none" else 0)) / self.rate

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one patch as the network takes it."""
        return patch_shape(self.layout, self.frames, self.mels)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for a model file's metadata."""
        return asdict(self)


def patch_shape(layout: Layout, frames: int, mels: int) -> tuple[int, ...]:
    """Shape of one patch in a layout."""
    shapes: dict[Layout, tuple[int, ...]] = {
        "time-mel": (frames, mels),
        "mel-time": (mels, frames),
        "channel-time-mel": (1, frames, mels),
        "channel-mel-time": (1, mels, frames),
    }
    return shapes[layout]


# Written out one after another, so that each can be held against its source line by line.

_VGGISH = FrontEnd(
    name="vggish",
    rate=16_000,
    window=400,
    hop=160,
    fft=512,
    mels=64,
    lowest=125.0,
    highest=7500.0,
    frames=96,
    patch_hop=96,
    scale="htk",
    triangles="mel",
    area=False,
    power=1,
    offset=0.01,
    source="Hershey et al., ICASSP 2017; tensorflow/models, research/audioset/vggish: vggish_params, mel_features",
)

_YAMNET = replace(
    _VGGISH,
    name="yamnet",
    patch_hop=48,
    offset=0.001,
    source="Plakal & Ellis 2019; tensorflow/models, research/audioset/yamnet: params.py, features.py",
)

_MUSICNN = FrontEnd(
    name="musicnn",
    rate=16_000,
    window=512,
    hop=256,
    fft=512,
    mels=96,
    lowest=0.0,
    highest=8000.0,
    frames=187,
    patch_hop=187,
    padding="reflect",  # of librosa up to 0.9, with which it was trained; later ones pad with zeros
    base="10",
    gain=10_000.0,
    offset=1.0,
    source="Pons & Serra, ISMIR 2019 (late-breaking); jordipons/musicnn: configuration.py, extractor.py",
)

_PANNS = FrontEnd(
    name="panns",
    rate=32_000,
    window=1024,
    hop=320,
    fft=1024,
    mels=64,
    lowest=50.0,
    highest=14_000.0,
    frames=1001,
    patch_hop=1001,
    padding="reflect",
    base="decibel",
    floor=1e-10,
    layout="channel-time-mel",
    source="Kong et al., IEEE/ACM TASLP 28, 2020; qiuqiangkong/audioset_tagging_cnn: pytorch/models.py, Cnn14",
)

_EFFICIENTAT = FrontEnd(
    name="efficientat",
    rate=32_000,
    window=800,
    hop=320,
    fft=1024,
    mels=128,
    lowest=0.0,
    highest=15_000.0,
    frames=1000,
    patch_hop=1000,
    window_kind="hann-symmetric",
    padding="reflect",
    scale="htk",
    triangles="mel",
    area=False,
    preemphasis=0.97,
    offset=1e-5,
    mean=-4.5,
    deviation=5.0,
    layout="channel-mel-time",
    source="Schmid, Koutini & Widmer, ICASSP 2023; fschmid56/EfficientAT: models/preprocess.py",
)

_AST = FrontEnd(
    name="ast",
    rate=16_000,
    window=400,
    hop=160,
    fft=512,
    mels=128,
    lowest=20.0,
    highest=8000.0,
    frames=1024,
    patch_hop=1024,
    window_kind="hann-symmetric",
    scale="htk",
    triangles="mel",
    area=False,
    preemphasis=0.97,
    per_frame=True,
    floor=1.1920928955078125e-07,  # float32's epsilon, as in torchaudio.compliance.kaldi
    mean=-4.2677393,
    deviation=2 * 4.5689974,
    fill="zeros",
    source="Gong, Chung & Glass, Interspeech 2021; YuanGongND/ast: src/dataloader.py; fbank of Kaldi and torchaudio",
)

_AUDIOMAE = replace(
    _AST,
    name="audiomae",
    layout="channel-time-mel",
    source="Huang et al., NeurIPS 2022; facebookresearch/AudioMAE: dataset.py; fbank of Kaldi and torchaudio",
)

_DIELEMAN = FrontEnd(
    name="dieleman",
    rate=22_050,
    window=2048,  # the sources say 599 frames, cropped a little from half a minute, but not the hop: 27.8 s of 30
    hop=1024,
    fft=2048,
    mels=128,
    lowest=0.0,
    highest=11_025.0,
    frames=599,
    patch_hop=599,
    padding="reflect",
    power=1,
    base="10",
    gain=1000.0,
    offset=1.0,
    layout="mel-time",
    source="van den Oord, Dieleman & Schrauwen, NIPS 2013; Dieleman, Recommending music on Spotify, 2014",
)

_SLICES = replace(
    _DIELEMAN,
    name="slices",
    window=1024,
    hop=441,  # fifty frames a second
    fft=1024,
    frames=128,
    patch_hop=128,
    layout="channel-mel-time",
    source="Despois, Finding the genre of a song with deep learning, 2016: fifty frames a second, slices of 128 by 128",
)

FRONTENDS: dict[str, FrontEnd] = {
    "ast": _AST,
    "audiomae": _AUDIOMAE,
    "dieleman": _DIELEMAN,
    "efficientat": _EFFICIENTAT,
    "musicnn": _MUSICNN,
    "panns": _PANNS,
    "slices": _SLICES,
    "vggish": _VGGISH,
    "yamnet": _YAMNET,
}


def frontend_named(name: str) -> FrontEnd:
    """Look a front-end up.

    Raises:
        UnknownNameError: There is none; the message names near ones.
    """
    try:
        return FRONTENDS[name]
    except KeyError:
        raise UnknownNameError.of("front-end", name, FRONTENDS) from None
