"""An ECP5's netlist made over for place and route: the array after synthesis on its bench, and each pass."""

import copy
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil

from gateware.array.grid import SystolicArray
from hw.asic.bench import CACHE, bench_top
from hw.boards.design import plain_names
from hw.toolchains.ecp5_floorplan import ROWS, site
from hw.toolchains.ecp5_netlist import MANY_LOADS, improve
from hw.toolchains.errors import ToolError
from hw.toolchains.process import run_tool
from hw.toolchains.yosys import yosys
from sim.cocotb.runner import run_bench

ARRAY: dict[str, Any] = {"rows": 3, "columns": 2, "pack": 1, "x_width": 9, "acc_width": 24}
MULTIPLIERS = 3 * 2 * 4


def multiplier_model() -> str:
    """What Lattice says a MULT18X18D does, in Verilog: three ranks of registers, each used if it has a clock."""
    ranks = ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
    parameters = [f'parameter REG_{rank}_{what} = "NONE"' for rank in ranks for what in ("CLK", "CE", "RST")]
    parameters += ['parameter GSR = "ENABLED"', 'parameter RESETMODE = "SYNC"']
    singles = [f"{letter}{index}" for letter in "ABC" for index in range(18)]
    inputs = [*singles, "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0"]
    outputs = [f"P{index}" for index in range(36)]
    bus = {letter: ", ".join(f"{letter}{index}" for index in reversed(range(18))) for letter in "AB"}
    return f"""
module MULT18X18D #({", ".join(parameters)}) ({", ".join(f"input {x}" for x in inputs)},
    {", ".join(f"output {x}" for x in outputs)});
  wire [17:0] a = {{{bus["A"]}}}, b = {{{bus["B"]}}};
  reg [17:0] a_r = 0, b_r = 0;
  wire [17:0] a_used = REG_INPUTA_CLK == "NONE" ? a : a_r, b_used = REG_INPUTB_CLK == "NONE" ? b : b_r;
  wire [35:0] product = $signed({{SIGNEDA & a_used[17], a_used}}) * $signed({{SIGNEDB & b_used[17], b_used}});
  reg [35:0] p_r = 0, q_r = 0;
  wire [35:0] p = REG_PIPELINE_CLK == "NONE" ? product : p_r, q = REG_OUTPUT_CLK == "NONE" ? p : q_r;
  always @(posedge CLK0) if (RST0) begin a_r <= 0; b_r <= 0; p_r <= 0; q_r <= 0; end
    else if (CE0) begin a_r <= a; b_r <= b; p_r <= product; q_r <= p; end
  assign {{{", ".join(reversed(outputs))}}} = q;
endmodule
module DCCA(input CLKI, input CE, output CLKO); assign CLKO = CLKI & CE; endmodule
"""


def synthesised(unit: SystolicArray, name: str) -> Path:
    """A folder with Yosys's netlist for ECP5 of a unit, made once."""
    text = plain_names(rtlil.convert(unit, name=name, emit_src=False))
    folder = CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        partial.mkdir(parents=True)
        (partial / "unit.il").write_text(text)
        run_yosys(partial, f"read_rtlil unit.il; synth_ecp5 -top {name}; opt_clean -purge; write_json netlist.json")
        os.replace(partial, folder)
    return folder


def run_yosys(folder: Path, commands: str) -> None:
    (folder / "script.ys").write_text(commands.replace("; ", "\n") + "\n")
    run_tool("yosys", [yosys(), "-q", "-s", "script.ys"], folder, [], 600)


