"""What each xc7 cell means for timing: what it launches, what it captures, and what passes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hw.timing.delays import (
    BLOCK_RAM,
    CARRY,
    DSP,
    GLOBAL_BUFFER,
    LUT_DELAY,
    LUT_RAM,
    MUX_DELAY,
    REGISTER,
    SERDES,
    SHIFT_REGISTER,
    Registered,
)
from hw.toolchains.netlist import Bit, Cell

__all__ = ["Arc", "CellTiming", "Pin", "cell_timing"]

REGISTERS = ("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1")
PINS = ("OSERDESE2", "ISERDESE2", "IDELAYE2", "ODELAYE2", "ODDR", "IDDR")
CLOCKS = ("C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK", "CLKDIV")
SMALL_RAMS = ("RAM32", "RAM64", "RAM128", "RAM256")
CASCADED = ("PCIN", "ACIN", "BCIN", "CASCADEINA", "CASCADEINB")


@dataclass(frozen=True)
class Pin:
    """An input of a cell: `bit` is the net's."""

    name: str
    bit: int


@dataclass(frozen=True)
class Arc:
    """From an input through a cell to an output's net, in ns; `levels`: how many LUTs or carry chains that counts."""

    pin: Pin
    output: int
    delay: float
    levels: int = 1


@dataclass
class CellTiming:
    """Parameters
    ----------
    clock : the net that clocks the cell; None where nothing does
    launches : (net, ns from the clock)
    captures : (input, ns before the clock)
    arcs : what passes through
    """

    clock: Bit | None = None
    launches: list[tuple[int, float]] = field(default_factory=list)
    captures: list[tuple[Pin, float]] = field(default_factory=list)
    arcs: list[Arc] = field(default_factory=list)


def cell_timing(cell: Cell) -> CellTiming:
    """Of a cell of Yosys's flat netlist; empty for one that only clocks and pads have."""
    kind = cell["type"]
    if kind.startswith("LUT") or kind == "INV":
        return CellTiming(arcs=_through(cell, LUT_DELAY))
    if kind == "BUFG":
        return CellTiming(arcs=_through(cell, GLOBAL_BUFFER, levels=0))
    if kind in MUX_DELAY:
        return CellTiming(arcs=_through(cell, MUX_DELAY[kind], levels=0))
    if kind == "CARRY4":
        return CellTiming(arcs=list(_carry(cell)))
    if kind in REGISTERS:
        return _registered(cell, REGISTER)
    if kind in ("SRL16E", "SRLC32E"):
        return _readable(cell, SHIFT_REGISTER, ("A",))
    if kind.startswith("RAMB"):
        return _block_ram(cell)
    if kind.startswith(SMALL_RAMS):
        return _small_ram(cell)
    if kind == "DSP48E1":
        return _dsp(cell)
    return _registered(cell, SERDES) if kind in PINS else CellTiming()


def _inputs(cell: Cell) -> Iterator[Pin]:
    for port, bits in cell["connections"].items():
        if cell["port_directions"][port] == "input" and port not in CLOCKS:
            for index, bit in enumerate(bits):
                if isinstance(bit, int):
                    yield Pin(port if len(bits) == 1 else f"{port}[{index}]", bit)


def _outputs(cell: Cell, *starts: str) -> list[int]:
    return [
        bit
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output" and (not starts or port.startswith(starts))
        for bit in bits
        if isinstance(bit, int)
    ]


def _clock(cell: Cell) -> Bit | None:
    # A serialiser's slow clock comes last: that is the one by which the machine's side of it goes.
    for port in reversed(CLOCKS):
        bits = cell["connections"].get(port, [])
        if bits and isinstance(bits[0], int):
            return int(bits[0])
    return None


def _through(cell: Cell, delay: float, levels: int = 1) -> list[Arc]:
    return [Arc(pin, output, delay, levels) for pin in _inputs(cell) for output in _outputs(cell)]


