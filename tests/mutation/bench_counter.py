"""Benches of different quality for the counter of test_mutation."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.cocotb.bench import generator, start


@cocotb.test()
async def counts(dut: Any) -> None:
    rng, count, before = generator("counts"), 0, False
    dut.enable.value = 0
    await start(dut, 500)
    for _ in range(100):
        enable = rng.random() < 0.8
        dut.enable.value = enable
        await RisingEdge(dut.clk)
        count = (count + before) % 6
        assert dut.count.value == count and dut.never.value == 0
        before = enable
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.enable.value = dut.rst.value = 0
    await RisingEdge(dut.clk)
    assert dut.count.value == 0


@cocotb.test()
async def looks_once(dut: Any) -> None:
    dut.enable.value = 0
    await start(dut, 500)
    assert dut.count.value == 0


@cocotb.test()
async def fails_always(dut: Any) -> None:
    await start(dut, 500)
    raise AssertionError("always")
