"""The beginning of every cocotb bench: parameters, a seeded generator, clock and reset, and a watchdog in cycles."""

import json
import os
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer, ValueChange

from sim.cocotb.runner import CONTRACTS, PARAMETERS

__all__ = ["PERIOD_NS", "generator", "parameters", "reset", "start", "watchdog"]

PERIOD_NS = 10


def parameters() -> dict[str, Any]:
    """The parameters that were given to `run_bench`."""
    return dict(json.loads(os.environ.get(PARAMETERS, "{}")))


def generator(name: str = "") -> random.Random:
    """A generator seeded with the run's seed and `name`, so that two of them are independent."""
    seed = f"{os.environ.get('COCOTB_RANDOM_SEED', '1')} {name}"
    cocotb.log.info("generator %r: seed %s", name, seed)
    return random.Random(seed)


async def reset(dut: Any, cycles: int = 2) -> None:
    """Hold `rst` for some cycles; returns right after the edge that ends it."""
    dut.rst.value = 1
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def start(dut: Any, cycles: int = 1_000_000, breaks: str = "") -> None:
    """Start the clock, reset, and arm the watchdog of `cycles` and that on the contracts of the unit.

    A unit with a port `fast_clk` gets the clock of its domain `fast` too: twice as fast, each edge of `clk` one of its
    own. Drive whatever belongs to `sync` after edges of `clk` alone.

    Set the inputs that matter in reset before. `breaks`: the contract that the test breaks on purpose; from then on
    until a reset no contract is watched.
    """
    if hasattr(dut, "fast_clk"):
        dut.fast_rst.value = 0
        cocotb.start_soon(_two_clocks(dut))
    else:
        Clock(dut.clk, PERIOD_NS, unit="ns").start()
    cocotb.start_soon(_contracts(dut, breaks))
    cocotb.start_soon(watchdog(dut, cycles))
    await reset(dut)


async def _two_clocks(dut: Any) -> None:
    """Both from one place, so that edges that belong together are of one instant."""
    quarter = Timer(PERIOD_NS * 250, unit="ps")
    while True:
        for slow, fast in ((1, 1), (1, 0), (0, 1), (0, 0)):
            dut.clk.value, dut.fast_clk.value = slow, fast
            await quarter


async def watchdog(dut: Any, cycles: int) -> None:
    """Fail the test after `cycles` cycles."""
    await Timer(cycles * PERIOD_NS, unit="ns")
    raise AssertionError(f"watchdog: the bench did not finish within {cycles} cycles")


async def _contracts(dut: Any, breaks: str) -> None:
    """Fail the test when a contract other than `breaks` is violated. A netlist has none."""
    violation = getattr(dut, "violation", None)
    if violation is None:
        return
    sentences = json.loads(os.environ.get(CONTRACTS, "[]"))
    while True:
        await ValueChange(violation)
        number = int(violation.value)
        if number and sentences[number - 1] != breaks:
            raise AssertionError(f"a contract is violated: {sentences[number - 1]}")
