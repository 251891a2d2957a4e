"""A machine and a guest on one memory port: nobody's words go astray, whatever stalls."""

from collections import deque
from itertools import pairwise

import cocotb
from cocotb.triggers import RisingEdge

from sim.benches.bench import generator, parameters, start
from sim.benches.streams import StreamSource, cycle
from tests.gateware.memory_partner import BEAT_BYTES, MemoryPartner

BEATS = 256  # the machine has the lower half of memory, the guest the upper one


def masked(before: int, word: int, mask: int) -> int:
    for lane in range(BEAT_BYTES):
        if mask >> lane & 1:
            before = before & ~(255 << 8 * lane) | word & 255 << 8 * lane
    return before


class Expected:
    """Memory as a user has left it, and the beats that it must get."""

    def __init__(self) -> None:
        self.content = dict.fromkeys(range(BEATS), 0)
        self.beats: deque[int] = deque()

    def write(self, address: int, word: int, mask: int) -> None:
        self.content[address] = masked(self.content[address], word, mask)

    def read(self, address: int) -> None:
        self.beats.append(self.content[address])

    def take(self, beat: int, who: str) -> None:
        assert self.beats, f"{who} got a beat that it did not ask for"
        assert beat == self.beats.popleft(), f"{who} got a wrong beat"


async def watch(dut, name: str, payload: str, expected: Expected) -> None:
    valid, beat = getattr(dut, f"{name}__valid"), getattr(dut, payload)
    while True:
        await RisingEdge(dut.clk)
        if valid.value == 1:
            expected.take(int(beat.value), name)


async def guest(dut, rng, expected: Expected, transfers: int) -> None:
    """One at a time; now and then it gives a request up that was not accepted."""
    for _ in range(transfers):
        for _ in range(rng.choice([0, 0, 1, 3, 20])):
            await RisingEdge(dut.clk)
        address = rng.randrange(BEATS // 2, BEATS)
        word, mask, writing = rng.getrandbits(128), rng.getrandbits(16), rng.random() < 0.5
        port = "write__beat" if writing else "read__cmd"
        getattr(dut, f"{port}__payload").value = word | mask << 128 | address << 144 if writing else address
        getattr(dut, f"{port}__valid").value = 1
        patience = rng.choice([1, 5, 1000])
        accepted = False
        while patience and not accepted:
            await RisingEdge(dut.clk)
            accepted = getattr(dut, f"{port}__ready").value == 1
            patience -= 1
        getattr(dut, f"{port}__valid").value = 0
        if accepted and writing:
            expected.write(address, word, mask)
        elif accepted:
            expected.read(address)
            while expected.beats:
                await RisingEdge(dut.clk)


@cocotb.test()
async def everybody_gets_what_is_his(dut):
    stall = parameters()["stall"]
    rng, own, others = generator("traffic"), Expected(), Expected()
    commands = StreamSource(dut, "machine__cmd", generator("commands"), stall)
    words = StreamSource(dut, "machine__wdata", generator("words"), stall)
    dut.read__cmd__valid.value = 0
    dut.write__beat__valid.value = 0
    memory = MemoryPartner(dut, 8, BEATS * BEAT_BYTES, generator("memory"), stall)
    cocotb.start_soon(watch(dut, "machine__rdata", "machine__rdata__payload", own))
    cocotb.start_soon(watch(dut, "read", "read__beat", others))
    await start(dut, 200_000)
    visitor = cocotb.start_soon(guest(dut, generator("guest"), others, 300))
    asked, given = [], []
    for _ in range(600):
        address, we = rng.randrange(BEATS // 2), rng.random() < 0.5
        asked.append(address | we << 8)
        if we:
            word, mask = rng.getrandbits(128), rng.getrandbits(16)
            given.append(word | mask << 128)
            own.write(address, word, mask)
        else:
            own.read(address)
    word_task = words.start(given)
    await commands.send(asked)
    await word_task
    await visitor
    for _ in range(2000):
        await RisingEdge(dut.clk)
    assert not own.beats and not others.beats
    for address in range(BEATS):
        user = own if address < BEATS // 2 else others
        at = address * BEAT_BYTES
        assert memory.content[at : at + BEAT_BYTES] == user.content[address].to_bytes(BEAT_BYTES, "little")


@cocotb.test()
async def one_a_cycle(dut):
    """Where memory takes all at once and the guest is silent, commands and words go at full rate."""
    commands, words = StreamSource(dut, "machine__cmd"), StreamSource(dut, "machine__wdata")
    dut.read__cmd__valid.value = 0
    dut.write__beat__valid.value = 0
    MemoryPartner(dut, 8, BEATS * BEAT_BYTES, generator("memory"), 0.0)
    await start(dut, 10_000)
    word_task = words.start([n | 0xFFFF << 128 for n in range(100)])
    await commands.send([*(n | 1 << 8 for n in range(100)), *range(100)])
    await word_task
    for source, count in ((commands, 200), (words, 100)):
        steps = [after - before for before, after in pairwise(source.sent[10:])]
        assert len(source.sent) == count and set(steps) == {1}, steps
    assert cycle() < 400