def test_the_array_after_synthesis_and_made_over(tmp_path: Path):
    name = "array_ecp5"
    folder = synthesised(SystolicArray(**ARRAY), f"{name}_gates")
    text, done = improve((folder / "netlist.json").read_text(), f"{name}_gates")
    # Nine bits by eight: seventeen of the product's, and a second rank behind the first product of each element.
    assert done.pins == MULTIPLIERS * (9 + 10)
    assert done.registers >= MULTIPLIERS * 17 + 6 * 17
    # The library's modules are in the netlist, too, without content.
    module = json.loads(text)["modules"][f"{name}_gates"]
    (tmp_path / "better.json").write_text(json.dumps({"modules": {f"{name}_gates": module}}))
    (tmp_path / "models.v").write_text(multiplier_model())
    run_yosys(
        tmp_path,
        "read_json better.json; read_verilog -nooverwrite models.v +/ecp5/cells_sim.v; "
        f"hierarchy -check -top {name}_gates; proc; flatten; opt_clean; write_verilog -noattr gates.v",
    )
    top = bench_top((tmp_path / "gates.v").read_text(), f"{name}_gates", name)
    (tmp_path / "bench.v").write_text(top)
    run_bench(
        SystolicArray(**ARRAY),
        name,
        "tests.gateware.array.bench_array",
        testcase=["edges", "gaps_and_short_tiles", "no_bubbles", "reset_in_a_tile"],
        parameters=ARRAY,
        verilog_file=tmp_path / "bench.v",
        extra_sources=[tmp_path / "gates.v"],
    )


