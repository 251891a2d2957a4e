"""Faults that a first bring-up must find: what is wrong, and how it is put into a board or its constants."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from firmware.dram.initialisation import Initialisation
from host.link.connection import Connection
from sim.pins.board import Wiring

__all__ = ["FAULTS", "Fault"]

CAS_BITS = 0x70  # of mode register 0, where latencies of 5 to 11 are 1 to 7


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Parameters
    ----------
    what : in words
    wiring : of the board
    cas_latency : so many clocks more in the chip's mode register than the constants should say
    slip : of lane 1, a register of the PHY that moves an alignment by a bit, which is written once too often
    """

    what: str
    wiring: Wiring = Wiring()
    cas_latency: int = 0
    slip: str = ""

    def constants(self, right: Initialisation) -> Initialisation:
        """The constants with the fault in them."""
        if not self.cas_latency:
            return right
        steps = list(right.sequence)
        # Mode register 0 is loaded last: the last address before the bank 0 that a command with RAS, CAS and WE gets.
        index = max(
            at
            for at, step in enumerate(steps)
            if step.register.endswith("_address") and step.value & 0x100 and steps[at + 1].value == 0
        )
        code = (steps[index].value & CAS_BITS) + 0x10 * self.cas_latency
        steps[index] = dataclasses.replace(steps[index], value=steps[index].value & ~CAS_BITS | code)
        return dataclasses.replace(right, sequence=tuple(steps))

    def after_leveling(self, link: Connection, constants: Initialisation) -> None:
        """What goes wrong once the memory is up."""
        if self.slip:
            for register, value in (("ddrphy_dly_sel", 2), (f"ddrphy_{self.slip}", 1), ("ddrphy_dly_sel", 0)):
                link.control_write(constants.registers[register], value)


FAULTS = {
    "read-slip": Fault("the read data of lane 1 are aligned a bit too late", slip="rdly_dq_bitslip"),
    "write-slip": Fault("the write data of lane 1 leave at another bit", slip="wdly_dq_bitslip"),
    "lanes": Fault("the data wires of the byte lanes have changed places", Wiring(crossed=True)),
    "cas-late": Fault("the chip is told a CAS latency of one clock more", cas_latency=1),
    "cas-early": Fault("the chip is told a CAS latency of one clock less", cas_latency=-1),
    "stuck": Fault("a data wire of lane 1 is always high", Wiring(stuck=1 << 12)),
}
