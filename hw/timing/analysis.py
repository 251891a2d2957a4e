"""The longest path to every clocked input of a flat xc7 netlist."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hw.timing.cells import Arc, CellTiming, Pin, cell_timing
from hw.timing.delays import GLOBAL_WIRE, Wires
from hw.toolchains.errors import ToolError
from hw.toolchains.netlist import FlatNetlist

__all__ = ["Analysis", "Path", "Step"]

DIRECT = {("CARRY4", "CI"), ("MUXF7", "I0"), ("MUXF7", "I1"), ("MUXF8", "I0"), ("MUXF8", "I1")}
"""Inputs that a slice's own wires reach from the cell that drives them."""
CASCADES = ("PCIN", "ACIN", "BCIN", "CASCADEIN")
IN_A_SLICE = {("LUT", "CARRY4"), ("LUT", "FD"), ("CARRY4", "FD"), ("MUXF7", "FD"), ("MUXF8", "FD")}
"""A driver with one load of that kind stands in the same slice."""


@dataclass(frozen=True)
class Step:
    """A cell on a path: its name, its kind, the wire to it and the time in it, ns, and the loads of that wire."""

    cell: str
    kind: str
    wire: float
    delay: float
    loads: int


@dataclass(frozen=True)
class Path:
    """The longest path to one input.

    Parameters
    ----------
    end, pin, start : the capturing cell, its input, the launching cell
    total : ns, clock to output and setup among them
    wire : ns of it in wires
    levels : LUTs and carry chains
    steps : from the launching cell on
    """

    end: str
    pin: str
    start: str
    total: float
    wire: float
    levels: int
    steps: tuple[Step, ...]


class Analysis:
    """Arrival times of a netlist.

    Parameters
    ----------
    netlist : of an xc7's cells
    wires : how long wires are taken to be
    """

    def __init__(self, netlist: FlatNetlist, wires: Wires) -> None:
        self._cells, self._driver = netlist.cells, netlist.drivers
        self._names = _public(netlist.names)
        self._timings: dict[str, CellTiming] = {name: cell_timing(cell) for name, cell in self._cells.items()}
        self._wires = wires
        self._loads = Counter(
            bit
            for cell in self._cells.values()
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] != "output"
            for bit in bits
            if isinstance(bit, int)
        )
        # By net: when it is there, what came before (None for a launch), and the clock that launched it.
        self._arrival: dict[int, float] = {}
        self._before: dict[int, tuple[str, Arc] | None] = {}
        self._clock: dict[int, object] = {}
        self._walk()

    def clocks(self) -> Counter[object]:
        """How many cells each clock's net has."""
        return Counter(timing.clock for timing in self._timings.values() if timing.clock is not None)

    def ends(self, clock: object) -> Iterator[tuple[str, Pin, float]]:
        """(cell, input, ns) of every input that `clock` captures from a cell of the same clock."""
        for name, timing in self._timings.items():
            if timing.clock == clock:
                for pin, setup in timing.captures:
                    if self._clock.get(pin.bit) == clock:
                        yield name, pin, self._arrival[pin.bit] + self._wire(name, pin) + setup

    def named(self, cell: str) -> str:
        """A clocked cell's name as the design has it: of a register, the signal that it holds."""
        if not self._cells[cell]["type"].startswith("FD"):
            return cell
        ((held, _),) = self._timings[cell].launches
        return self._names.get(held, cell)

    def path(self, name: str, pin: Pin, total: float) -> Path:
        """The longest path to an input, of `total` ns."""
        steps: list[Step] = []
        wire = last = self._wire(name, pin)
        levels, bit = 0, pin.bit
        loads = self._loads[bit]
        setup = total - self._arrival[bit] - last
        steps.append(Step(name, self._cells[name]["type"], last, setup, loads))
        while (before := self._before[bit]) is not None:
            cell, arc = before
            hop = self._wire(cell, arc.pin)
            steps.append(Step(cell, self._cells[cell]["type"], hop, arc.delay, self._loads[arc.pin.bit]))
            wire, levels, bit = wire + hop, levels + arc.levels, arc.pin.bit
        start = self._driver[bit]
        steps.append(Step(start, self._cells[start]["type"], 0.0, self._arrival[bit], 0))
        return Path(self.named(name), pin.name, self.named(start), total, wire, levels, tuple(reversed(steps)))

    def _wire(self, name: str, pin: Pin) -> float:
        """How long the wire to an input is."""
        kind, loads = self._cells[name]["type"], self._loads[pin.bit]
        driver = self._driver.get(pin.bit)
        if driver is None or pin.name.startswith(CASCADES):
            return 0.0
        source = self._cells[driver]["type"]
        if source == "BUFG":
            return GLOBAL_WIRE
        if (kind, pin.name.split("[")[0]) in DIRECT and not (kind == "CARRY4" and source != "CARRY4"):
            return 0.0
        direct = any(source.startswith(a) and kind.startswith(b) for a, b in IN_A_SLICE)
        if direct and loads == 1 and pin.name.split("[")[0] in ("D", "S", "DI"):
            return 0.0
        return self._wires.delay(loads)

    def _walk(self) -> None:
        """Every net's arrival, each after those that it comes from."""
        waiting: Counter[int] = Counter()
        readers: defaultdict[int, list[tuple[str, Arc]]] = defaultdict(list)
        for name, timing in self._timings.items():
            for arc in timing.arcs:
                waiting[arc.output] += 1
                readers[arc.pin.bit].append((name, arc))
        for timing in self._timings.values():
            for bit, late in timing.launches:
                self._arrival[bit], self._before[bit], self._clock[bit] = late, None, timing.clock
        ready = [bit for bit in readers if not waiting[bit]]
        reached = 0
        while ready:
            bit = ready.pop()
            reached += 1
            for name, arc in readers[bit]:
                if bit in self._arrival:
                    time = self._arrival[bit] + self._wire(name, arc.pin) + arc.delay
                    if time > self._arrival.get(arc.output, -1.0):
                        self._arrival[arc.output], self._before[arc.output] = time, (name, arc)
                        self._clock[arc.output] = self._clock[bit]
                waiting[arc.output] -= 1
                if not waiting[arc.output] and arc.output in readers:
                    ready.append(arc.output)
        if reached != len(readers):
            name = next(name for bit in readers if waiting[bit] for name, _ in readers[bit])
            raise ToolError(f"the netlist has a loop without a register, at {name}; synthesise again.")


def _public(names: Mapping[str, Any]) -> dict[int, str]:
    """A name for each net's bit: the one deepest in the design, and of those the shortest."""
    found: dict[int, str] = {}
    for name, net in names.items():
        if net.get("hide_name"):
            continue
        for index, bit in enumerate(net["bits"]):
            one = name if len(net["bits"]) == 1 else f"{name}[{index}]"
            if isinstance(bit, int) and (bit not in found or _depth(one) < _depth(found[bit])):
                found[bit] = one
    return found


def _depth(name: str) -> tuple[int, int, str]:
    return -name.count("."), len(name), name
