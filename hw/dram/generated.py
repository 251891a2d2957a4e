"""What LiteDRAM's generator says of a controller, its `csr.json` and `sdram_phy.h`, as an `Initialisation`."""

from __future__ import annotations

import json
import re

from firmware.dram.initialisation import COMMANDS, CONTROL, Initialisation, Phy, Step
from hw.dram.settings import DramError

__all__ = ["initialisation_of"]

_FLAGS = {
    **{f"DFII_CONTROL_{name}": value for name, value in CONTROL.items()},
    **{f"DFII_COMMAND_{name}": value for name, value in COMMANDS.items()},
}


def initialisation_of(csr: str, header: str, memory_mhz: float) -> Initialisation:
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
    return Initialisation(registers, words, sequence, _phy(header), memory_mhz)


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
