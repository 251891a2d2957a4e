"""Semaphores count, and let pass whoever may."""

import pytest

from gateware.control.semaphores import Semaphores
from sim.cocotb.runner import run_bench


@pytest.mark.parametrize(("givers", "takers"), [(3, 3), (9, 4)])
def test_semaphores(givers: int, takers: int):
    run_bench(
        Semaphores(givers, takers),
        f"semaphores_{givers}_{takers}",
        "tests.gateware.control.bench_semaphores",
        parameters={"givers": givers, "takers": takers, "cycles": 4000},
    )
