"""The receiver against the line's rules: every packet that is right comes out as it went in, nothing else does."""

import random
import struct
import zlib
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.link.framing import FramingError, decode, encode
from gateware.link.packets import MAX_PACKET
from gateware.link.receiver import LEAST
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamSource


def sealed(length: int, rng: random.Random) -> bytes:
    """A packet of that many bytes with its CRC: of zeros, without any, with a long run before one, or of anything."""
    count = length - 4
    kind = rng.choice([0, 1, 2, 3, 4, 4, 4, 4]) if count > 238 else rng.randrange(4)
    body = rng.randbytes(count)
    if kind == 0:
        body = bytes(count)
    elif kind == 1:
        body = bytes(1 + byte % 255 for byte in body)
    elif kind == 4:
        place = rng.choice([238, 246, 250, 252, 253, 254])  # the run's code is a bit off the longest run's
        body = bytes((1 + byte % 255) * (at != place) for at, byte in enumerate(body))
    elif kind == 2:
        body = bytes(byte * (rng.random() < 0.9) for byte in body)
    return body + struct.pack("<I", zlib.crc32(body))


class Bench:
    """Bytes in, packets out. A user looks at every byte of a packet, in any order, and keeps it for a while."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, generator("receiver")
        self.timeout = 1 << parameters()["timeout_bits"]
        self.expected: list[bytes] = []
        self.got = 0
        self.slow = 0.5
        self.delimiter_in = False

    async def begin(self) -> None:
        for name in ("packets__address", "packets__release"):
            getattr(self.dut, name).value = 0
        self.line = StreamSource(self.dut, "rx", generator("line"), 0.0)
        await start(self.dut, 300_000)
        self.user = cocotb.start_soon(self._user())

    async def _user(self) -> None:
        dut, rng = self.dut, generator("user")
        await RisingEdge(dut.clk)
        while True:
            if dut.packets__present.value == 0:
                dut.packets__address.value = rng.randrange(1024)
                await RisingEdge(dut.clk)
                continue
            assert self.got < len(self.expected), "a packet that nobody sent"
            wanted = self.expected[self.got]
            assert int(dut.packets__length.value) == len(wanted), f"packet {self.got}: length"
            while rng.random() < self.slow:
                await RisingEdge(dut.clk)
            places = list(range(len(wanted)))
            if rng.random() < 0.5:
                rng.shuffle(places)
            dut.packets__address.value = places[0]
            await RisingEdge(dut.clk)
            for place, after in zip(places, [*places[1:], 0], strict=True):
                dut.packets__address.value = after
                await RisingEdge(dut.clk)
                assert int(dut.packets__byte.value) == wanted[place], f"packet {self.got}, byte {place}"
                assert dut.packets__present.value == 1
            dut.packets__release.value = 1
            await RisingEdge(dut.clk)
            dut.packets__release.value = 0
            self.got += 1
            await RisingEdge(dut.clk)

    async def send(self, content: bytes, packet: bytes | None = None, stall: float = 0.0) -> None:
        """Bytes and a delimiter; `packet`: what must come of them."""
        self.line.stall = stall
        await self.line.send(content)
        if packet is not None:
            self.expected.append(packet)
        self.line.stall = 0.0
        await self.line.send([0])

    async def pause(self, cycles: int) -> None:
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def finish(self) -> None:
        """Everything has come, and nothing more comes."""
        while self.got < len(self.expected):
            await RisingEdge(self.dut.clk)
        await self.pause(12)
        assert self.got == len(self.expected) and self.dut.packets__present.value == 0


@cocotb.test()
async def frames(dut: Any) -> None:
    """Right ones of every length, among wrong ones of every kind."""
    bench = Bench(dut)
    await bench.begin()
    rng = bench.rng
    for turn in range(parameters()["frames"]):
        length = rng.choice([LEAST, LEAST + 1, rng.randrange(LEAST, 60), rng.randrange(LEAST, 60), 254, 255, 256, 600])
        if turn % 40 == 7:
            length = rng.choice([MAX_PACKET, MAX_PACKET - 1])
        if turn % 40 == 20:  # a count that forgot the slots' end would take it for one of 20 bytes
            await bench.send(encode(sealed(2048 + 20, rng)), None)
        packet = sealed(length, rng)
        content, stall = encode(packet), rng.choice([0.0, 0.0, 0.3])
        bench.slow = rng.choice([0.0, 0.5, 0.99])
        kind = rng.random()
        if kind < 0.5:
            await bench.send(content, packet, stall)
        elif kind < 0.6:  # a bit is wrong
            place = rng.randrange(len(packet))
            wrong = packet[:place] + bytes([packet[place] ^ 1 << rng.randrange(8)]) + packet[place + 1 :]
            await bench.send(encode(wrong), None, stall)
        elif kind < 0.7:  # cut off anywhere
            cut = content[: rng.randrange(1, len(content))]
            await bench.send(cut, _right(cut), stall)
        elif kind < 0.8:
            short = sealed(rng.randrange(4, LEAST), rng)
            await bench.send(encode(short), None, stall)
        elif kind < 0.83:
            await bench.send(encode(sealed(rng.choice([MAX_PACKET + 1, 1024, 1025, 1100, 2060]), rng)), None)
        elif kind < 0.9:
            await bench.send(b"", None)
        else:  # its last run promises one byte more than there is
            runs, place = bytearray(content), 0
            while place + runs[place] < len(runs):
                place += runs[place]
            if runs[place] < 254:
                runs[place] += 1
                await bench.send(bytes(runs), None, stall)
    await bench.finish()


def _right(stuffed: bytes) -> bytes | None:
    """What an accidental frame holds."""
    try:
        packet = decode(stuffed)
    except FramingError:
        return None
    good = LEAST <= len(packet) <= MAX_PACKET and zlib.crc32(packet[:-4]) == struct.unpack("<I", packet[-4:])[0]
    return packet if good else None


@cocotb.test()
async def two_wait(dut: Any) -> None:
    """With two packets waiting the line stops; with one released it goes on; a packet is there two cycles after."""
    bench = Bench(dut)
    await bench.begin()
    bench.user.cancel()
    rng = bench.rng
    for turn in range(6):
        first, second, third = (sealed(rng.randrange(LEAST, 40), rng) for _ in range(3))
        await bench.line.send(encode(first) + b"\0")
        await bench.pause(2)
        assert dut.packets__present.value == 1 and int(dut.packets__length.value) == len(first)
        assert dut.rx__ready.value == 1
        await bench.line.send(encode(second) + b"\0")
        await bench.pause(2)
        assert dut.rx__ready.value == 0
        task = bench.line.start(encode(third) + b"\0")
        # However long it takes: waiting for a slot is no pause of the line's.
        await bench.pause(3 * bench.timeout if turn % 2 else 5)
        assert dut.rx__ready.value == 0 and int(dut.packets__length.value) == len(first)
        for packet in (first, second, third):
            while dut.packets__present.value == 0:
                await RisingEdge(dut.clk)
            assert int(dut.packets__length.value) == len(packet)
            for place in range(len(packet)):
                dut.packets__address.value = place
                await bench.pause(2)
                assert int(dut.packets__byte.value) == packet[place]
            dut.packets__release.value = 1
            await RisingEdge(dut.clk)
            dut.packets__release.value = 0
            await bench.pause(2)
        await task
        assert dut.packets__present.value == 0


@cocotb.test()
async def pauses(dut: Any) -> None:
    """A pause inside a frame that is just short enough, and one that is just too long; between frames any is right."""
    bench = Bench(dut)
    await bench.begin()
    rng, limit = bench.rng, bench.timeout
    for turn in range(12):
        packet = sealed(rng.randrange(LEAST, 30), rng)
        content = encode(packet)
        cut = rng.choice([1, 2, len(content) - 1, len(content), rng.randrange(1, len(content))])
        await bench.line.send(content[:cut])
        if turn % 2:
            await bench.pause(limit - 1)
            await bench.send(content[cut:], packet)
        else:
            await bench.pause(limit)
            # What is left is a frame of its own, and the next one is whole.
            await bench.send(b"", None)
            await bench.send(content, packet)
        if turn % 3 == 0:
            await bench.pause(3 * limit)
    await bench.finish()


@cocotb.test()
async def resets(dut: Any) -> None:
    """After a reset nothing is there, whatever had come."""
    bench = Bench(dut)
    await bench.begin()
    bench.user.cancel()
    rng = bench.rng
    for turn in range(10):
        packet = sealed(LEAST + turn, rng)
        await reset(dut)
        line = encode(sealed(30, rng)) + b"\0" + encode(sealed(40, rng)) + b"\0"
        line = (encode(sealed(1200, rng)) if turn % 4 == 3 else line)[: 1100 if turn % 4 == 3 else rng.randrange(1, 76)]
        await bench.line.send(line)
        await bench.pause(2)
        if turn % 2 and dut.packets__present.value == 1:
            dut.packets__release.value = 1
            await RisingEdge(dut.clk)
        dut.packets__release.value = 0
        await reset(dut)
        assert dut.packets__present.value == 0 and dut.rx__ready.value == 1
        await bench.line.send(encode(packet) + b"\0")
        await bench.pause(2)
        assert dut.packets__present.value == 1 and int(dut.packets__length.value) == len(packet)
        for place in range(len(packet)):
            dut.packets__address.value = place
            await bench.pause(2)
            assert int(dut.packets__byte.value) == packet[place]
