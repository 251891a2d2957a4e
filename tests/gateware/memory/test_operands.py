"""Operand buffers and row buffer on both simulators: places, rates, latencies, stalls and resets."""

from typing import Any

import pytest

from gateware.memory import operand_a
from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB
from gateware.memory.rowbuffer import RowBuffer
from sim.cocotb.runner import BenchFailure, quick_to_compile, run_bench
from tests.simulators import needs_simulator

BENCH = "tests.gateware.memory.bench_operands"
UNITS: dict[str, tuple[type, dict[str, int], list[str]]] = {
    # The fewest rows, whose banks the lanes are never rotated across, and a number that is no multiple of four.
    "operand_a_4": (OperandA, {"rows": 4, "depth": 128, "x_width": 8}, ["operand_a", "reset_of_operand_a"]),
    "operand_a_11": (OperandA, {"rows": 11, "depth": 128, "x_width": 9}, ["operand_a", "reset_of_operand_a"]),
    "operand_a_26": (OperandA, {"rows": 26, "depth": 128, "x_width": 8}, ["operand_a"]),
    "operand_b": (OperandB, {"depth": 64}, ["operand_b"]),
    "row_buffer": (RowBuffer, {"width": 20, "depth": 7}, ["row_buffer"]),
}


def run(name: str, simulator: str, count: int) -> None:
    unit, arguments, testcases = UNITS[name]
    run_bench(
        unit(**arguments),
        name,
        BENCH,
        testcase=testcases,
        simulator=simulator,
        parameters={"unit": arguments, "count": count},
    )


@pytest.mark.parametrize(("name", "count"), [("operand_a_11", 300), ("operand_b", 300), ("row_buffer", 3000)])
def test_on_verilator(name: str, count: int):
    run(name, "verilator", count)


@pytest.mark.parametrize("name", ["operand_a_4", "operand_a_26"])
def test_other_grids(name: str):
    run(name, quick_to_compile(), 30)


@pytest.mark.parametrize(("name", "count"), [("operand_a_11", 60), ("operand_b", 60), ("row_buffer", 600)])
def test_on_icarus(name: str, count: int):
    needs_simulator("icarus")
    run(name, "icarus", count)


def test_a_wrong_bank_is_found(monkeypatch: pytest.MonkeyPatch):
    # A reciprocal rounded down puts the first row of every block behind the end of the block before.
    monkeypatch.setattr(operand_a, "_divider_constants", lambda rows: ((1 << 16) // rows, 16))
    with pytest.raises(BenchFailure, match=r"AssertionError: bank \d+, address \d+"):
        run("operand_a_11", quick_to_compile(), 60)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OperandA(3, 64), "OperandA: rows must be between 4 and 64, not 3"),
        (lambda: OperandA(4, 1), "OperandA: depth must be between 2 and 65536, not 1"),
        (lambda: OperandA(4, 64, 10), "OperandA: x_width must be between 8 and 9, not 10"),
        (lambda: OperandB(1), "OperandB: depth must be between 2 and 65536, not 1"),
        (lambda: RowBuffer(0, 4), "RowBuffer: width must be at least 1, not 0"),
        (lambda: RowBuffer(8, 1), "RowBuffer: depth must be at least 2, not 1"),
    ],
)
def test_parameters(make: Any, message: str):
    with pytest.raises(ValueError, match=message):
        make()
