"""The outcome of a toolchain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hw.boards.parts import Part
from hw.toolchains.utilisation import Utilisation

__all__ = ["Outcome", "Routed", "Timing", "check_bitstream"]


@dataclass(frozen=True)
class Timing:
    """A clock after place and route: what it reaches and what was asked, and its worst path's cells in our names."""

    clock: str
    achieved_mhz: float
    wanted_mhz: float
    path: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        return self.achieved_mhz >= self.wanted_mhz


@dataclass(frozen=True)
class Routed:
    """What place and route gave: timing by clock, and the bitstream if the tool wrote one.

    A bitstream that is too slow for its clocks is only made when it is asked for.
    """

    timing: tuple[Timing, ...]
    bitstream: Path | None = None

    @property
    def slow(self) -> Timing | None:
        """The clock that misses its frequency by most, or None if none does."""
        late = [clock for clock in self.timing if not clock.met]
        return min(late, key=lambda clock: clock.achieved_mhz / clock.wanted_mhz, default=None)


@dataclass(frozen=True)
class Outcome:
    """Everything about one build.

    Parameters
    ----------
    used : of the netlist; None where no synthesis was done by us
    units : the same by unit
    routed : None where nothing was placed and routed
    missing : what is not installed, in one sentence; empty if nothing is missing
    files : what was written, by what it is
    """

    used: Utilisation | None
    units: Mapping[str, Utilisation] = field(default_factory=dict)
    routed: Routed | None = None
    missing: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)


def check_bitstream(path: Path, part: Part) -> str | None:
    """Why a file is no bitstream for that part, or None if it is one. Header, length and part are checked."""
    content = path.read_bytes()
    least, most = part.bitstream_bytes
    if not least <= len(content) <= most:
        return f"{path.name} has {len(content):,} bytes, and a {part.name}'s bitstream {least:,} to {most:,}"
    sync = bytes.fromhex("aa995566") if part.family == "xc7" else bytes.fromhex("ffffbdb3")
    if sync not in content[:4096]:
        return f"{path.name} lacks the synchronisation word of a bitstream"
    found = _idcode(content, part.family)
    if found is None or (found ^ part.idcode) & 0x0FFFFFFF:  # the top four bits are the chip's revision
        has = "no part" if found is None else f"part {found:#010x}"
        return f"{path.name} is for {has}, and a {part.name} is {part.idcode:#010x}"
    return None


def _idcode(content: bytes, family: str) -> int | None:
    """The part that a bitstream says it is for: the word after the command that compares it."""
    command = bytes.fromhex("30018001") if family == "xc7" else bytes.fromhex("e2000000")
    place = content.find(command)
    return int.from_bytes(content[place + 4 : place + 8], "big") if place >= 0 else None
