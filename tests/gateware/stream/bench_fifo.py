"""A FIFO under random stalls: what every bench takes for granted (transfers, order, payloads held, failure seen)."""

from typing import Any

import cocotb

from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import StreamMonitor, StreamSource


@cocotb.test()
async def everything_arrives_in_order(dut: Any) -> None:
    stall = parameters()["stall"]
    source = StreamSource(dut, "i", generator("source"), stall)
    monitor = StreamMonitor(dut, "o", generator("monitor"), stall)
    await start(dut, cycles=5000)
    values = [generator("values").randrange(1 << 32) for _ in range(1)] + list(range(299))
    source.start(values)
    assert await monitor.wait(300) == values
    if not stall:
        assert monitor.times[-1] - monitor.times[0] == 299, "bubbles without a stall"


@cocotb.test()
async def wrong_on_purpose(dut: Any) -> None:
    monitor = StreamMonitor(dut, "o")
    await start(dut, cycles=50)
    await monitor.wait(1)  # nothing was sent: the watchdog must end this
