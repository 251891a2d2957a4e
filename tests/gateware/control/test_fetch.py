"""Instruction fetch, from memory to the queues."""

from gateware.config import config
from gateware.control.fetch import Fetch
from sim.cocotb.runner import run_bench


def test_fetch():
    run_bench(
        Fetch(config("tiny")),
        "fetch_tiny",
        "tests.gateware.control.bench_fetch",
        parameters={"config": "tiny", "stall": 0.3},
    )
