"""The compute units after synthesis to standard cells, on the benches of their gateware.

One unit by default, for a netlist takes a minute and more to make and to compile; all of them by `make netlists`.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from amaranth.lib import wiring

from gateware.array.grid import SystolicArray
from gateware.gelu.shiftgelu import ShiftGELU
from gateware.layernorm.layernorm import LayerNorm
from gateware.postprocess.postprocessor import PostProcessor
from gateware.softmax.shiftmax import Shiftmax
from hw.asic.bench import bench_sources
from sim.cocotb.runner import run_bench
from sim.reference.arithmetic import LEAN

LIBERTY = Path(__file__).with_name("cells.lib")
ALL = "IVIT_NETLISTS"

ARRAY: dict[str, Any] = {"rows": 3, "columns": 2, "pack": 1, "x_width": 9, "acc_width": 24}
POSTPROCESSOR = {"rows": 4, "acc_width": 26, "multiplier_bits": 16}
LAYERNORM: dict[str, Any] = {"max_channels": 96, "multiplier_bits": 16, "product_style": "lut"}
SHIFTMAX: dict[str, Any] = {"rows": 4, "max_length": 64, "arithmetic": LEAN, "bits": 10, "x0_bits": 10}


def array() -> tuple[wiring.Component, list[str], dict[str, Any]]:
    return SystolicArray(**ARRAY), ["edges", "gaps_and_short_tiles", "no_bubbles", "reset_in_a_tile"], ARRAY


def postprocess() -> tuple[wiring.Component, list[str], dict[str, Any]]:
    unit = PostProcessor(**POSTPROCESSOR)
    parameters = {"latency": unit.latency, "stalls": [0.0, 0.4], "tiles": 12, "residual_limit": 21}
    return unit, ["random_tiles", "reset_in_a_tile", "throughput"], {**POSTPROCESSOR, **parameters}


def layernorm() -> tuple[wiring.Component, list[str], dict[str, Any]]:
    parameters = {"lengths": [4, 8, 92, 96], "stall": 0.2}
    return LayerNorm(**LAYERNORM), ["extremes", "random_rows", "reset_in_a_row"], {**LAYERNORM, **parameters}


def shiftmax() -> tuple[wiring.Component, list[str], dict[str, Any]]:
    unit = Shiftmax(**SHIFTMAX)
    parameters = {"arithmetic": asdict(LEAN), "latency": unit.latency, "stalls": [0.0, 0.6], "blocks": 6}
    return unit, ["random_blocks", "edge_rows", "reset_in_a_row", "senseless_jobs"], {**SHIFTMAX, **parameters}


def shiftgelu() -> tuple[wiring.Component, list[str], dict[str, Any]]:
    parameters = {"arithmetic": asdict(LEAN), "scales": [2, 24], "stalls": [0.3], "lengths": [(4, 3), (256, 1)]}
    tests = ["edge_tables", "random_groups", "quick_groups", "reset_in_a_row"]
    return ShiftGELU(LEAN), tests, {**parameters, "moments": [1, 700]}


UNITS = {make.__name__: make for make in (array, postprocess, layernorm, shiftmax, shiftgelu)}
FOLDERS = {"shiftmax": "softmax", "shiftgelu": "gelu"}  # of benches; the others' have the unit's name
QUICK = ["array"]


@pytest.mark.parametrize("name", UNITS if os.environ.get(ALL) else QUICK)
def test_netlist(name: str):
    component, tests, parameters = UNITS[name]()
    toplevel = f"{name}_netlist"
    top, below = bench_sources(component, toplevel, LIBERTY)
    run_bench(
        component,
        toplevel,
        f"tests.gateware.{FOLDERS.get(name, name)}.bench_{name}",
        testcase=tests,
        parameters=parameters,
        verilog_file=top,
        extra_sources=below,
    )
