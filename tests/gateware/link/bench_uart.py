"""A UART at its pins, against a partner with a clock of its own."""

import cocotb
from cocotb.triggers import FallingEdge, Timer
from cocotb.utils import get_sim_time

from sim.cocotb.bench import PERIOD_NS, generator, parameters, start, watchdog
from sim.cocotb.streams import StreamMonitor, StreamSource

BITS = 10  # of a byte, with start and stop


def bit_ps(error: float = 0.0) -> float:
    """A bit's time of a partner that is too fast by `error`, in picoseconds."""
    return 1e12 / parameters()["baud"] / (1 + error)


async def until(when: float) -> None:
    """A time in picoseconds, never one that is past."""
    left = round(when) - round(get_sim_time("ps"))
    if left > 0:
        await Timer(left, unit="ps")


async def send(dut, content: bytes, error: float, rest: float = 0.0, jitter: float = 0.0, name: str = "jitter") -> None:
    """Bytes in sequence, `rest` bits between them; each edge off by up to `jitter` bits."""
    rng, bit = generator(name), bit_ps(error)
    begin = get_sim_time("ps") + rng.random() * PERIOD_NS * 1000
    for byte in content:
        for index, level in enumerate([0, *(byte >> place & 1 for place in range(8)), 1]):
            await until(begin + (index + jitter * rng.uniform(-1, 1)) * bit)
            dut.rx.value = level
        begin += (BITS + rest) * bit
        await until(begin)


async def receive(dut, count: int, error: float) -> bytes:
    """As a partner's receiver does it: samples in the middle of each of its own bits."""
    content, bit = bytearray(), bit_ps(error)
    while len(content) < count:
        await FallingEdge(dut.tx)
        begin, byte = get_sim_time("ps"), 0
        for place in range(BITS):
            await until(begin + (place + 0.5) * bit)
            level = int(dut.tx.value)
            if place in (0, BITS - 1):
                assert level == (place != 0), f"byte {len(content)}: bit {place} is {level}"
            else:
                byte |= level << place - 1
        content.append(byte)
    return bytes(content)


async def prepare(dut) -> None:
    dut.rx.value = 1
    await start(dut, 10_000_000)


@cocotb.test()
async def bytes_arrive(dut):
    rng = generator("bytes")
    monitor = StreamMonitor(dut, "link__rx")
    await prepare(dut)
    content = b""
    for error in parameters()["errors"]:
        for rest in (0.0, 1.3):
            part = bytes([0, 255, 0x55, 0xAA, 1, 128]) + rng.randbytes(parameters()["count"])
            await send(dut, part, error, rest, parameters()["jitter"], f"{error} {rest}")
            content += part
            dut.rx.value = 1
            await Timer(10 * round(bit_ps()), unit="ps")
            assert bytes(monitor.received) == content, f"error {error}, rest {rest}"


@cocotb.test()
async def bytes_leave(dut):
    rng = generator("bytes")
    source = StreamSource(dut, "link__tx", rng, 0.0)
    await prepare(dut)
    for error in parameters()["errors"]:
        content = bytes([0, 255, 0x55, 0xAA]) + rng.randbytes(parameters()["count"])
        task = source.start(content)
        assert await receive(dut, len(content), error) == content, f"error {error}"
        await task
        await Timer(10 * round(bit_ps()), unit="ps")


@cocotb.test()
async def bytes_leave_without_a_gap(dut):
    source = StreamSource(dut, "link__tx")
    await prepare(dut)
    begin = get_sim_time("ps")
    await source.send(bytes(parameters()["gapless"] + 1))
    bits = (get_sim_time("ps") - begin) / bit_ps()
    # The last byte is taken when the one before it ends.
    assert abs(bits - parameters()["gapless"] * BITS) < 1, f"they took {bits} bits"


@cocotb.test()
async def disturbances(dut):
    monitor = StreamMonitor(dut, "link__rx")
    await prepare(dut)
    bit = round(bit_ps())
    # A start bit that is over before its middle.
    dut.rx.value = 0
    await Timer(bit // 4, unit="ps")
    dut.rx.value = 1
    await Timer(12 * bit, unit="ps")
    assert monitor.received == []
    # The wire breaks, and is back.
    dut.rx.value = 0
    await Timer(35 * bit, unit="ps")
    assert monitor.received == []
    dut.rx.value = 1
    await Timer(2 * bit, unit="ps")
    await send(dut, b"again", 0.0)
    await Timer(bit, unit="ps")
    assert bytes(monitor.received) == b"again"


@cocotb.test()
async def a_byte_that_nobody_takes(dut):
    cocotb.start_soon(watchdog(dut, 1_000_000))
    dut.link__rx__ready.value = 0
    await prepare(dut)
    lost = []

    async def count() -> None:
        while True:
            await cocotb.triggers.RisingEdge(dut.lost)
            lost.append(get_sim_time("ps"))

    cocotb.start_soon(count())
    await send(dut, b"abc", 0.0)
    await Timer(round(bit_ps()), unit="ps")
    assert len(lost) == 2
    assert int(dut.link__rx__payload.value) == ord("a") and int(dut.link__rx__valid.value) == 1
