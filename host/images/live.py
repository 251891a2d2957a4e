"""Pictures that come while the command runs: files that appear in a folder, and a camera's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from host.command.errors import HostError, reason
from sim.reference.errors import UserError
from sim.reference.picture import read_picture
from sim.reference.preprocess import SUFFIXES

__all__ = ["camera", "watch"]

POLL_SECONDS = 0.2
PATIENCE = 25
"""Polls without a change after which a file that is no whole image is reported, once: five seconds."""


class _Candidate:
    """A file that has been seen and not labelled: its size and time of change, and polls for which they stayed."""

    def __init__(self) -> None:
        self.version: tuple[int, int] | None = None
        self.polls = 0

    def stays(self, path: Path) -> bool:
        """Whether it is as it was at the last poll."""
        status = path.stat()
        version = (status.st_size, status.st_mtime_ns)
        self.polls = self.polls + 1 if version == self.version else 0
        self.version = version
        return self.polls > 0


def watch(folder: Path, pause: Callable[[float], None] = time.sleep) -> Iterator[tuple[Path, Image.Image]]:
    """Images of a folder as they appear, those that are there first; each name once, until it is gone and back.

    A file that is being written is left alone: one counts when it has not changed from one poll to the next and all of
    it can be decoded, and the picture that was decoded then is what is given. What stays undecodable is reported on
    standard error and looked at again when it changes.

    Parameters
    ----------
    folder : it is not entered further
    pause : waits so many seconds

    Raises
    ------
    HostError : it is no folder, or cannot be read any more
    """
    if not folder.is_dir():
        raise HostError(f"{folder} is not a folder: name one for --watch.")
    done: set[str] = set()
    candidates: dict[str, _Candidate] = {}
    while True:
        try:
            there = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise HostError(f"Cannot look into {folder}: {reason(error)}.") from error
        names = {path.name for path in there}
        done &= names
        candidates = {name: candidate for name, candidate in candidates.items() if name in names}
        for path in there:
            if path.name in done:
                continue
            picture = _whole(path, candidates.setdefault(path.name, _Candidate()))
            if picture is not None:
                del candidates[path.name]
                done.add(path.name)
                yield path, picture
        pause(POLL_SECONDS)


def _whole(path: Path, candidate: _Candidate) -> Image.Image | None:
    """The picture, once the file is complete."""
    try:
        # A file that has been reported is not decoded again at every poll.
        if not path.is_file() or not candidate.stays(path) or candidate.polls > PATIENCE:
            return None
        before = candidate.version
        picture = read_picture(path)
        candidate.stays(path)
        return picture if candidate.version == before else None
    except UserError as error:
        if candidate.polls == PATIENCE:
            print(error, file=sys.stderr, flush=True)
        return None
    except OSError:  # gone again
        return None


def camera(number: int) -> Iterator[Image.Image]:
    """Pictures of the camera with that number, RGB, as fast as they are asked for; OpenCV reads it.

    Raises
    ------
    HostError : OpenCV is not installed, there is no such camera, or it gives no picture
    """
    try:
        import cv2
    except ImportError as error:
        raise HostError("--camera needs OpenCV, which is not installed: pip install opencv-python-headless.") from error
    source: Any = cv2.VideoCapture(number)
    try:
        if not source.isOpened():
            raise HostError(f"There is no camera {number}: check that it is plugged in and that nobody else has it.")
        while True:
            good, frame = source.read()
            if not good:
                raise HostError(f"The camera {number} gives no picture any more: check its cable.")
            yield Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))  # OpenCV's are blue, green, red
    finally:
        source.release()
