"""What brings a DRAM up through its controller's control port: registers, command sequence, constants of the PHY."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from hw.dram.settings import DramError

__all__ = ["COMMANDS", "CONTROL", "Initialisation", "Phy", "Step"]

# Bits of `sdram_dfii_control` and of `sdram_dfii_piN_command`.
CONTROL = {"SEL": 1, "CKE": 2, "ODT": 4, "RESET_N": 8}
COMMANDS = {"CS": 1, "WE": 2, "CAS": 4, "RAS": 8, "WRDATA": 16, "RDDATA": 32}
_FLAGS = {
    **{f"DFII_CONTROL_{name}": value for name, value in CONTROL.items()},
    **{f"DFII_COMMAND_{name}": value for name, value in COMMANDS.items()},
}


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
        """What `to_json` wrote. Raises DramError for anything else."""
        try:
            raw = json.loads(text)
            steps = tuple(Step(**step) for step in raw["sequence"])
            phy = Phy(**raw["phy"])
            return cls(dict(raw["registers"]), dict(raw["words"]), steps, phy, float(raw["memory_mhz"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DramError(f"this is no file of DRAM constants ({error}); build the board again.") from None

    @classmethod
    def parse(cls, csr: str, header: str, memory_mhz: float) -> Initialisation:
        """From the generator's `csr.json` and `sdram_phy.h`. Raises DramError if they are not as expected."""
        try:
            found = json.loads(csr)["csr_registers"]
            registers = {name: int(entry["addr"]) for name, entry in found.items()}
            words = {name: int(entry["size"]) for name, entry in found.items()}
        except (ValueError, KeyError) as error:
            raise DramError(f"csr.json is not LiteDRAM's ({error}); install litedram==2024.12.") from None
        sequence = tuple(_sequence(header))
        unknown = sorted({step.register for step in sequence} - registers.keys())
        if unknown:
            raise DramError(f"sdram_phy.h writes {unknown[0]}, which is no register; install litedram==2024.12.")
        return cls(registers, words, sequence, _phy(header), memory_mhz)


def _phy(header: str) -> Phy:
    defines: dict[str, str] = dict(re.findall(r"#define SDRAM_PHY_(\w+) (\w+)", header))

    def number(name: str, default: int | None = None) -> int:
        if name not in defines and default is None:
            raise DramError(f"sdram_phy.h lacks SDRAM_PHY_{name}; install litedram==2024.12.")
        return int(defines.get(name, str(default)), 0)

    leveled = "SDRAM_PHY_READ_LEVELING_CAPABLE" in header
    return Phy(
        phases=number("PHASES"),
        data_bits=number("DATABITS"),
        dfi_bits=number("DFI_DATABITS"),
        read_phase=number("RDPHASE"),
        write_phase=number("WRPHASE"),
        delays=number("DELAYS") if leveled else 0,
        bitslips=number("BITSLIPS") if leveled else 0,
    )


def _value(text: str) -> int:
    if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", text):
        return int(text, 0)
    total = 0
    for flag in text.split("|"):
        if flag not in _FLAGS:
            raise DramError(f"sdram_phy.h has the unknown value {flag}; install litedram==2024.12.")
        total |= _FLAGS[flag]
    return total


def _sequence(header: str) -> list[Step]:
    """The C function `init_sequence` as steps."""
    start = header.find("void init_sequence(void)")
    if start < 0:
        raise DramError("sdram_phy.h has no init_sequence; install litedram==2024.12.")
    body = header[header.index("{", start) + 1 : header.index("\n}", start)]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    steps: list[Step] = []
    for statement in (part.strip() for part in body.split(";")):
        if not statement:
            continue
        call = re.fullmatch(r"(\w+)\(([^)]*)\)", statement)
        if call is None:
            raise DramError(f"sdram_phy.h has the unknown statement {statement!r}; install litedram==2024.12.")
        name, argument = call[1], call[2]
        if name == "cdelay" and steps:
            last = steps.pop()
            steps.append(Step(last.register, last.value, last.wait + _value(argument)))
        elif phase := re.fullmatch(r"command_p(\d)", name):
            register = f"sdram_dfii_pi{phase[1]}_command"
            steps += [Step(register, _value(argument)), Step(f"{register}_issue", 1)]
        elif name.endswith("_write"):
            steps.append(Step(name.removesuffix("_write"), _value(argument)))
        else:
            raise DramError(f"sdram_phy.h calls {name}, which is unknown; install litedram==2024.12.")
    return steps
