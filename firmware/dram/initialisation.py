"""What brings a DRAM up through its controller's control port: registers, command sequence, constants of the PHY.

hw.build writes it beside a bitstream, `dram.json`; the host reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sim.reference.errors import UserError

__all__ = ["COMMANDS", "CONTROL", "FILE_NAME", "Initialisation", "Phy", "Step"]

FILE_NAME = "dram.json"
# Bits of `sdram_dfii_control` and of `sdram_dfii_piN_command`.
CONTROL = {"SEL": 1, "CKE": 2, "ODT": 4, "RESET_N": 8}
COMMANDS = {"CS": 1, "WE": 2, "CAS": 4, "RAS": 8, "WRDATA": 16, "RDDATA": 32}


@dataclass(frozen=True)
class Step:
    """Write `value` to a register, then let `wait` memory cycles pass."""

    register: str
    value: int
    wait: int = 0


@dataclass(frozen=True)
class Phy:
    """Constants of a PHY: what leveling must know.

    Parameters
    ----------
    phases : command phases a memory cycle
    data_bits : of the data bus
    dfi_bits : of one phase's data
    read_phase, write_phase : phases in which reads and writes are issued
    delays, bitslips : settings of the read delay and of the word alignment; 0: nothing to level
    """

    phases: int
    data_bits: int
    dfi_bits: int
    read_phase: int
    write_phase: int
    delays: int
    bitslips: int

    @property
    def leveling(self) -> bool:
        """Whether reads must be leveled before memory can be used."""
        return self.delays > 0


@dataclass(frozen=True)
class Initialisation:
    """Everything that whoever holds the control port needs.

    Parameters
    ----------
    registers : byte address in the control port of each register, all of 32 bits or a multiple
    words : words of 32 bits of each register, most significant first
    sequence : from power-on to a DRAM that obeys commands; afterwards reads are leveled where `phy.leveling`,
        `sdram_dfii_control` is set to SEL and `ddrctrl_init_done` to 1
    phy : constants
    memory_mhz : clock in whose cycles the sequence waits
    """

    registers: dict[str, int]
    words: dict[str, int]
    sequence: tuple[Step, ...]
    phy: Phy
    memory_mhz: float

    def to_json(self) -> str:
        """For the file beside a bitstream."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Initialisation:
        """What `to_json` wrote. Raises UserError for anything else."""
        try:
            raw = json.loads(text)
            steps = tuple(Step(**step) for step in raw["sequence"])
            phy = Phy(**raw["phy"])
            return cls(dict(raw["registers"]), dict(raw["words"]), steps, phy, float(raw["memory_mhz"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"this is no file of DRAM constants ({error}); build the board again.") from None
