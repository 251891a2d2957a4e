"""The link's gateware with stalls everywhere, and what it refuses to be built as."""

import pytest

from gateware.config import config
from gateware.link.executor import Executor
from gateware.link.packets import Identity
from gateware.link.receiver import Receiver
from gateware.machine import Machine, identity
from sim.cocotb.runner import run_bench
from tests.gateware.link.link_board import ADDRESS_BITS, IDENTITY, LinkBoard

BENCH = "tests.gateware.link.bench_link"


def run(testcase: str | list[str], simulator: str = "verilator", **parameters: object) -> None:
    run_bench(LinkBoard(), "link_board", BENCH, testcase=testcase, simulator=simulator, parameters=parameters)


@pytest.mark.parametrize("stall", [0.1, 0.6])
def test_any_packets(stall: float):
    run("any_packets", stall=stall, packets=70)


def test_cycles():
    # docs/link.md, "Throughput", says these.
    run(["full_writes", "full_reads"], write_cycles=1124, read_cycles=2394)


def test_time_outs():
    run(["half_frames", "bytes_that_come_slowly", "memory_that_is_blocked"])


def test_resets():
    run("resets_at_any_moment", moments=[3, 100, 440, 470, 900])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Receiver(1), "Receiver: timeout_bits must be between 2 and 32, not 1"),
        (lambda: Executor(IDENTITY, 29), "Executor: address_bits must be between 1 and 28, not 29"),
        (lambda: Executor(IDENTITY, ADDRESS_BITS - 1), "memory_beats must be between 1 and 2048, not 4096"),
        (lambda: Executor(with_(memory_beats=63), 12), "memory_beats must be a multiple of 64, not 63"),
        (lambda: Executor(with_(counters=0), 12), "counters must be between 1 and 252, not 0"),
        (lambda: Executor(IDENTITY, 12, 1), "timeout_bits must be between 2 and 32, not 1"),
        (lambda: Machine(config("tiny"), 1000), "RequestChecks: memory_beats must be a multiple of 64, not 62"),
    ],
)
def test_wrong_parameters(make, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        make()


def with_(**changes: int) -> Identity:
    return Identity(**{**IDENTITY.__dict__, **changes})


def test_a_machine_says_what_it_is():
    said = identity(config("arty_a7"), 1 << 28)
    assert said.fingerprint == config("arty_a7").fingerprint
    assert (said.memory_bytes, said.clock_khz, said.counters) == (1 << 28, 100_000, 15)
