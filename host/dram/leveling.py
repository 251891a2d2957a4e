"""Brings up a DRAM over the controller's control port: the command sequence, then read leveling if the PHY needs it.

Leveling finds, for each byte lane, which word alignment and which delay of the read data return what was written. A
pattern goes to one burst in row 0 of bank 0 by commands that the control port issues itself, and comes back by the same
way. On a PHY without output delays the write data may also be a memory clock early or late; the alignment of writes is
tried too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from firmware.dram.initialisation import COMMANDS, CONTROL, Initialisation

__all__ = ["ControlBus", "Eye", "Lane", "LevelingError", "bring_up"]

PATTERNS = (0x2A5F93C6, 0xD1B4086E)  # seeds: a lane that sticks or lags returns neither of two patterns
COARSE = 4  # taps between the delays that the first look tries
LEAST_WINDOW = 4  # taps: a narrower one would not survive a change of temperature
WRITE_STEP = 2  # write alignments between which the data move by a whole memory clock
RESET_SECONDS = 200e-6  # that a DDR3 chip's reset is low; nothing that happened before counts any more
KEPT = ("_address", "_baddress", "_command", "_wrdata")  # ends of registers that keep a value and do nothing by it


class LevelingError(RuntimeError):
    """A byte lane returns nothing right. The sentence says which lane, what it returned, and what to do."""


class ControlBus(Protocol):
    """Registers of 32 bits at byte addresses that are multiples of 4; the host's `Connection` is one."""

    def control_read_all(self, addresses: Sequence[int]) -> list[int]: ...

    def control_write_all(self, writes: Sequence[tuple[int, int]]) -> None: ...


@dataclass(frozen=True)
class Eye:
    """What one alignment of a byte lane returned: for each delay that was tried, whether it was right.

    Parameters
    ----------
    lane, write_bitslip, read_bitslip : which
    step : taps from one delay to the next; the first is 0
    right : of each delay
    """

    lane: int
    write_bitslip: int
    read_bitslip: int
    step: int
    right: tuple[bool, ...]


@dataclass(frozen=True)
class Lane:
    """What leveling chose for a byte lane: alignments of writes and reads, the read delay, and how many taps work."""

    write_bitslip: int
    read_bitslip: int
    delay: int
    window: int


