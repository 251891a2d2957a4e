"""Files of vectors and what belongs to them: safetensors with a checked header, read without trust in what they say."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from host.command.errors import HostError, reason
from sim.reference.errors import replaced_when_complete
from sim.reference.model_file import sorted_header

__all__ = ["Tensors", "TensorFile", "packed_names", "unpacked_names"]

Tensors = Mapping[str, npt.NDArray[Any]]
CHECKSUM = "checksum"
SEPARATOR = "\0"


@dataclass(frozen=True)
class TensorFile:
    """A kind of file.

    Parameters
    ----------
    format : what its header says it is
    version : of the format
    noun : what it is called in a sentence: `an index`
    maker : the command that writes it
    types : of each tensor its element type and number of axes
    optional : tensors that may be missing
    """

    format: str
    version: str
    noun: str
    maker: str
    types: Mapping[str, tuple[type[np.generic], int]]
    optional: tuple[str, ...] = ()

    def save(self, path: Path, facts: Mapping[str, str], tensors: Tensors) -> None:
        """Writes the file; it appears only when it is complete."""
        header = {"format": self.format, "version": self.version, **facts}
        header[CHECKSUM] = _checksum(header, tensors)
        content = sorted_header(save({name: np.asarray(one, order="C") for name, one in tensors.items()}, header))
        with replaced_when_complete(path) as temporary:
            temporary.write_bytes(content)

    def load(self, path: Path) -> tuple[dict[str, str], dict[str, npt.NDArray[Any]]]:
        """The header's facts and the tensors. No more is allocated than the file is long.

        Raises
        ------
        HostError : it is absent, damaged, of another kind or version
        """
        if not path.is_file():
            raise HostError(f"{path} is not a file, but {self.noun} is expected: {self.maker} writes it.")
        try:
            with safe_open(path, framework="numpy") as file:
                facts = dict(file.metadata() or {})
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
            raise self.damaged(path, reason(error)) from error
        if facts.get("format") != self.format or facts.get("version") != self.version:
            found = f"format {facts.get('format')!r}, version {facts.get('version')!r}"
            raise HostError(f"{path} has {found}, and is not {self.noun} of version {self.version}: see {self.maker}.")
        for name in {**self.types, **tensors}:
            if name not in tensors and name in self.optional:
                continue
            kind, axes = self.types.get(name, (np.void, 0))
            if name not in tensors or tensors[name].dtype != kind or tensors[name].ndim != axes:
                raise self.damaged(path, f"its {name!r} are not as expected")
        if _checksum(facts, tensors) != facts.get(CHECKSUM):
            raise self.damaged(path, "its checksum differs")
        return facts, tensors

    def damaged(self, path: Path, why: str) -> HostError:
        """The error for a file that cannot be used; `why` is a part of a sentence."""
        return HostError(f"{path} is damaged or not {self.noun} ({why}): make it anew with {self.maker}.")


def _checksum(facts: Mapping[str, str], tensors: Tensors) -> str:
    """CRC-32 over everything but itself."""
    found = 0
    for name in sorted(set(facts) - {CHECKSUM}):
        found = zlib.crc32(f"{name}={facts[name]}\n".encode(), found)
    for name in sorted(tensors):
        found = zlib.crc32(f"{name} {tensors[name].dtype.str} {tensors[name].shape}\n".encode(), found)
        found = zlib.crc32(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


def packed_names(names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Names as bytes, a zero behind each: a header has no room for a million."""
    return np.frombuffer("".join(name + SEPARATOR for name in names).encode(errors="surrogateescape"), np.uint8)


def unpacked_names(content: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """The names that `packed_names` packed."""
    return tuple(content.tobytes().decode(errors="surrogateescape").split(SEPARATOR)[:-1])
