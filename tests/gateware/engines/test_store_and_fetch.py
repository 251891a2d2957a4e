"""RowStore writes, and ResidualFetch reads, exactly the rows and columns that an operation names."""

import pytest

from gateware.engines.execute.residual_fetch import ResidualFetch
from sim.cocotb.runner import run_bench
from tests.gateware.engines.tile_writer import TileWriter

STORE_BENCH = "tests.gateware.engines.bench_store"
FETCH_BENCH = "tests.gateware.engines.bench_residual_fetch"
ADDRESS_BITS = 16
STORE, FETCH = (
    ["stores", "store_rate", "store_outside", "store_reset", "store_large"],
    ["fetches", "fetch_rate", "fetch_outside", "fetch_reset", "fetch_large"],
)
# Cycles for 16 tiles of full blocks: a row takes 1, 2 or 4, and where that is less, a beat of memory decides.
RATES = {4: {"1": 80, "2": 160, "4": 300}, 11: {"1": 200, "2": 400, "4": 800}}
SERIES = {4: 0, 11: 1}  # of `tile_writer.large`


@pytest.mark.parametrize("rows", [4, 11])
def test_store(rows: int):
    parameters = {"rows": rows, "address_bits": ADDRESS_BITS, "stall": 0.3, "operations": 30, "rates": RATES[rows]}
    parameters["series"] = SERIES[rows]
    run_bench(TileWriter(rows, ADDRESS_BITS), f"store_{rows}", STORE_BENCH, testcase=STORE, parameters=parameters)


@pytest.mark.parametrize("rows", [4, 11])
def test_residual_fetch(rows: int):
    parameters = {"rows": rows, "address_bits": ADDRESS_BITS, "stall": 0.3, "operations": 20, "latency": 6, "slack": 8}
    parameters["series"] = SERIES[rows]
    run_bench(
        ResidualFetch(rows, ADDRESS_BITS), f"residual_fetch_{rows}", FETCH_BENCH, testcase=FETCH, parameters=parameters
    )
