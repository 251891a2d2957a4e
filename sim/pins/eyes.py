"""Where the eyes of read leveling must lie: what a board's delays and the PHY's latencies come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware.dram.initialisation import Phy
from host.dram.leveling import Lane
from sim.pins.delays import LANES, Delays

__all__ = ["Expected", "expected", "misplaced"]

SERIALISED = 8  # memory clocks from the cycle of a command to its phase 0 at the serialisers' outputs
COMMAND_EDGE = 0.5  # the memory's clock rises in the middle of a command
READ_CYCLES = 2  # of the controller, in which the PHY lets the CAS latency pass; one memory clock more comes on top
FIRST_SAMPLE = 18  # memory clocks from the cycle of a command to the first sample that the alignment can choose
SLACK = 2  # delays: the jitter of a finite number of bursts may leave that many more


@dataclass(frozen=True)
class Expected:
    """Of one alignment of a lane: the first delay that must work, and the last."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many."""
        return self.last - self.first + 1


def expected(phy: Phy, memory_mhz: float, delays: Delays, lane: int) -> dict[int, Expected]:
    """The eye of each alignment of reads at which there is one.

    The PHY issues a READ in phase `phy.read_phase`, and is built for data after `READ_CYCLES` controller cycles less
    that phase, and one clock more (A7DDRPHY). Alignment n, from reset on, begins with sample (n + 7) % 8 + 1.
    """
    clock = 1e6 / (phy.phases * memory_mhz)
    latency = phy.phases * READ_CYCLES - phy.read_phase + 1
    there = (SERIALISED + phy.read_phase + COMMAND_EDGE + latency) * clock
    there += delays.leaving + delays.clock + delays.data[lane] + delays.entering
    tap = 8 * clock / (32 * phy.phases * 2)
    found = {}
    for alignment in range(phy.bitslips):
        begins = (alignment + phy.bitslips - 1) % phy.bitslips + 1
        sample = (FIRST_SAMPLE + begins / 2) * clock
        right = [
            step
            for step in range(phy.delays)
            if there + step * tap + delays.jitter < sample < there + step * tap + clock / 2 - delays.jitter
        ]
        if right:
            found[alignment] = Expected(right[0], right[-1])
    return found


def misplaced(lanes: Sequence[Lane], phy: Phy, memory_mhz: float, delays: Delays) -> list[str]:
    """What leveling chose otherwise than the wires' delays say, a sentence a lane; none if it found the eyes."""
    wrong = []
    for index in range(LANES):
        wanted = expected(phy, memory_mhz, delays, index)
        chosen = lanes[index]
        eye = wanted.get(chosen.read_bitslip)
        widest = max((it.length for it in wanted.values()), default=0)
        good = (
            eye is not None
            and eye.first <= chosen.delay <= eye.last
            and eye.length + SLACK >= chosen.window >= widest - SLACK
        )
        if not good:
            where = "; ".join(f"alignment {at}, delays {it.first} to {it.last}" for at, it in wanted.items())
            wrong.append(
                f"Byte lane {index} reads with alignment {chosen.read_bitslip}, delay {chosen.delay}, {chosen.window} "
                f"in a row, and its wires ask for {where}: the CAS latency in the chip is not the one that the PHY was "
                "built for, or the wires have other delays."
            )
    return wrong
