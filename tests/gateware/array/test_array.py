"""The systolic array: sums, cycle counts and resets of both packed forms and of one channel a multiplier."""

from typing import Any

import pytest
from amaranth.hdl import Value

from gateware.array import element
from gateware.array.grid import SystolicArray
from sim.cocotb.runner import BenchFailure, quick_to_compile, run_bench
from tests.simulators import needs_simulator

BENCH = "tests.gateware.array.bench_array"
EIGHT_BITS = ["edges", "gaps_and_short_tiles", "no_bubbles", "reset_in_a_tile"]
# Small grids, for the compiler's sake; 6 and 5 rows are drained by two groups, the second one not full.
VARIANTS: dict[str, dict[str, Any]] = {
    "lean": {"rows": 6, "columns": 2, "pack": 2},
    "official": {"rows": 5, "columns": 2, "pack": 2, "x_width": 9, "packed_full_range": True},
    "ten_bits": {"rows": 6, "columns": 2, "pack": 2, "x_width": 10},
    "one_channel": {"rows": 4, "columns": 4, "pack": 1, "x_width": 9, "acc_width": 24},
}


def run(variant: str, simulator: str = "verilator", testcase: str | list[str] | None = None) -> None:
    arguments = VARIANTS[variant]
    nine_bits = arguments.get("x_width") == 9
    run_bench(
        SystolicArray(**arguments),
        f"array_{variant}",
        BENCH,
        testcase=testcase or EIGHT_BITS + ["halves"] * nine_bits,
        simulator=simulator,
        parameters=arguments,
    )


@pytest.mark.parametrize("variant", ["lean", "official", "ten_bits", "one_channel"])
def test_array(variant: str):
    run(variant)


def test_array_on_icarus():
    needs_simulator("icarus")
    run("official", "icarus")


def test_a_late_parity_is_found(monkeypatch: pytest.MonkeyPatch):
    # Product 1's parity enters with product 0's.
    def parity(self: element.DotProduct, m: Any) -> Value:
        return chain(self, m) ^ self.x[1][0]

    chain = element.DotProduct._parity
    monkeypatch.setattr(element.DotProduct, "_parity", parity)
    with pytest.raises(BenchFailure, match="AssertionError: the sums differ"):
        run("official", quick_to_compile(), testcase="edges")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 1}, "rows must be between 2 and 64, not 1"),
        ({"columns": 0}, "columns must be between 1 and 64, not 0"),
        ({"pack": 3}, "pack must be between 1 and 2, not 3"),
        ({"x_width": 11}, "x_width must be between 8 and 10, not 11"),
        ({"acc_width": 17}, "acc_width must be between 18 and 48, not 17"),
    ],
)
def test_parameters(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=f"SystolicArray: {message}"):
        SystolicArray(**{**VARIANTS["lean"], **changes})
