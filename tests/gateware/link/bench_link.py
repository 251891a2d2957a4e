"""The link on a board with a memory in Python: stalls everywhere, cycles, time-outs, resets."""

from itertools import pairwise

import cocotb
from cocotb.triggers import RisingEdge

from gateware.link.framing import frame
from gateware.link.packets import MAX_PAYLOAD, Command, Request
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, cycle
from tests.gateware.link.link_board import ACCESS_TIMEOUT_BITS, ADDRESS_BITS, FRAME_TIMEOUT_BITS
from tests.gateware.link.test_link_fuzz import SESSION, line
from tests.gateware.memory.memory_partner import MemoryPartner
from tests.host.devices.link_devices import DeviceModel

SIZE = 16 << ADDRESS_BITS
OPENING = frame(Request(SESSION, 0, Command.OPEN).to_bytes())


async def prepare(dut, stall: float) -> tuple[StreamSource, StreamMonitor, MemoryPartner]:
    for name in ("duration", "outcome", "blocked"):
        getattr(dut, name).value = 0
    source = StreamSource(dut, "link__rx", generator("rx"), stall)
    monitor = StreamMonitor(dut, "link__tx", generator("tx"), stall)
    memory = MemoryPartner(dut, ADDRESS_BITS, SIZE, generator("memory"), stall)
    await start(dut, 3_000_000)
    return source, monitor, memory


async def quiet(dut, monitor: StreamMonitor, cycles: int = 3000) -> bytes:
    """What came, when nothing has come for some time."""
    count = -1
    while count != len(monitor.received):
        count = len(monitor.received)
        for _ in range(cycles):
            await RisingEdge(dut.clk)
    return bytes(monitor.received)


@cocotb.test()
async def any_packets(dut):
    """The same as the model, byte for byte, for packets of all kinds."""
    rng, model = generator("packets"), DeviceModel()
    source, monitor, memory = await prepare(dut, parameters()["stall"])
    content, expected = OPENING, model.exchange(OPENING, 0)
    for _ in range(parameters()["packets"]):
        one = line(rng, model.following)
        if model.session != SESSION:
            one = b"\0" + frame(Request(SESSION, model.following, Command.OPEN).to_bytes()) + one
        content, expected = content + one, expected + model.exchange(one, 0)
    await source.send(content + b"\0")
    expected += model.exchange(b"\0", 0)
    assert await quiet(dut, monitor) == expected
    assert memory.content == model.memory
    assert memory.reads > 10 and memory.writes > 10


@cocotb.test()
async def full_writes(dut):
    """Cycles of an upload where neither memory nor line keep the link waiting."""
    count = 12
    source, monitor, memory = await prepare(dut, 0.0)
    rng = generator("writes")
    content = rng.randbytes(count * MAX_PAYLOAD)
    await source.send(OPENING)
    for index in range(count):
        piece = content[index * MAX_PAYLOAD : (index + 1) * MAX_PAYLOAD]
        await source.send(frame(Request(SESSION, 1 + index, Command.WRITE, index * MAX_PAYLOAD, piece).to_bytes()))
    await quiet(dut, monitor)
    ends = [when for byte, when in zip(monitor.received, monitor.times, strict=True) if byte == 0]
    assert len(ends) == count + 1
    assert memory.content[: len(content)] == content
    steps = [after - before for before, after in pairwise(ends[2:])]
    cocotb.log.info("cycles of a full write: %s", steps)
    assert max(steps) <= parameters()["write_cycles"]


