"""Row maxima: no update is lost, however soon a row comes again, and a look-up counts all that came before it."""

import pytest

from gateware.engines.execute.maxima import RowMaxima
from sim.cocotb.runner import run_bench

BENCH = "tests.gateware.engines.bench_maxima"


@pytest.mark.parametrize("max_rows", [8, 12])
def test_maxima(max_rows: int):
    run_bench(
        RowMaxima(max_rows),
        f"maxima_{max_rows}",
        BENCH,
        parameters={"max_rows": max_rows, "repeats": 6, "cycles": 4000, "stall": 0.4},
    )


@pytest.mark.parametrize("max_rows", [0, 3])
def test_wrong_parameters(max_rows: int):
    with pytest.raises(ValueError, match=f"max_rows must be at least 4, not {max_rows}"):
        RowMaxima(max_rows)
