"""Faults that a first bring-up must find: what is wrong, and how it is put into a board or its constants."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from firmware.dram.initialisation import COMMANDS, Initialisation
from host.link.connection import Connection
from sim.pins.board import Wiring
from sim.pins.delays import Delays

__all__ = ["FAULTS", "Fault"]

CAS_BITS = 0x70  # of mode register 0
LOAD_MODE = sum(COMMANDS[name] for name in ("CS", "RAS", "CAS", "WE"))


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Parameters
    ----------
    what : in words
    crossed, stuck : as of `Wiring`
    cas_latency : so many clocks more in the chip's mode register than the constants should say
    slip : of lane 1, a register of the PHY that moves an alignment by a bit, which is written once too often
    """

    what: str
    crossed: bool = False
    stuck: int = 0
    cas_latency: int = 0
    slip: str = ""

    def wiring(self, delays: Delays) -> Wiring:
        """Of a board that has it."""
        return Wiring(delays, self.crossed, self.stuck)

    def constants(self, right: Initialisation) -> Initialisation:
        """The constants with the fault in them."""
        if not self.cas_latency:
            return right
        steps = list(right.sequence)
        for index, step in enumerate(steps[:-2]):
            # The latency stands in mode register 0: a command with RAS, CAS and WE in bank 0.
            bank, command = steps[index + 1 : index + 3]
            if step.register.endswith("_address") and (bank.value, command.value) == (0, LOAD_MODE):
                code = (step.value & CAS_BITS) + 0x10 * self.cas_latency
                steps[index] = dataclasses.replace(step, value=step.value & ~CAS_BITS | code)
        return dataclasses.replace(right, sequence=tuple(steps))

    def after_leveling(self, link: Connection, constants: Initialisation) -> None:
        """What goes wrong once the memory is up."""
        if self.slip:
            for register, value in (("ddrphy_dly_sel", 2), (f"ddrphy_{self.slip}", 1), ("ddrphy_dly_sel", 0)):
                link.control_write(constants.registers[register], value)


FAULTS = {
    "read-slip": Fault("the read data of lane 1 are aligned a bit too late", slip="rdly_dq_bitslip"),
    "write-slip": Fault("the write data of lane 1 leave at another bit", slip="wdly_dq_bitslip"),
    "lanes": Fault("the data wires of the byte lanes have changed places", crossed=True),
    "cas-late": Fault("the chip is told a CAS latency of one clock more", cas_latency=1),
    "cas-early": Fault("the chip is told a CAS latency of one clock less", cas_latency=-1),
    "stuck": Fault("a data wire of lane 1 is always high", stuck=1 << 12),
}