def _carry(cell: Cell) -> Iterator[Arc]:
    """A bit reaches its own and the later outputs of the chain."""
    connections = cell["connections"]
    for pin in _inputs(cell):
        along = pin.name in ("CI", "CYINIT")
        first = 0 if along else int(pin.name[pin.name.index("[") + 1 : -1])
        for port, late, early in (("CO", CARRY.ALONG, CARRY.ENTER_CARRY), ("O", CARRY.LEAVE, CARRY.ENTER_SUM)):
            for index, output in enumerate(connections.get(port, [])):
                itself = port == "CO" or pin.name.startswith("S")
                if isinstance(output, int) and (index > first or (index == first and (along or itself))):
                    yield Arc(pin, output, late if pin.name == "CI" else early, 0 if pin.name == "CI" else 1)


def _registered(cell: Cell, times: Registered) -> CellTiming:
    captures = [(pin, times.before(pin.name)) for pin in _inputs(cell)]
    return CellTiming(_clock(cell), [(bit, times.out) for bit in _outputs(cell)], captures)


def _readable(cell: Cell, times: Registered, addresses: tuple[str, ...]) -> CellTiming:
    """Written by the clock, read by an address that passes through as through a LUT."""
    timing = _registered(cell, times)
    read = [pin for pin, _ in timing.captures if pin.name.startswith(addresses)]
    timing.captures = [(pin, setup) for pin, setup in timing.captures if pin not in read]
    timing.arcs = [Arc(pin, output, LUT_DELAY) for pin in read for output in _outputs(cell)]
    return timing


def _small_ram(cell: Cell) -> CellTiming:
    # In RAM32M and RAM64M port D writes, and its address is no read address of the others.
    if cell["type"].endswith("M"):
        timing = _registered(cell, LUT_RAM)
        for port in "ABC":
            read = [pin for pin in _inputs(cell) if pin.name.startswith(f"ADDR{port}")]
            timing.arcs += [Arc(pin, bit, LUT_DELAY) for pin in read for bit in _outputs(cell, f"DO{port}")]
            timing.captures = [(pin, setup) for pin, setup in timing.captures if pin not in read]
        return timing
    return _readable(cell, LUT_RAM, ("DPRA", "A"))


def _block_ram(cell: Cell) -> CellTiming:
    registers = any("1" in str(cell["parameters"].get(f"DO{port}_REG", "0")) for port in "AB")
    return _registered(cell, BLOCK_RAM[registers])


def _dsp(cell: Cell) -> CellTiming:
    def has(register: str) -> bool:
        return "1" in str(cell["parameters"].get(register, "0"))[-2:]

    timing = CellTiming(_clock(cell))
    pre_adder = "TRUE" in str(cell["parameters"].get("USE_DPORT", ""))
    for pin in _inputs(cell):
        setup, through = _dsp_input(pin.name.split("[")[0], has, pre_adder)
        if setup is None:
            timing.arcs += [Arc(pin, bit, through) for bit in _outputs(cell)]
        else:
            timing.captures.append((pin, setup))
    late = DSP.OUT if has("PREG") else DSP.OUT_OF_PRODUCT_REGISTER if has("MREG") else DSP.OUT_OF_INPUT_REGISTER
    if any(has(register) for register in ("PREG", "MREG", "AREG", "BREG", "CREG")):
        timing.launches = [(bit, late) for bit in _outputs(cell)]
    return timing


def _dsp_input(port: str, has: Callable[[str], bool], pre_adder: bool) -> tuple[float | None, float]:
    """(setup, 0) of an input that a register takes, (None, delay) of one that reaches the output without any."""
    if port in ("A", "B", "D"):
        if has(f"{port}REG"):
            return DSP.TO_INPUT_REGISTER, 0.0
        if port != "B" and pre_adder and has("ADREG"):
            return DSP.TO_PRE_ADDER_REGISTER, 0.0
        if has("MREG"):
            return DSP.TO_PRODUCT_REGISTER, 0.0
        full = DSP.TO_RESULT_FROM_PRODUCT_INPUT
        return (full, 0.0) if has("PREG") else (None, full)
    if port == "C" and has("CREG"):
        return DSP.TO_INPUT_REGISTER, 0.0
    if port == "C":
        return (DSP.TO_RESULT_FROM_C, 0.0) if has("PREG") else (None, DSP.THROUGH_ADDER)
    if port in CASCADED:
        return (DSP.TO_RESULT_FROM_CASCADE, 0.0) if has("PREG") else (None, DSP.THROUGH_ADDER)
    return DSP.CONTROL, 0.0
