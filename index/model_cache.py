"""Where converted and downloaded networks are kept: ``SIMKIN_CACHE``, else the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from index.errors import InputError, MissingExtraError


def cache_folder() -> Path:
    """``SIMKIN_CACHE``, else ``XDG_CACHE_HOME/simkin``, else ``~/.cache/simkin``."""
    told = os.environ.get("SIMKIN_CACHE")
    if told:
        return Path(told)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "simkin"


def converted_file(name: str) -> Path:
    """Where the ONNX file of a converted network lies, or will lie: readable, and one for each name."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[:80]
    return cache_folder() / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.onnx"


def hub_file(place: str) -> Path:
    """Download ``<owner>/<repo>/<file.onnx>`` from the Hugging Face hub, once.

    ``HF_ENDPOINT`` names a mirror. A file laid by hand at the place that the error names is used as it is.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        InputError: The name has another form, or the file cannot be had; the message says where to put it.
    """
    parts = place.split("/")
    if len(parts) < 3 or not place.endswith(".onnx"):
        raise InputError(f"cannot read 'hf:{place}'; expected hf:<owner>/<repository>/<file.onnx>")
    repository, file = "/".join(parts[:2]), "/".join(parts[2:])
    by_hand = cache_folder() / "hf" / repository.replace("/", "--") / file
    if by_hand.is_file():
        return by_hand
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise MissingExtraError(
            f"hf:{place} needs huggingface_hub; install it with: pip install 'simkin[hub]'"
        ) from None
    try:
        return Path(hf_hub_download(repository, file, cache_dir=str(cache_folder() / "hub")))
    except Exception as error:  # the hub raises its own, httpx's and requests' errors
        raise InputError(
            f"{file} of {repository} cannot be downloaded ({str(error).splitlines()[0][:160]}); without a network, "
            f"fetch https://huggingface.co/{repository}/resolve/main/{file} elsewhere and put it at {by_hand}"
        ) from None
