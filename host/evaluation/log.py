"""The log of an evaluation, from which an interrupted one continues.

JSON lines: the first says what was evaluated (device, checksums of the files, labels), each further one is an outcome,
written as soon as it is known. A last line cut short by the interruption is dropped and its image evaluated again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from host.command.errors import HostError, reason
from host.evaluation.metrics import Outcome


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise HostError(f"Cannot read {path}: {reason(error)}.") from error


class EvaluationLog:
    """The outcomes so far, by file name, in `done`; `add` appends one. A context manager that closes the file.

    Raises
    ------
    HostError : the file cannot be read or written, is no log of an evaluation, or is that of another evaluation
    """

    def __init__(self, path: Path, header: dict[str, str]) -> None:
        self.path = path
        self.done: dict[str, Outcome] = {}
        try:
            complete = self._read(header) if path.exists() else 0
            self._stream: TextIO = path.open("r+" if complete else "w", encoding="utf-8")
            self._stream.seek(complete)
            self._stream.truncate()
            if not complete:
                self._write(header)
        except (OSError, UnicodeDecodeError) as error:
            raise HostError(f"Cannot use the log {path}: {reason(error)}.") from error

    def _read(self, header: dict[str, str]) -> int:
        """Takes in an existing log; returns the bytes up to the end of its last whole line."""
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        if not whole:
            if self.path.stat().st_size:
                raise HostError(f"{self.path} is not the log of an evaluation: choose another --resume file.")
            return 0
        first, *lines = whole.decode("utf-8").split("\n")
        try:
            found = json.loads(first)
            outcomes = [Outcome(**json.loads(line)) for line in lines]
        except (json.JSONDecodeError, TypeError) as error:
            raise HostError(f"{self.path} is not the log of an evaluation: choose another --resume file.") from error
        if found != header:
            different = sorted(key for key in header if not isinstance(found, dict) or found.get(key) != header[key])
            raise HostError(
                f"{self.path} is the log of another evaluation (other {', '.join(different) or 'settings'}): "
                "delete it or choose another --resume file."
            )
        self.done = {outcome.file: outcome for outcome in outcomes}
        return len(whole) + 1

    def _write(self, entry: dict[str, object] | dict[str, str]) -> None:
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()

    def add(self, outcome: Outcome) -> None:
        """Appends one outcome."""
        try:
            self._write(asdict(outcome))
        except OSError as error:
            raise HostError(f"Cannot write the log {self.path}: {reason(error)}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
