"""A unit's netlist, seeded mutants of it, and one Verilog file with all of them, of which an input chooses one."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from hw.asic.bench import bench_top
from hw.toolchains.process import run_tool
from hw.toolchains.yosys import yosys

__all__ = ["SELECT", "SELECT_BITS", "Mutant", "Netlist", "make_netlist"]

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "mutation"
SELECT, SELECT_BITS = "mutant_select", 12
SECONDS = 600.0
VERSION = "1"  # of what is made of the list
TOP = "unit"
FLAT, LIST, VERILOG, BENCH = "flat.il", "mutants.txt", "mutants.v", "bench.v"
# Clocks are no logic of the unit, and a memory read without a clock has neither an enable nor a reset.
LEFT_OUT = re.compile(r"-port (CLK|WR_CLK|RD_(CLK|EN|SRST|ARST)) ")
OTHER_SOURCES = re.compile(r'^\s*attribute \\src "(?:/|\.venv)[^"]*"\n', re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """One change of one bit of one cell's port; ``number`` selects it, ``source`` is the line that the cell is of."""

    number: int
    command: str

    @property
    def source(self) -> str:
        found = re.search(r"-src (\S+)", self.command)
        return found[1] if found else ""

    @property
    def change(self) -> str:
        """What it is, in short: the mode, the cell, its port and bit, and the signal where it has a name."""
        fields = dict(re.findall(r"-(\w+) (\S+)", self.command))
        signal = f" ({fields['wire']}[{fields['wirebit']}])" if "wire" in fields else ""
        control = f", if bit {fields['ctrlbit']} is {fields['mode'][-1]}" if "ctrlbit" in fields else ""
        return f"{fields['mode']}{control}: {fields['cell']}.{fields['port']}[{fields['portbit']}]{signal}"


@dataclass(frozen=True)
class Netlist:
    """A folder with the flat netlist (RTLIL), the Verilog with all mutants, a bench's top module, and the list."""

    folder: Path
    name: str
    mutants: tuple[Mutant, ...]

    @property
    def flat(self) -> Path:
        return self.folder / FLAT

    @property
    def bench(self) -> Path:
        return self.folder / BENCH

    @property
    def verilog(self) -> Path:
        return self.folder / VERILOG


def _rtlil(component: Elaboratable) -> str:
    """RTLIL with notes of the project's own source lines, which do not tell where the project lies."""
    text = rtlil.convert(component, name=TOP).replace(f'"{ROOT}/', '"')
    return str(OTHER_SOURCES.sub("", text))


def _flatten(without: Sequence[str]) -> list[str]:
    """Word-level cells, memories whole; a submodule that is not mutated stays a module of its own."""
    keep = [f"setattr -mod -set keep_hierarchy 1 {TOP}.{name}" for name in without]
    return [
        "read_rtlil unit.il",
        f"hierarchy -check -top {TOP}",
        *keep,
        "proc -noopt",
        "flatten",
        "delete t:$scopeinfo",
        "opt -full",
        "memory_collect",
        # Bits that nobody reads are no place for a fault.
        "wreduce",
        "opt -full",
        "opt_clean -purge",
    ]


def make_netlist(component: Elaboratable, name: str, count: int, seed: int, without: Sequence[str] = ()) -> Netlist:
    """The netlist of a component with ``count`` mutants chosen by ``seed``, made once.

    Parameters
    ----------
    component : elaboratable with a signature
    name : of the bench's top module
    without : submodules that none is of
    """
    text = _rtlil(component)
    script = _flatten(without)
    key = hashlib.sha256("\n".join([text, *script, VERSION, str(count), str(seed)]).encode()).hexdigest()[:16]
    folder = CACHE / f"{name}-{key}"
    if not (folder / BENCH).exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "unit.il").write_text(text)
        # A third more than wanted, for those that are left out.
        listing = f"mutate -list {count + count // 3 + 20} -seed {seed} -module {TOP} -o {LIST}"
        _run(folder, "list", [*script, f"write_rtlil {FLAT}", listing], [FLAT, LIST])
        commands = _chosen((folder / LIST).read_text(), count)
        (folder / LIST).write_text("\n".join(commands) + "\n")
        apply = [
            f"mutate -ctrl {SELECT} {SELECT_BITS} {index} {command}" for index, command in enumerate(commands, start=1)
        ]
        # Of several hot selects, which a mutant may have, the first one counts.
        output = [f"write_verilog -noattr -noparallelcase {VERILOG}"]
        _run(
            folder,
            "mutate",
            [f"read_rtlil {FLAT}", f"add -global_input {SELECT} {SELECT_BITS}", *apply, *output],
            [VERILOG],
        )
        (folder / BENCH).write_text(bench_top((folder / VERILOG).read_text(), TOP, name))
    commands = (folder / LIST).read_text().splitlines()
    return Netlist(folder, name, tuple(Mutant(index, command) for index, command in enumerate(commands, start=1)))


def _chosen(listing: str, count: int) -> list[str]:
    lines = [line.removeprefix("mutate ") for line in listing.splitlines() if line.startswith("mutate ")]
    return list(dict.fromkeys(line for line in lines if not LEFT_OUT.search(line)))[:count]


def _run(folder: Path, stage: str, lines: list[str], outputs: list[str]) -> None:
    (folder / f"{stage}.ys").write_text("\n".join(lines) + "\n")
    run_tool(stage, [yosys(), "-q", "-l", f"{stage}_yosys.log", "-s", f"{stage}.ys"], folder, outputs, SECONDS)
