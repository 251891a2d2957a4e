"""The link's executor by itself."""

from gateware.counters import COUNTERS
from gateware.link.executor import Executor
from sim.cocotb.runner import run_bench
from tests.gateware.link.executor_model import PEER_BITS, identity_of
from tests.gateware.link.link_board import ADDRESS_BITS

TIMEOUT_BITS = 5
# As the docstring says: STATUS, 64 bytes in 4 beats each way, the counters, and a register that answers a cycle later.
TOOK = [32, 32 + 64 + 4, 32 + 64 + 4, 32 + 2 * 4 * len(COUNTERS), 32 + 2 * 4 + 2]


def run(memory_beats: int, testcase: str | list[str], requests: int) -> None:
    run_bench(
        Executor(identity_of(memory_beats), ADDRESS_BITS, TIMEOUT_BITS, PEER_BITS),
        "executor",
        "tests.gateware.link.bench_executor",
        testcase=testcase,
        parameters={
            "timeout_bits": TIMEOUT_BITS,
            "memory_beats": memory_beats,
            "stall": 0.3,
            "requests": requests,
            "resets": 20,
            "took": TOOK,
        },
    )


def test_executor():
    run(1 << ADDRESS_BITS, ["any_requests", "resets", "cycles"], 400)


def test_a_memory_whose_size_is_no_power_of_two():
    run((1 << ADDRESS_BITS) - 3 * 64, "any_requests", 150)
