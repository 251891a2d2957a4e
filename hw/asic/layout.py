"""What LibreLane needs beside the Verilog: configuration, and timing constraints that any layout flow reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hw.asic.memories import Wrapper

__all__ = ["CLOCK", "MACROS", "RESET", "constraints", "flow_configuration"]

CLOCK, RESET = "clock", "reset_n"
MACROS = "macros"  # the folder into which a user puts the views of the process's memories
OUTSIDE = 0.3  # of a period: what the surroundings may use of it before an input and after an output


def constraints(period_ns: float, inputs: Iterable[str]) -> str:
    """Timing constraints (SDC): one clock; inputs and outputs share the period with what is around.

    `inputs`: patterns of the ports that are neither clock nor reset.
    """
    outside = period_ns * OUTSIDE
    return "\n".join(
        [
            f"create_clock -name {CLOCK} -period {period_ns:.3f} [get_ports {CLOCK}]",
            f"set_clock_uncertainty {period_ns * 0.05:.3f} [get_clocks {CLOCK}]",
            f"set_input_delay {outside:.3f} -clock {CLOCK} [get_ports {{{' '.join(inputs)}}}]",
            f"set_output_delay {outside:.3f} -clock {CLOCK} [all_outputs]",
            "# The reset may change at any time: a synchroniser of two registers is the first thing behind the port.",
            f"set_false_path -from [get_ports {RESET}]",
            "",
        ]
    )


def flow_configuration(top: str, period_ns: float, memories: Iterable[tuple[str, Wrapper]]) -> str:
    """LibreLane's config.json.

    Parameters
    ----------
    top : the top module
    period_ns : of the clock
    memories : (path, wrapper) of each macro; LibreLane places them, unless a user writes locations
    """
    macros: dict[str, dict[str, Any]] = {}
    for path, wrapper in memories:
        name = wrapper.name
        entry = macros.setdefault(
            name,
            {
                "gds": [f"dir::{MACROS}/{name}.gds"],
                "lef": [f"dir::{MACROS}/{name}.lef"],
                "lib": {"*": [f"dir::{MACROS}/{name}.lib"]},
                "vh": [f"dir::{MACROS}/{name}.v"],
                "instances": {},
            },
        )
        entry["instances"][path] = {"location": None, "orientation": None}
    configuration = {
        "meta": {"version": 2, "flow": "Classic"},
        "DESIGN_NAME": top,
        "VERILOG_FILES": ["dir::top.v"],
        "CLOCK_PORT": CLOCK,
        "CLOCK_PERIOD": round(period_ns, 3),
        "PNR_SDC_FILE": "dir::constraints.sdc",
        "SIGNOFF_SDC_FILE": "dir::constraints.sdc",
        "FP_SIZING": "relative",
        "FP_CORE_UTIL": 40,
        "MACROS": macros,
    }
    return json.dumps(configuration, indent=2) + "\n"
