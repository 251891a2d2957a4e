"""Both lines at random, a link that has room or not, and what must come through."""

import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from gateware.link.datagrams import PEER_BITS
from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import StreamMonitor, StreamSource

LAST = 1 << 8
MOST_WAITING = 2  # cycles that the network waits for the unit


def few_ones(rng: random.Random, bits: int) -> int:
    """Not zero, but one or two bits away from it."""
    return 1 << rng.randrange(bits) | rng.choice([0, 1 << rng.randrange(bits)])


def a_frame(rng: random.Random) -> bytes:
    length = rng.choice([1, 2, 10, 40])
    return bytes(rng.choice([rng.randrange(1, 256), few_ones(rng, 8)]) for _ in range(length)) + b"\0"


def frames(content: bytes) -> list[bytes]:
    """Those that are not empty, without their delimiters; the last one may have none."""
    return [part for part in content.split(b"\0") if part]


class Sink:
    """The link: not ready only after a delimiter that ends something, as the receiver is when it is full."""

    def __init__(self, dut: Any, full: float) -> None:
        self.dut, self.full, self.rng = dut, full, generator("sink")
        self.came: list[tuple[int, bytes]] = []  # from whom, and a frame's bytes
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut, begun = self.dut, bytearray()
        peer = None
        while True:
            dut.link__rx__ready.value = 1
            await RisingEdge(dut.clk)
            if dut.link__rx__valid.value != 1:
                continue
            byte, sender = int(dut.link__rx__payload.value), int(dut.peers__sender.value)
            if begun:
                assert sender == peer, "a frame of two senders"
            if byte:
                peer = sender
                begun.append(byte)
            elif begun:
                self.came.append((sender, bytes(begun)))
                begun.clear()
                if self.rng.random() < self.full:
                    dut.link__rx__ready.value = 0
                    for _ in range(self.rng.choice([1, 2, 5, 60])):
                        await RisingEdge(dut.clk)


class Network:
    """Datagrams, each from another peer; `slow`: bytes with gaps, `stops`: with one that is too long."""

    def __init__(self, dut: Any, slow: float, stops: float) -> None:
        self.dut, self.slow, self.stops, self.rng = dut, slow, stops, generator("network")
        self.sent: list[tuple[int, bytes, bool]] = []  # from whom, what, and whether it stopped in its middle

    async def send(self, content: bytes) -> None:
        dut, rng = self.dut, self.rng
        peer = 1 + len(self.sent) * 8191 % ((1 << PEER_BITS) - 1)
        stop = rng.randrange(1, len(content)) if len(content) > 1 and rng.random() < self.stops else 0
        self.sent.append((peer, content, bool(stop)))
        dut.datagrams__sender.value = peer
        for place, byte in enumerate(content):
            gap = (
                2 * parameters()["timeout"] if stop and place == stop else rng.randrange(8) * (rng.random() < self.slow)
            )
            for _ in range(gap):
                await RisingEdge(dut.clk)
            dut.datagrams__rx__payload.value = byte | LAST * (place == len(content) - 1)
            dut.datagrams__rx__valid.value = 1
            waited = 0
            await RisingEdge(dut.clk)
            while dut.datagrams__rx__ready.value != 1:
                waited += 1
                assert waited <= MOST_WAITING, "the network waits"
                await RisingEdge(dut.clk)
            dut.datagrams__rx__valid.value = 0
        dut.datagrams__sender.value = rng.getrandbits(PEER_BITS)


