"""An xc7's netlist made over for open place and route: what it computes stays, and what the tool cannot do is gone."""

import copy
import json
import random
from typing import Any

import pytest

from hw.toolchains.errors import ToolError
from hw.toolchains.xc7_netlist import Mended, mend


def cell(kind: str, clock: int, enable: int | str, **ports: list[Any]) -> dict[str, Any]:
    connections = {"CLK": [clock], "CE": [enable], **ports}
    outputs = {"Q", "Q31"}
    return {
        "hide_name": 1,
        "type": kind,
        "parameters": {"INIT": "0", "IS_CLK_INVERTED": "0"},
        "attributes": {},
        "port_directions": {port: "output" if port in outputs else "input" for port in connections},
        "connections": connections,
    }


def short(address: int, clock: int, enable: int | str, data: int, out: int) -> dict[str, Any]:
    ports: dict[str, list[int | str]] = {f"A{bit}": [str(address >> bit & 1)] for bit in range(4)}
    return cell("SRL16E", clock, enable, **ports, D=[data], Q=[out])


def long(address: int, clock: int, enable: int | str, data: int, **outputs: int) -> dict[str, Any]:
    bits: list[int | str] = [str(address >> bit & 1) for bit in range(5)]
    return cell("SRLC32E", clock, enable, A=bits, D=[data], **{port: [bit] for port, bit in outputs.items()})


CLOCK, DATA, FIRST, SECOND = 2, 3, 4, 5  # bits: clock, data, two enables


def netlist(cells: dict[str, dict[str, Any]]) -> str:
    """A top with two enables; every output of a cell that no cell reads is an output."""
    driven = {b for c in cells.values() for p in ("Q", "Q31") for b in c["connections"].get(p, [])}
    read = {b for c in cells.values() for b in c["connections"]["D"]}
    inputs = {"clk": CLOCK, "data": DATA, "first": FIRST, "second": SECOND}
    ports = {name: {"direction": "input", "bits": [bit]} for name, bit in inputs.items()}
    ports["out"] = {"direction": "output", "bits": sorted(driven - read)}
    names = {name: {"hide_name": 0, "bits": port["bits"], "attributes": {}} for name, port in ports.items()}
    return json.dumps({"modules": {"top": {"attributes": {}, "ports": ports, "cells": cells, "netnames": names}}})


class Model:
    """What AMD says that shift registers and registers do (UG953), cycle by cycle."""

    def __init__(self, text: str) -> None:
        module = json.loads(text)["modules"]["top"]
        self.cells, self.outputs = module["cells"], module["ports"]["out"]["bits"]
        self.state = {}
        for name, cell in self.cells.items():
            start = cell["parameters"]["INIT"][::-1].ljust(32, "0")
            self.state[name] = [int(bit) for bit in start]  # of a register one place of 32

    def wires(self, inputs: dict[int | str, int]) -> dict[int | str, int]:
        """Every bit's value in a cycle."""
        found = {"0": 0, "1": 1, **inputs}
        for name, cell in self.cells.items():
            ports, bits = cell["connections"], self.state[name]
            if cell["type"] == "FDRE":
                found[ports["Q"][0]] = bits[0]
                continue
            address = ports.get("A") or [ports[f"A{index}"][0] for index in range(4)]
            for port, place in (("Q", int("".join(reversed(address)), 2)), ("Q31", 31)):
                if port in ports:
                    found[ports[port][0]] = bits[place]
        return found

    def step(self, inputs: dict[int | str, int]) -> list[int]:
        """The outputs in a cycle, at whose end the clock rises."""
        wires = self.wires(inputs)
        for name, cell in self.cells.items():
            ports = cell["connections"]
            if wires[ports["CE"][0]]:
                assert wires[ports.get("R", ["0"])[0]] == 0
                self.state[name] = [wires[ports["D"][0]], *self.state[name][:31]]
        return [wires[bit] for bit in self.outputs]


