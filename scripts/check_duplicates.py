#!/usr/bin/env python3
"""Check that `simkin duplicates` finds copies of one's own pictures or songs, and nothing that is no copy.

Usage: scripts/check_duplicates.py FOLDER [--count N] [--json]

Takes N pictures and N songs of FOLDER at even distances (those that are there), writes copies of them (pictures:
JPEG at quality 70 and 40, half the size, mirrored, cropped by a twentieth on all sides together and on two, by a
tenth, brighter; songs: MP3, Ogg, half as loud, without their first 0.7 seconds, and only their first half, which is
no copy), indexes all together, and prints how many of each kind are grouped with their original, how many groups
there are among the originals themselves, to be looked at, and how many groups mix different originals, which
would be wrong. The exit status is 1 when one does that is not among the originals alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import soundfile
from PIL import Image, ImageOps

import simkin
from index.encoders import modality_of
from index.lists.repeats import find_duplicates


def copy_picture(path: Path, folder: Path) -> None:
    """The picture itself, and its copies, named after their kind."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    wide, high = image.size
    left, top = round(0.05 * wide), round(0.05 * high)
    half = (round(left / 2), round(top / 2))
    kinds = {
        "quality 70": (image, 70),
        "quality 40": (image, 40),
        "half the size": (image.resize((max(1, wide // 2), max(1, high // 2)), Image.Resampling.LANCZOS), 90),
        "mirrored": (ImageOps.mirror(image), 90),
        "cropped by 5 %, all sides": (image.crop((*half, wide - half[0], high - half[1])), 90),
        "cropped by 5 %, two sides": (image.crop((left, top, wide, high)), 90),
        "cropped by 10 %": (image.crop((left, top, wide - left, high - top)), 90),
        "brighter": (image.point(lambda value: min(255, int(1.1 * value + 8))), 90),
    }
    (folder / f"original{path.suffix}").write_bytes(path.read_bytes())
    for kind, (changed, quality) in kinds.items():
        changed.save(folder / f"{kind}.jpg", quality=quality)


def copy_song(path: Path, folder: Path) -> None:
    """The song itself, and its copies."""
    sound, rate = soundfile.read(path)
    soundfile.write(folder / "original.wav", sound, rate)
    soundfile.write(folder / "MP3.mp3", sound, rate)
    soundfile.write(folder / "Ogg.ogg", sound, rate)
    soundfile.write(folder / "half as loud.flac", 0.5 * sound, rate)
    soundfile.write(folder / "start cut off.wav", sound[int(0.7 * rate) :], rate)
    soundfile.write(folder / "first half (no copy).wav", sound[: len(sound) // 2], rate)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as scratch:
        made, numbers = Path(scratch) / "made", Counter[str]()
        for kind, write in (("image", copy_picture), ("audio", copy_song)):
            some = [path for path in files if modality_of(path.name) == kind]
            for path in some[:: max(1, len(some) // options.count)][: options.count]:
                folder = made / f"{kind}-{numbers[kind]:04d}"
                folder.mkdir(parents=True)
                write(path, folder)
                numbers[kind] += 1
        if not numbers:
            parser.error(f"{options.folder} holds neither pictures nor songs")
        simkin.index([made], Path(scratch) / "c.simkin")
        found = find_duplicates(simkin.open(Path(scratch) / "c.simkin"))
    with_original: Counter[str] = Counter()
    alike = mixed = 0
    for group in found.groups:
        paths = [Path(copy.item.item_id) for copy in group.copies]
        if len({path.parent for path in paths}) > 1:
            alike += all(path.stem == "original" for path in paths)
            mixed += 1
        if any(path.stem == "original" for path in paths):
            with_original.update(path.stem for path in paths if path.stem != "original")
    told = {"pictures": numbers["image"], "songs": numbers["audio"], "mixed": mixed, "found": dict(with_original)}
    if options.json:
        print(json.dumps(told))
    else:
        print(f"{numbers['image']} pictures, {numbers['audio']} songs; {mixed} groups mix different originals")
        for kind, count in sorted(with_original.items(), key=lambda pair: -pair[1]):
            print(f"{count:5d}  {kind}")
    return 1 if mixed > alike else 0


if __name__ == "__main__":
    sys.exit(main())
