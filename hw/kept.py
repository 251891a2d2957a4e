"""Folders of generated files, kept under build/ by content: made whole, once, and found from then on."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["kept"]

BUILD = Path(__file__).resolve().parents[1] / "build"


def kept(kind: str, name: str, content: bytes, make: Callable[[Path], None]) -> Path:
    """The folder `build/KIND/NAME-...` of everything that `content` decides; `make` fills an empty one.

    Nothing is left of one that fails; of several processes that make the same, one wins.
    """
    cache = BUILD / kind
    folder = cache / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=cache, prefix=f"{folder.name}.partial-"))
        try:
            make(partial)
            if not folder.exists():
                os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder
