"""A design as the tools get it: RTLIL, Verilog of others, constraints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["TOP", "Design", "plain_names"]

TOP = "top"
UNIT_DEPTH = 3  # top.machine.accelerator.core is a frame around units; below it each module is one


@dataclass(frozen=True)
class Design:
    """What a board's class makes and a toolchain takes.

    Parameters
    ----------
    name : of the board
    rtlil : the design but for `sources`
    sources : Verilog files of modules that are only instantiated in it
    files : other files by name: constraints, Verilog, scripts
    """

    name: str
    rtlil: str
    sources: tuple[Path, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Everything into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{TOP}.il").write_text(plain_names(self.rtlil))
        for name, content in self.files.items():
            (folder / name).write_text(content)
        for path in self.sources:
            (folder / path.name).write_text(path.read_text())

    @property
    def units(self) -> list[str]:
        """Modules that are synthesised one by one: everything in each becomes flat, and they stay apart.

        One network of the whole design is more than the technology mapper does in a reasonable time; apart, each unit
        is optimised as by itself, and the resources are known by unit.
        """
        modules = re.findall(r"^module \\(\S+)", self.rtlil, re.MULTILINE)
        deepest = {name for name in modules if name.count(".") <= UNIT_DEPTH}
        foreign = [
            found for path in self.sources for found in re.findall(r"^module\s+(\w+)", path.read_text(), re.MULTILINE)
        ]
        return [*sorted(deepest - {TOP}), *foreign]


def plain_names(rtlil: str) -> str:
    r"""RTLIL without brackets in names: `\a[0]` becomes `\a.0`.

    Yosys calls bit 0 of a wire `\a` the same as a wire `\a[0]` when the technology mapper comes back, and stops.
    """
    return re.sub(r"\\[^\s]*\[[^\s]*", lambda name: name[0].replace("[", ".").replace("]", ""), rtlil)
