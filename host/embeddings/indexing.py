"""Brings an index up to date with its folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from host.command.errors import HostError, reason
from host.embeddings.encoder import Encoder
from host.embeddings.index_file import Index, load_index, save_index
from host.embeddings.vectors import Vectors, unit_vectors
from host.images.files import Pictures
from sim.reference.preprocess import SUFFIXES

__all__ = ["Update", "update_index"]

Version = tuple[int, int]
SAVE_SECONDS = 30.0
"""Between two times that the index is written; more where writing takes long."""
SAVE_SHARE = 20
"""So many times longer than writing took is worked before it is written again."""


@dataclass
class Update:
    """What came of an update: how many pictures were computed, kept as they were, dropped as they are gone or changed;
    and those that cannot be read, with a sentence.
    """

    computed: int = 0
    kept: int = 0
    dropped: int = 0
    refused: dict[Path, str] = field(default_factory=dict)


def update_index(
    encoder: Encoder, folder: Path, path: Path, progress: Callable[[Iterator[Vectors], int, int], Iterator[Vectors]]
) -> Update:
    """Computes the pictures of a folder, and of those inside it, that the index lacks or that have changed.

    The file is whole at any time. What has been computed is in it after an interruption or an error too.

    Parameters
    ----------
    path : of the index, which may not be there yet
    progress : passes on what it is given; of so many, of which so many were done before

    Raises
    ------
    HostError : the folder cannot be read or has no images; the index is damaged, of another folder or another model;
        or the device fails
    """
    here = str(folder.resolve())
    versions = _versions(folder)
    old = _checked(load_index(path), path, here, encoder) if path.exists() else None
    known: dict[str, Vectors] = {}
    if old is not None:
        for name, version, vector in zip(old.names, old.versions.tolist(), old.vectors, strict=True):
            if versions.get(name) == tuple(version):
                known[name] = vector
    update = Update(kept=len(known), dropped=len(old.names) - len(known) if old else 0)
    left = [name for name in versions if name not in known]
    pictures = Pictures(folder / name for name in left)
    update.refused = pictures.refused

    def write() -> None:
        names = sorted(known)
        save_index(Index(here, encoder.fingerprint, tuple(names), _rows(names, versions), _stacked(known, names)), path)

    saved, pause = time.monotonic(), SAVE_SECONDS
    try:
        for vector in progress(unit_vectors(encoder.embed(pictures)), len(versions), update.kept):
            name = pictures.read[update.computed].relative_to(folder).as_posix()
            update.computed += 1
            known[name] = vector
            if time.monotonic() - saved > pause:
                begun = time.monotonic()
                write()
                saved = time.monotonic()
                pause = max(SAVE_SECONDS, SAVE_SHARE * (saved - begun))
    finally:
        if known and (update.computed or update.dropped):
            write()
    return update


def _versions(folder: Path) -> dict[str, Version]:
    """Of each picture of a folder, and of those inside it, by name: size and time of change."""
    found: dict[str, Version] = {}

    def fails(error: OSError) -> None:
        raise HostError(f"Cannot look into {error.filename}: {reason(error)}.") from error

    if not folder.is_dir():
        raise HostError(f"{folder} is not a folder: name one with pictures.")
    for parent, _, files in os.walk(folder, onerror=fails):
        for file in files:
            path = Path(parent, file)
            if path.suffix.lower() in SUFFIXES and path.is_file():
                status = path.stat()
                found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns)
    if not found:
        raise HostError(f"The folder {folder} has no images: name one with {', '.join(sorted(SUFFIXES))} files.")
    return dict(sorted(found.items()))


def _checked(old: Index, path: Path, folder: str, encoder: Encoder) -> Index:
    if old.folder != folder:
        raise HostError(f"{path} is the index of {old.folder}, not of {folder}: name another file with -o.")
    if old.fingerprint != encoder.fingerprint:
        raise HostError(
            f"{path} has vectors of another model, or of another output of it: name another file with -o, or delete it."
        )
    return old


def _rows(names: list[str], versions: dict[str, Version]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array([versions[name] for name in names], np.int64)


def _stacked(known: dict[str, Vectors], names: list[str]) -> Vectors:
    return np.stack([known[name] for name in names])