def same(before: str, after: str) -> bool:
    """Whether both give the same outputs in a thousand cycles of random inputs, from the first one on."""
    rng = random.Random(1)
    one, other = Model(before), Model(after)
    for _ in range(1000):
        inputs: dict[int | str, int] = {bit: int(rng.random() < 0.6) for bit in (DATA, FIRST, SECOND)}
        if one.step(inputs) != other.step(inputs):
            return False
    return True


MIXED = {
    "plain": short(15, CLOCK, "1", DATA, 10),
    "enabled": short(2, CLOCK, FIRST, DATA, 11),
    "initial": short(4, CLOCK, SECOND, DATA, 12),
    "chain": long(31, CLOCK, "1", DATA, Q31=13),
    "behind": short(0, CLOCK, "1", 13, 14),
    "both": long(9, CLOCK, FIRST, DATA, Q=15, Q31=16),
}
MIXED["initial"]["parameters"]["INIT"] = "10110"


def test_what_it_computes_stays():
    text = netlist(MIXED)
    after, done = mend(text, "top")
    # Of `both` the end is a shift register of its own; with an enable that is not the most usual they dissolve.
    assert done == Mended(ends=2, dissolved=4, registers=3 + 5 + 10 + 32)
    cells = json.loads(after)["modules"]["top"]["cells"]
    kinds = [cell["type"] for cell in cells.values()]
    assert sorted(kind for kind in kinds if kind != "FDRE") == ["SRL16E", "SRL16E", "SRLC32E"]
    assert {cell["connections"]["CE"][0] for cell in cells.values() if cell["type"] != "FDRE"} == {"1"}
    assert not any("Q31" in cell["connections"] for cell in cells.values())
    assert same(text, after)
    assert mend(after, "top") == (after, Mended())
    for register, port, value in (("initial$register3", "INIT", "1"), ("both$end$register30", "CE", [SECOND])):
        whole = json.loads(after)
        made = whole["modules"]["top"]["cells"][register]
        made["parameters" if port == "INIT" else "connections"][port] = value
        assert not same(text, json.dumps(whole)), "the comparison sees nothing"


def test_the_write_enable_of_most_stages_stays():
    cells = {"a": short(15, CLOCK, FIRST, DATA, 10)} | {f"b{n}": short(1, CLOCK, "1", DATA, 11 + n) for n in range(7)}
    assert mend(netlist(cells), "top")[1] == Mended(dissolved=7, registers=14)
    more = cells | {f"c{n}": short(1, CLOCK, "1", DATA, 20 + n) for n in range(2)}
    assert mend(netlist(more), "top")[1] == Mended(dissolved=1, registers=16)
    other = copy.deepcopy(cells)
    for name in other:
        other[name]["connections"]["CE"] = ["1"]
    assert mend(netlist(other), "top")[1] == Mended()
    other["a"]["parameters"]["IS_CLK_INVERTED"] = "1"
    assert mend(netlist(other), "top")[1] == Mended(dissolved=7, registers=14)


def test_what_cannot_be_told_apart_is_a_sentence():
    cells = {"varying": short(3, CLOCK, FIRST, DATA, 10), "plain": short(9, CLOCK, "1", DATA, 11)}
    cells["varying"]["connections"]["A1"] = [SECOND]
    after, done = mend(netlist(cells), "top")  # one that cannot become registers stays, and the others do
    assert done == Mended(dissolved=1, registers=10) and "varying" in json.loads(after)["modules"]["top"]["cells"]
    cells["memory"] = cell("RAM32X1D", CLOCK, "1", D=[DATA], Q=[12])
    cells["memory"]["connections"]["WE"] = cells["memory"]["connections"].pop("CE")
    cells["memory"]["port_directions"]["WE"] = cells["memory"]["port_directions"].pop("CE")
    with pytest.raises(ToolError, match=r"with 2 write enables \(memory, varying\).*--toolchain vivado"):
        mend(netlist(cells), "top")
    with pytest.raises(ToolError, match="the netlist has no module other"):
        mend(netlist(cells), "other")