def a_datagram(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.6:
        return a_frame(rng)
    if kind < 0.7:
        return a_frame(rng)[:-1]
    if kind < 0.8:
        return a_frame(rng) + a_frame(rng)
    return bytes(rng.choice([0, 0, 1, 7]) for _ in range(rng.randrange(1, 9)))


async def prepare(dut: Any) -> None:
    for name in ("datagrams__rx__valid", "datagrams__sender", "peers__receiver", "peers__length"):
        getattr(dut, name).value = 0
    for name in ("uart__tx__ready", "datagrams__tx__ready", "link__tx__valid", "uart__rx__valid"):
        getattr(dut, name).value = 0
    await start(dut, 2_000_000)


async def both_lines(dut: Any, full: float, stops: float) -> None:
    rng = generator(f"lines {full}")
    sink, network = Sink(dut, full), Network(dut, 0.3, stops)
    uart = StreamSource(dut, "uart__rx", generator("uart"), 0.5)
    sent: list[bytes] = []
    over = False

    async def talk() -> None:
        while not over:
            sent.append(a_frame(rng)[:-1])
            await uart.send(sent[-1] + b"\0")

    talking = cocotb.start_soon(talk())
    for _ in range(parameters()["datagrams"]):
        await network.send(a_datagram(rng))
        for _ in range(rng.choice([0, 0, 3, 100, 300])):
            await RisingEdge(dut.clk)
    over = True
    await talking
    for _ in range(200):
        await RisingEdge(dut.clk)
    sink.task.cancel()
    check_uart([content for peer, content in sink.came if not peer], sent, len(network.sent))
    for peer, content, stopped in network.sent:
        came = [part for sender, part in sink.came if sender == peer]
        wanted = frames(content)
        if not full and not stopped:
            assert came == wanted, f"{content!r}"
        elif came != wanted[: len(came)]:
            # What stopped came in two parts, each of them as a datagram of its own.
            assert stopped and in_order(came, b"".join(wanted))
    assert not {peer for peer, _ in sink.came} - {0, *(peer for peer, _, _ in network.sent)}
    dropped = sum(
        not any(sender == peer for sender, _ in sink.came) for peer, content, _ in network.sent if any(content)
    )
    assert (dropped > 0) == (full > 0)


def in_order(pieces: list[bytes], content: bytes) -> bool:
    place = 0
    for piece in pieces:
        found = content.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def check_uart(came: list[bytes], sent: list[bytes], datagrams: int) -> None:
    """In order, each whole or given up, and no more given up than there were datagrams."""
    place = whole = 0
    for content in came:
        while place < len(sent) and sent[place][: len(content)] != content:
            place += 1
        assert place < len(sent), f"{content!r} was never sent"
        whole += content == sent[place]
        place += 1
    assert whole > len(sent) // 4 and len(sent) - whole <= 2 * datagrams


@cocotb.test()
async def with_room(dut: Any) -> None:
    """Every datagram comes through; a frame of the UART does, or is given up."""
    await prepare(dut)
    await both_lines(dut, 0.0, 0.0)


@cocotb.test()
async def without_room(dut: Any) -> None:
    """The link is full now and then, and datagrams stop in their middle."""
    await prepare(dut)
    await both_lines(dut, 0.5, 0.1)


@cocotb.test()
async def the_uart_alone(dut: Any) -> None:
    """All of it comes through, at a byte a cycle."""
    await prepare(dut)
    sink, rng = Sink(dut, 0.3), generator("alone")
    sent = [a_frame(rng) for _ in range(200)]
    await StreamSource(dut, "uart__rx").send(b"".join(sent))
    for _ in range(80):
        await RisingEdge(dut.clk)
    assert sink.came == [(0, content[:-1]) for content in sent]


@cocotb.test()
async def answers(dut: Any) -> None:
    """To whom they are for, with their length, and whole."""
    await prepare(dut)
    rng = generator("answers")
    link = StreamSource(dut, "link__tx", generator("link"), 0.3)
    uart = StreamMonitor(dut, "uart__tx", generator("uart"), 0.5)
    network = StreamMonitor(dut, "datagrams__tx", generator("network"), 0.3)
    to_uart, to_network = b"", []
    for _ in range(800):
        content, peer = a_frame(rng), rng.choice([0, few_ones(rng, PEER_BITS), rng.randrange(1, 1 << PEER_BITS)])
        dut.peers__receiver.value, dut.peers__length.value = peer, len(content)
        await link.send(content[:1])
        assert (int(dut.datagrams__receiver.value), int(dut.datagrams__length.value)) == (peer, len(content))
        await link.send(content[1:])
        if peer:
            to_network += [byte | LAST * (byte == 0) for byte in content]
        else:
            to_uart += content
    for _ in range(10):
        await RisingEdge(dut.clk)
    assert bytes(uart.received) == to_uart and network.received == to_network


async def datagram_bytes(dut: Any, peer: int, content: bytes, ends: bool = True) -> None:
    """A byte a cycle; `ends`: the last one is the datagram's."""
    for place, byte in enumerate(content):
        dut.datagrams__sender.value = peer
        dut.datagrams__rx__payload.value = byte | LAST * (ends and place == len(content) - 1)
        dut.datagrams__rx__valid.value = 1
        await RisingEdge(dut.clk)
        while dut.datagrams__rx__ready.value != 1:
            await RisingEdge(dut.clk)
        dut.datagrams__rx__valid.value = 0


async def cycles(dut: Any, count: int) -> None:
    await ClockCycles(dut.clk, count)


@cocotb.test()
async def silence(dut: Any) -> None:
    """A datagram may rest for nearly the time-out; then it is given up, and the UART has the link again."""
    await prepare(dut)
    timeout = parameters()["timeout"]
    sink = Sink(dut, 0.0)
    first, rest, frame = bytes([1, 2]), bytes([3, 4, 5]), bytes([9, 8, 7])
    for peer, gap in enumerate((1, timeout // 2, timeout - 3), 1):
        await datagram_bytes(dut, peer, first, ends=False)
        await cycles(dut, gap)
        await datagram_bytes(dut, peer, rest + b"\0")
        await cycles(dut, 4)
        assert sink.came.pop() == (peer, first + rest)
    for peer in range(11, 15):
        await datagram_bytes(dut, peer, first, ends=False)
        await cycles(dut, timeout - 3)
        assert sink.came == []
        await cycles(dut, 5)
        assert sink.came == [(peer, first)]
        await StreamSource(dut, "uart__rx").send(frame + b"\0")
        await cycles(dut, 4)
        assert sink.came == [(peer, first), (0, frame)]
        sink.came.clear()


@cocotb.test()
async def silence_without_room(dut: Any) -> None:
    """The same for one that is dropped: until then what the UART sends is dropped, and then it is not."""
    await prepare(dut)
    timeout = parameters()["timeout"]
    frame = bytes([9, 8, 7])
    for _ in range(3):
        dut.link__rx__ready.value = 0
        await datagram_bytes(dut, 5, bytes([1, 2, 3]), ends=False)
        dut.link__rx__ready.value = 1
        await StreamSource(dut, "uart__rx").send(frame + b"\0")
        await cycles(dut, timeout - 12)
        assert dut.link__rx__valid.value == 0
        await cycles(dut, 12)
        sink = Sink(dut, 0.0)
        await StreamSource(dut, "uart__rx").send(frame + b"\0")
        await cycles(dut, 4)
        assert sink.came == [(0, frame)]
        sink.task.cancel()


@cocotb.test()
async def a_frame_that_a_datagram_breaks(dut: Any) -> None:
    """What comes of it is what came before; the next one of the UART is whole, however the datagram lies to it."""
    await prepare(dut)
    sink = Sink(dut, 0.0)
    frame, other = bytes([9, 8, 7, 6]), bytes([5, 4])
    for place in range(len(frame) + 1):
        if place:
            await StreamSource(dut, "uart__rx").send(frame[:place])
        await datagram_bytes(dut, 3, bytes([1, 2]) + b"\0")
        await cycles(dut, 3)
        await StreamSource(dut, "uart__rx").send(frame[place:] + b"\0" + other + b"\0")
        await cycles(dut, 4)
        before, after = ([(0, frame[:place])], []) if place else ([], [(0, frame)])  # of one not begun nothing is lost
        assert sink.came == [*before, (3, bytes([1, 2])), *after, (0, other)], place
        sink.came.clear()