def register(data: int, result: int, **changes: str) -> dict[str, Any]:
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", **changes}
    directions = {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"}
    connections = {"CLK": [2], "DI": [data], "LSR": ["0"], "Q": [result]}
    return {
        "type": "TRELLIS_FF",
        "parameters": parameters,
        "attributes": {},
        "port_directions": directions,
        "connections": connections,
    }


def netlist() -> dict[str, Any]:
    """Two bits times two bits, with registers around: data 10.., operands 20.., product 30.., results 40.., 50.. ."""
    directions = {"SIGNEDA": "input", "SIGNEDB": "input"}
    connections: dict[str, list[Any]] = {"SIGNEDA": ["1"], "SIGNEDB": ["1"]}
    for index in range(18):
        for letter, first in (("A", 20), ("B", 22)):
            directions[f"{letter}{index}"] = "input"
            connections[f"{letter}{index}"] = [first + min(index, 1)]
    for index in range(4):
        directions[f"P{index}"] = "output"
        connections[f"P{index}"] = [30 + index]
    cells = {"m": {"type": "MULT18X18D", "parameters": {}, "attributes": {}}}
    cells["m"] |= {"port_directions": directions, "connections": connections}
    cells |= {f"in{index}": register(10 + index, 20 + index) for index in range(4)}
    cells |= {f"out{index}": register(30 + index, 40 + index) for index in range(4)}
    cells |= {f"far{index}": register(40 + index, 50 + index) for index in range(4)}
    ports = {"result": {"direction": "output", "bits": [50, 51, 52, 53]}}
    names = {"result": {"hide_name": 0, "bits": [50, 51, 52, 53], "attributes": {}}}
    return {"cells": cells, "ports": ports, "netnames": names}


def made_over(module: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    text, done = improve(json.dumps({"modules": {"top": copy.deepcopy(module)}}), "top")
    return json.loads(text)["modules"]["top"]["cells"], done


def ranks(cell: dict[str, Any]) -> set[str]:
    return {name.split("_")[1] for name in cell["parameters"] if name.endswith("_CLK")}


def test_operands_go_to_the_top_and_registers_into_the_multiplier():
    cells, done = made_over(netlist())
    assert set(cells) == {"m"} and done.registers == 12 and done.pins == 32 and done.resets == []
    wires = cells["m"]["connections"]
    assert [wires[f"A{index}"] for index in (15, 16, 17)] == [["0"], [10], [11]]
    assert [wires[f"B{index}"] for index in (15, 16, 17)] == [["0"], [12], [13]]
    assert [wires[f"P{index}"] for index in range(32, 36)] == [[50], [51], [52], [53]] and "P0" not in wires
    assert wires["CLK0"] == [2] and ranks(cells["m"]) == {"INPUTA", "INPUTB", "PIPELINE", "OUTPUT"}


def test_a_register_that_others_read_stays_for_them():
    module = netlist()
    module["ports"]["spy"] = {"direction": "output", "bits": [20]}
    cells, done = made_over(module)
    assert "in0" in cells and "in1" not in cells and done.registers == 11
    assert cells["m"]["connections"]["A16"] == [10]
    module = netlist()
    module["ports"]["spy"] = {"direction": "output", "bits": [31]}
    cells, _ = made_over(module)
    assert "out1" in cells and "out0" in cells and ranks(cells["m"]) == {"INPUTA", "INPUTB"}


@pytest.mark.parametrize(
    ("parameter", "value"), [("CEMUX", "CE"), ("REGSET", "SET"), ("CLKMUX", "INV"), ("LSRMUX", "INV")]
)
def test_a_register_that_does_more_than_delay_stays(parameter: str, value: str):
    module = netlist()
    module["cells"]["in2"]["parameters"][parameter] = value
    cells, _ = made_over(module)
    assert {"in0", "in1", "in2", "in3"} <= set(cells) and ranks(cells["m"]) == {"OUTPUT", "PIPELINE"}
    assert cells["m"]["connections"]["A16"] == [20]


def test_registers_of_two_clocks_stay():
    module = netlist()
    module["cells"]["in1"]["connections"]["CLK"] = [3]
    module["cells"]["out1"]["connections"]["LSR"] = [4]
    cells, done = made_over(module)
    assert done.registers == 0 and ranks(cells["m"]) == set()


def test_an_unsigned_product_and_a_wide_one_stay_where_they_are():
    module = netlist()
    module["cells"]["m"]["connections"]["SIGNEDA"] = ["0"]
    assert made_over(module)[1].pins == 0
    module = netlist()
    # Somebody reads a copy of the sign, which the shifted product does not have.
    module["cells"]["m"]["connections"]["P9"] = [60]
    module["cells"]["m"]["port_directions"]["P9"] = "output"
    module["ports"]["wide"] = {"direction": "output", "bits": [60]}
    assert made_over(module)[1].pins == 0


def test_a_reset_of_very_many_goes_onto_a_clock_network():
    module = netlist()
    for index in range(MANY_LOADS):
        module["cells"][f"many{index}"] = register(100 + index, 10_000 + index)
        module["cells"][f"many{index}"]["connections"]["LSR"] = [5]
    module["cells"]["many0"]["connections"]["DI"] = [5]
    cells, done = made_over(module)
    (network,) = [cell for cell in cells.values() if cell["type"] == "DCCA"]
    spread = network["connections"]["CLKO"]
    assert done.resets == [MANY_LOADS] and network["connections"]["CLKI"] == [5]
    assert all(cells[f"many{index}"]["connections"]["LSR"] == spread for index in range(MANY_LOADS))
    assert cells["many0"]["connections"]["DI"] == [5]
    del module["cells"]["many1"]
    assert made_over(module)[1].resets == []


def test_the_array_has_its_places():
    places = [site(row, column, product) for row in range(9) for column in range(4) for product in range(4)]
    assert None not in places and len(set(places)) == 144
    assert {place.split("/")[1] for place in places if place} == {f"Y{row}" for row in ROWS}
    assert site(9, 0, 0) is None and site(0, 5, 0) is None and site(0, 0, 4) is None
    module = netlist()
    for name in ("machine.core.array.element_1_2.dot.sum_3", "element_1_3.dot.sum_3", "array.element_0_0.dot.x_0"):
        module["netnames"][name] = {"hide_name": 0, "bits": [53], "attributes": {}}
    cells, done = made_over(module)
    assert done.placed == 1 and cells["m"]["attributes"]["BEL"] == site(1, 2, 3)


def test_a_netlist_without_the_module():
    with pytest.raises(ToolError, match="no module top"):
        improve(json.dumps({"modules": {}}), "top")
