"""The static estimate on small netlists whose paths were added up by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from hw.timing.__main__ import main
from hw.timing.analysis import Analysis
from hw.timing.delays import Wires
from hw.timing.placing import placing
from hw.timing.report import by_unit
from hw.toolchains.errors import ToolError
from hw.toolchains.netlist import opened

CLOCK, OTHER_CLOCK = 2, 3
WIRES = Wires(0.6, 1.2)


def cell(kind: str, outputs: dict[str, list[Any]], inputs: dict[str, list[Any]], **parameters: str) -> dict[str, Any]:
    directions = dict.fromkeys(outputs, "output") | dict.fromkeys(inputs, "input")
    return {"type": kind, "parameters": parameters, "port_directions": directions, "connections": outputs | inputs}


def register(q: int, d: int, clock: int = CLOCK, **inputs: int) -> dict[str, Any]:
    return cell("FDRE", {"Q": [q]}, {"C": [clock], "D": [d], **{name: [bit] for name, bit in inputs.items()}})


def text(cells: dict[str, Any], nets: dict[str, int]) -> str:
    names = {name: {"hide_name": 0, "bits": [bit]} for name, bit in nets.items()}
    return json.dumps({"modules": {"top": {"ports": {}, "cells": cells, "netnames": names}}})


def analysed(cells: dict[str, Any], nets: dict[str, int] | None = None) -> Analysis:
    return Analysis(opened(text(cells, nets or {}), "top")[1], WIRES)


def ends(analysis: Analysis, clock: int = CLOCK) -> dict[tuple[str, str], float]:
    return {(name, pin.name): pytest.approx(total) for name, pin, total in analysis.ends(clock)}


def test_register_lut_register():
    # Two loads of the first net; the LUT's only load is the register beside it.
    cells = {
        "a": register(10, 99),
        "lut": cell("LUT2", {"O": [11]}, {"I0": [10], "I1": [10]}),
        "b": register(12, 11),
    }
    found = ends(analysed(cells))
    assert found == {("b", "D"): 0.456 + 0.7 + 0.124 + 0.0 + 0.07}


def test_the_later_of_two_ways_counts_and_its_steps_are_told():
    cells = {
        "a": register(10, 99),
        "one": cell("LUT1", {"O": [11]}, {"I0": [10]}),
        "two": cell("LUT2", {"O": [12]}, {"I0": [10], "I1": [11]}),
        "b": register(13, 98, CE=12),
    }
    analysis = analysed(cells, {"machine.accelerator.core.load_b.state": 13, "machine.link.a": 10})
    (unit,) = by_unit(analysis)
    path = unit.worst
    assert path.total == pytest.approx(0.456 + 0.7 + 0.124 + 0.6 + 0.124 + 0.6 + 0.205)
    assert path.wire == pytest.approx(0.7 + 0.6 + 0.6)
    assert (unit.unit, unit.inputs, path.levels, path.pin) == ("load_b", 1, 2, "CE")
    assert (path.start, path.end) == ("machine.link.a", "machine.accelerator.core.load_b.state")
    assert [step.cell for step in path.steps] == ["a", "one", "two", "b"]


def test_a_carry_chain_enters_once_and_runs_along():
    low = cell("CARRY4", {"CO": [20, 21, 22, 23], "O": [30, 31, 32, 33]}, {"CI": ["0"], "S": [10, "0", "0", "0"]})
    high = cell("CARRY4", {"CO": [24, 25, 26, 27], "O": [34, 35, 36, 37]}, {"CI": [23], "S": ["0"] * 4})
    cells = {"a": register(10, 99), "low": low, "high": high, "b": register(50, 37)}
    found = ends(analysed(cells))
    assert found == {("b", "D"): 0.456 + 0.6 + 0.532 + 0.0 + 0.334 + 0.0 + 0.07}


def test_a_bit_of_a_carry_chain_does_not_reach_earlier_ones():
    chain = cell("CARRY4", {"O": [30, 31, 32, 33]}, {"S": ["0", "0", 10, "0"]})
    cells = {"a": register(10, 99), "chain": chain, "b": register(50, 31), "c": register(51, 33)}
    assert set(ends(analysed(cells))) == {("c", "D")}


def test_a_path_between_clocks_is_left_out():
    cells = {"a": register(10, 99, OTHER_CLOCK), "b": register(11, 10), "c": register(12, 11)}
    assert set(ends(analysed(cells))) == {("c", "D")}


def test_more_loads_are_a_longer_wire_up_to_a_limit():
    assert WIRES.delay(1) == pytest.approx(0.6)
    assert WIRES.delay(2) == pytest.approx(0.7)
    assert WIRES.delay(1024) == pytest.approx(1.6)
    assert WIRES.delay(100_000) == pytest.approx(1.8)


def test_a_reset_on_a_global_buffer():
    cells = {
        "a": register(10, 99),
        "buffer": cell("BUFG", {"O": [11]}, {"I": [10]}),
        "b": register(12, 98, R=11),
        "c": register(13, 97, R=11),
    }
    assert ends(analysed(cells)) == {(name, "R"): 0.456 + 0.6 + 0.12 + 1.7 + 0.524 for name in "bc"}


def test_memories():
    ram = cell("RAM32M", {"DOA": [40, 41]}, {"ADDRA": [10, 11], "ADDRD": [12], "WE": [13], "WCLK": [CLOCK]})
    cells = {f"r{bit}": register(bit, 99) for bit in (10, 11, 12, 13)}
    cells |= {"ram": ram, "b": register(50, 40)}
    found = ends(analysed(cells))
    # What is stored comes later than what the address lets through.
    assert found[("b", "D")] == max(1.314, 0.456 + 0.6 + 0.124) + 0.6 + 0.07
    assert found[("ram", "WE")] == 0.456 + 0.6 + 0.533
    assert ("ram", "ADDRA[0]") not in found
    block = cell("RAMB36E1", {"DOADO": [60]}, {"CLKARDCLK": [CLOCK], "ADDRARDADDR": [10]}, DOA_REG="1", DOB_REG="0")
    plain = cell("RAMB36E1", {"DOADO": [61]}, {"CLKARDCLK": [CLOCK]}, DOA_REG="0", DOB_REG="0")
    cells = {"a": register(10, 99), "block": block, "plain": plain, "b": register(70, 60), "c": register(71, 61)}
    assert ends(analysed(cells)) == {
        ("block", "ADDRARDADDR"): 0.456 + 0.6 + 0.566,
        ("b", "D"): 0.882 + 0.6 + 0.07,
        ("c", "D"): 2.454 + 0.6 + 0.07,
    }


def test_multipliers_by_their_registers():
    first = cell("DSP48E1", {"PCOUT": [80]}, {"CLK": [CLOCK], "A": [10], "B": [10]}, AREG="1", MREG="1", PREG="1")
    second = cell("DSP48E1", {"P": [81]}, {"CLK": [CLOCK], "PCIN": [80], "B": [10]}, MREG="1", PREG="1")
    cells = {"a": register(10, 99), "first": first, "second": second, "b": register(90, 81)}
    wire = 0.6 + 0.1 * 1.584962500721156  # three loads
    assert ends(analysed(cells)) == {
        ("first", "A"): 0.456 + wire + 0.51,
        ("first", "B"): 0.456 + wire + 3.66,
        ("second", "B"): 0.456 + wire + 3.66,
        ("second", "PCIN"): 0.45 + 0.0 + 1.64,
        ("b", "D"): 0.45 + 0.6 + 0.07,
    }


def test_a_loop_is_told():
    cells = {
        "one": cell("LUT1", {"O": [10]}, {"I0": [11]}),
        "two": cell("LUT1", {"O": [11]}, {"I0": [10]}),
    }
    with pytest.raises(ToolError, match="loop without a register, at (one|two)"):
        analysed(cells)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    netlist = tmp_path / "netlist.json"
    netlist.write_text(text({"a": register(10, 99), "b": register(11, 10)}, {"machine.uart.bit": 11}))
    assert main(["--netlist", str(netlist), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["units"]
    assert row["unit"] == "uart" and row["worst"]["total"] == pytest.approx(0.456 + 0.6 + 0.07)
    assert main(["--netlist", str(netlist), "--wire", "0.2", "--paths", "1"]) == 0
    shown = capsys.readouterr().out
    assert "0.73 ns from a to machine.uart.bit/D" in shown and "2 registers; 1 are fed by registers and 1 by" in shown


@pytest.mark.parametrize(
    ("arguments", "content", "sentence"),
    [
        (["--netlist", "FILE"], None, "is no file; name a netlist"),
        (["nowhere"], None, "run `python -m hw.build --board nowhere` first"),
        (["--netlist", "FILE", "--wire", "-1"], "{}", "--wire must be from 0 to 100 ns, not -1"),
        (["--netlist", "FILE"], "{}", "has no module top"),
        (["--netlist", "FILE"], '{"modules": {"top": {"ports": {}, "cells": {}, "netnames": {}}}}', "no xc7 registers"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], content: str | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "netlist.json"
    if content is not None:
        file.write_text(content)
    assert main([str(file) if one == "FILE" else one for one in arguments]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_what_makes_placing_hard():
    cells: dict[str, Any] = {f"long{index}": register(100 + index, 50, CE=20, R=21) for index in range(9)}
    cells |= {
        "lut": cell("LUT1", {"O": [50]}, {"I0": [60]}),
        "ram": cell("RAMB18E1", {"DOADO": [60]}, {"CLKARDCLK": [CLOCK]}),
        "behind_ram": register(61, 60, CE=22),
        "behind_register": register(62, 61),
        "inverter": cell("INV", {"O": [63]}, {"I": [62]}),
    }
    found = placing(opened(text(cells, {}), "top")[1])
    assert (found.registers, found.fed_by_registers, found.fed_otherwise, found.inverters) == (11, 1, 1, 1)
    assert (found.control_sets, found.small_sets, found.in_small_sets) == (3, 2, 2)
    assert (found.widest_enables, found.widest_resets) == ((9, 1), (9,))
    assert (found.enables, found.resets) == (2, 1)