def bring_up(
    bus: ControlBus,
    constants: Initialisation,
    wait: Callable[[float], None] = time.sleep,
    seen: Callable[[Eye], None] = lambda eye: None,
) -> tuple[Lane, ...]:
    """Initialises the memory and opens its port.

    Parameters
    ----------
    bus : the control port
    constants : of the bitstream: its `dram.json`
    wait : lets so many seconds pass
    seen : is told every look that leveling takes, the last one of an alignment being the finest

    Returns
    -------
    What was chosen for each byte lane; nothing where nothing is leveled.

    Raises
    ------
    LevelingError
        The port stays closed and the board's lamp says so.
    """
    port = _Port(bus, constants, wait, seen)
    port.write("ddrctrl_init_done", 0)
    port.write("ddrctrl_init_error", 0)
    if "ddrphy_rst" in constants.registers:
        port.write("ddrphy_rst", 1)
        port.write("ddrphy_rst", 0)
    if constants.phy.leveling:
        # The controller lets go of the reset, and enables the clock, as soon as it has a clock itself.
        port.write("sdram_dfii_control", 0, round(RESET_SECONDS * 1e6 * constants.memory_mhz))
    for step in constants.sequence:
        port.write(step.register, step.value, step.wait)
    lanes: tuple[Lane, ...] = ()
    try:
        if constants.phy.leveling:
            lanes = tuple(_level(port, lane) for lane in range(constants.phy.data_bits // 8))
    except LevelingError:
        port.write("ddrctrl_init_error", 1)
        port.flush()
        raise
    port.write("sdram_dfii_control", CONTROL["SEL"])
    port.write("ddrctrl_init_done", 1)
    port.flush()
    return lanes


class _Port:
    """The control port with names instead of addresses, and the memory commands that leveling needs.

    Writes are gathered until something is read or waited for: a look takes many accesses, and an answer to each would
    take a USB bridge's milliseconds. A register of `KEPT` that has the value already is not written again.
    """

    def __init__(
        self,
        bus: ControlBus,
        constants: Initialisation,
        wait: Callable[[float], None],
        seen: Callable[[Eye], None],
    ) -> None:
        self.phy, self.seen = constants.phy, seen
        self._bus, self._constants, self._wait = bus, constants, wait
        self._writes: list[tuple[int, int]] = []
        self._kept: dict[str, int] = {}

    def write(self, register: str, value: int, cycles: int = 0) -> None:
        if register.endswith(KEPT):
            if self._kept.get(register) == value and not cycles:
                return
            self._kept[register] = value
        words = self._constants.words[register]
        address = self._constants.registers[register]
        for index in range(words):
            self._writes.append((address + 4 * index, value >> 32 * (words - 1 - index) & 0xFFFFFFFF))
        if cycles:
            self.flush()
            self._wait(cycles / self._constants.memory_mhz * 1e-6)

    def flush(self) -> None:
        """Waits until everything that was written so far is in memory."""
        writes, self._writes = self._writes, []
        if writes:
            self._bus.control_write_all(writes)

    def read(self, registers: Sequence[str]) -> list[int]:
        self.flush()
        places = [
            self._constants.registers[name] + 4 * index
            for name in registers
            for index in range(self._constants.words[name])
        ]
        words = iter(self._bus.control_read_all(places))
        found = []
        for name in registers:
            value = 0
            for _ in range(self._constants.words[name]):
                value = value << 32 | next(words)
            found.append(value)
        return found

    def command(self, phase: int, names: str, address: int = 0) -> None:
        """One command. It needs no wait behind it: the next one's write takes longer on any link (a byte a memory cycle
        at most, 20 bytes a write) than a row takes to open or close.
        """
        value = sum(COMMANDS[name] for name in names.split())
        self.write(f"sdram_dfii_pi{phase}_address", address)
        self.write(f"sdram_dfii_pi{phase}_baddress", 0)
        self.write(f"sdram_dfii_pi{phase}_command", value)
        self.write(f"sdram_dfii_pi{phase}_command_issue", 1)

    def step_lane(self, lane: int, register: str, times: int = 1) -> None:
        """Resets or moves one lane's delay or alignment."""
        self.write("ddrphy_dly_sel", 1 << lane)
        for _ in range(times):
            self.write(f"ddrphy_{register}", 1)
        self.write("ddrphy_dly_sel", 0)

    def returns(self, lane: int) -> bool:
        """Whether the lane returns what was written, for every pattern."""
        return all(self._returns(lane, pattern) for pattern in PATTERNS)

    def _returns(self, lane: int, seed: int) -> bool:
        words = _pattern(seed, self.phy.phases, self.phy.dfi_bits)
        for phase, word in enumerate(words):
            self.write(f"sdram_dfii_pi{phase}_wrdata", word)
        self.command(0, "CS RAS")
        self.command(self.phy.write_phase, "CS CAS WE WRDATA")
        self.command(self.phy.read_phase, "CS CAS RDDATA")
        found = self.read([f"sdram_dfii_pi{phase}_rddata" for phase in range(self.phy.phases)])
        self.command(0, "CS RAS WE", 1 << 10)  # closes all rows
        # A phase's word has the data bus once for each edge of the memory's clock.
        mask = sum(0xFF << (edge + 8 * lane) for edge in range(0, self.phy.dfi_bits, self.phy.data_bits))
        return all((word ^ back) & mask == 0 for word, back in zip(words, found, strict=True))


def _pattern(seed: int, phases: int, bits: int) -> list[int]:
    """Words from a xorshift generator (Marsaglia, 2003), which do not repeat within a burst."""
    words = []
    for _ in range(phases):
        seed ^= seed << 13 & 0xFFFFFFFF
        seed ^= seed >> 17
        seed ^= seed << 5 & 0xFFFFFFFF
        words.append(seed & ((1 << bits) - 1))
    return words


def _level(port: _Port, lane: int) -> Lane:
    phy, widest = port.phy, 0
    for write_bitslip in range(0, phy.bitslips, WRITE_STEP):
        port.step_lane(lane, "wdly_dq_bitslip_rst")
        port.step_lane(lane, "wdly_dq_bitslip", write_bitslip)
        rough = [bitslip for bitslip in range(phy.bitslips) if any(_window(port, lane, write_bitslip, bitslip, COARSE))]
        # The window of one alignment may continue in the next: the widest is taken.
        near = sorted(
            {bitslip for found in rough for bitslip in (found - 1, found, found + 1)} & set(range(phy.bitslips))
        )
        best = Lane(write_bitslip, 0, 0, 0)
        for bitslip in near:
            start, length = _longest(_window(port, lane, write_bitslip, bitslip, 1))
            if length > best.window:
                best = Lane(write_bitslip, bitslip, start + length // 2, length)
        if best.window >= LEAST_WINDOW:
            _set_read(port, lane, best.read_bitslip)
            port.step_lane(lane, "rdly_dq_inc", best.delay)
            return best
        widest = max(widest, best.window)
    what = f"at no more than {widest} delays in a row" if widest else f"at none of {phy.delays} delays"
    raise LevelingError(
        f"byte lane {lane} of the memory returned what was written {what}, and {LEAST_WINDOW} are needed; power the "
        "board off and on; if that does not help, check that the build is for this board."
    )


def _set_read(port: _Port, lane: int, bitslip: int) -> None:
    """The alignment of reads, and a delay of 0."""
    port.step_lane(lane, "rdly_dq_bitslip_rst")
    port.step_lane(lane, "rdly_dq_bitslip", bitslip)
    port.step_lane(lane, "rdly_dq_rst")


def _window(port: _Port, lane: int, write_bitslip: int, bitslip: int, step: int) -> tuple[bool, ...]:
    """Which delays, `step` taps apart, return what was written."""
    _set_read(port, lane, bitslip)
    right = []
    for delay in range(0, port.phy.delays, step):
        if delay:
            port.step_lane(lane, "rdly_dq_inc", step)
        right.append(port.returns(lane))
    port.seen(Eye(lane, write_bitslip, bitslip, step, tuple(right)))
    return tuple(right)


def _longest(right: Sequence[bool]) -> tuple[int, int]:
    """Where the longest run of Trues begins, and its length."""
    best, start = (0, 0), 0
    for index, good in enumerate([*right, False]):
        if not good:
            best = max(best, (start, index - start), key=lambda run: run[1])
            start = index + 1
    return best
