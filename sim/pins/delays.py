"""How long signals take between a board's FPGA and its memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ARTY_A7", "LANES", "ULX3S", "Delays"]

LANES = 2


@dataclass(frozen=True)
class Delays:
    """Picoseconds.

    Parameters
    ----------
    leaving : from a clock's edge in the FPGA through serialiser and output buffer to the pin
    entering : from the pin through input buffer and a delay line at step 0 to the deserialiser
    clock, commands : along the wires of the memory's clock and of its commands
    data, strobe : along those of each byte lane
    jitter : how much earlier or later than it should the chip puts out data at most
    """

    leaving: int
    entering: int
    clock: int
    commands: int
    data: tuple[int, int]
    strobe: tuple[int, int]
    jitter: int


# Buffers and paths inside the FPGA come to what an Arty's published eyes say of them, 2.8 ns there and back with the
# wires (docs/pins.md). The lanes differ by more than a board's do, so that each has to be found by itself.
ARTY_A7 = Delays(leaving=1300, entering=700, clock=430, commands=450, data=(340, 560), strobe=(390, 600), jitter=150)

# The ECP5's buffers at 3.3 V; nothing is leveled here, so these have to fit as they are.
ULX3S = Delays(leaving=2600, entering=1200, clock=300, commands=320, data=(290, 450), strobe=(0, 0), jitter=0)
