"""Vectors of single items and files as an encoder gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from index.encoders import load_encoder
from index.errors import InputError, UnknownNameError
from index.reading import CatalogReader
from index.types import Encoder, Vector


def stored_vector(catalog: CatalogReader, encoder: str, item_id: str) -> Vector:
    """An item's vector as it was encoded, of several media their mean; float32, shape ``(dim,)``.

    Raises:
        UnknownNameError: The catalog has no such item or encoder.
        InputError: The item has no vector of it: it is of another modality.
    """
    held = catalog.encoders()
    if encoder not in held:
        raise UnknownNameError.of("encoder", encoder, held)
    raw = catalog.raw_vectors(catalog.keys_of([item_id]), [held[encoder]])[0]
    if not raw.any():
        raise InputError(f"item {item_id!r} has no {held[encoder].card.modality} that {encoder} describes")
    for facet in held[encoder].card.facets:  # those of several media were added
        part = raw[facet.start : facet.stop]
        part /= max(float(np.linalg.norm(part)), 1e-12)
    return np.asarray(raw, np.float32)


def file_vector(catalog: CatalogReader, encoder: str, path: Path, encoders: dict[str, Encoder]) -> Vector:
    """A file's vector; float32, shape ``(dim,)``.

    Args:
        encoder: One that the catalog holds vectors of.
        encoders: Those loaded so far; a missing one is loaded and kept here.

    Raises:
        UnknownNameError: The catalog has no such encoder.
        MediaError: The file cannot be read, decoded or encoded.
        StaleIndexError: The encoder is not the one that the catalog's vectors came from.
    """
    held = catalog.encoders()
    if encoder not in held:
        raise UnknownNameError.of("encoder", encoder, held)
    if encoder not in encoders or encoders[encoder].card.fingerprint != held[encoder].card.fingerprint:
        encoders[encoder] = load_encoder(encoder)
    catalog.check_fingerprint(encoder, encoders[encoder].card.fingerprint)
    return encoders[encoder].describe(path)
