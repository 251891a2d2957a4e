"""The link's receiver by itself."""

from gateware.link.receiver import Receiver
from sim.cocotb.runner import run_bench


def test_receiver():
    run_bench(
        Receiver(6),
        "receiver",
        "tests.gateware.link.bench_receiver",
        parameters={"timeout_bits": 6, "frames": 120},
    )
