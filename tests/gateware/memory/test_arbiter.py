"""The arbiter between its clients and memory."""

import pytest

from gateware.memory.arbiter import MemoryArbiter
from sim.cocotb.runner import run_bench


@pytest.mark.parametrize(("readers", "writers"), [(3, 3), (5, 2)])
def test_arbiter(readers: int, writers: int):
    settings = {"readers": readers, "writers": writers, "guests": 1, "burst": 8, "address_bits": 8, "in_flight": 16}
    run_bench(
        MemoryArbiter(8, readers, writers, burst=8, in_flight=16, guests=1),
        f"arbiter_{readers}_{writers}",
        "tests.gateware.memory.bench_arbiter",
        parameters=settings | {"stall": 0.4, "count": 200, "stops": 8},
    )