@cocotb.test()
async def full_reads(dut):
    source, monitor, memory = await prepare(dut, 0.0)
    memory.content[:] = generator("content").randbytes(SIZE)
    model = DeviceModel()
    model.memory[:] = memory.content
    content = OPENING + b"".join(
        frame(Request(SESSION, 1 + index, Command.READ, 13 * index, length=MAX_PAYLOAD).to_bytes())
        for index in range(4)
    )
    await source.send(content)
    assert await quiet(dut, monitor) == model.exchange(content, 0)
    ends = [when for byte, when in zip(monitor.received, monitor.times, strict=True) if byte == 0]
    steps = [after - before for before, after in pairwise(ends[1:])]
    cocotb.log.info("cycles of a full read: %s", steps)
    assert max(steps) <= parameters()["read_cycles"]


@cocotb.test()
async def half_frames(dut):
    """Half a frame spoils what follows it until the time is up, and no longer."""
    source, monitor, _ = await prepare(dut, 0.0)
    model = DeviceModel()
    await source.send(OPENING)
    expected = model.exchange(OPENING, 0)
    status = [frame(Request(SESSION, number, Command.STATUS).to_bytes()) for number in range(3)]
    for half in (1, 5, len(status[1]) - 1):
        for wait, spoils in ((1 << FRAME_TIMEOUT_BITS) - 60, True), ((1 << FRAME_TIMEOUT_BITS) + 10, False):
            await source.send(status[1][:half])
            for _ in range(wait):
                await RisingEdge(dut.clk)
            await source.send(status[1])
            if not spoils:
                expected += model.exchange(status[1], 0)
            assert await quiet(dut, monitor) == expected, f"{half} bytes, {wait} cycles"


@cocotb.test()
async def bytes_that_come_slowly(dut):
    source, monitor, _ = await prepare(dut, 0.0)
    model = DeviceModel()
    for content in (OPENING, frame(Request(SESSION, 1, Command.COUNTERS).to_bytes())):
        expected = bytes(monitor.received) + model.exchange(content, 0)
        for byte in content:
            await source.send([byte])
            for _ in range(300 if content is OPENING else (1 << FRAME_TIMEOUT_BITS) - 100):
                await RisingEdge(dut.clk)
        assert await quiet(dut, monitor) == expected


@cocotb.test()
async def memory_that_is_blocked(dut):
    """Every request is answered within its time-outs, whatever memory does."""
    source, monitor, _ = await prepare(dut, 0.0)
    await source.send(OPENING)
    await quiet(dut, monitor)
    dut.blocked.value = 1
    for number, request in enumerate(
        [
            Request(SESSION, 1, Command.READ, 5, length=100),
            Request(SESSION, 2, Command.WRITE, 0, bytes(100)),
            Request(SESSION, 3, Command.READ, 5, length=100),
            Request(SESSION, 4, Command.CONTROL_READ, 0x200),
        ]
    ):
        before, begin = len(monitor.received), cycle()
        await source.send(frame(request.to_bytes()))
        while monitor.received[before:].count(0) == 0:
            await RisingEdge(dut.clk)
            assert cycle() - begin < (1 << ACCESS_TIMEOUT_BITS) + 300, f"request {number} hangs"


@cocotb.test()
async def resets_at_any_moment(dut):
    """After a reset the link is as after power-on, whatever it was doing."""
    rng, model = generator("resets"), DeviceModel()
    source, monitor, memory = await prepare(dut, 0.0)
    content = rng.randbytes(400)
    upload = frame(Request(SESSION, 1, Command.WRITE, 100, content).to_bytes())
    download = frame(Request(SESSION, 2, Command.READ, 100, length=400).to_bytes())
    for moment in parameters()["moments"]:
        task = source.start(OPENING + upload + download)
        for _ in range(moment):
            await RisingEdge(dut.clk)
        task.cancel()
        source.valid.value = 0
        # Memory must owe nothing when it is over: the board's reset covers its memory too.
        await quiet(dut, monitor, 1500)
        await reset(dut)
        model.restart()
        before = len(monitor.received)
        await source.send(OPENING + upload + download)
        assert (await quiet(dut, monitor, 1500))[before:] == model.exchange(OPENING + upload + download, 0)
        assert memory.content[100:500] == content
