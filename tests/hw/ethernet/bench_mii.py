"""LiteEth's core and the link behind it at a PHY's pins: ARP, ping, datagrams, and frames that are none."""

import struct
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer
from cocotbext.eth import GmiiFrame, MiiPhy

from gateware.link.datagrams import UDP_PORT
from gateware.link.framing import frame
from gateware.link.packets import MAX_PAYLOAD, NO_SESSION, Answer, Command, Identity, Request, Status
from host.link.deframer import Deframer
from sim.cocotb.bench import generator, start
from sim.cocotb.streams import StreamMonitor, StreamSource
from tests.gateware.link.link_board import ADDRESS_BITS, IDENTITY
from tests.gateware.memory.memory_partner import MemoryPartner
from tests.hw.ethernet.ethernet_frames import BOARD, BOARD_MAC, BROADCAST_MAC, Host, Udp, parsed_udp

NETWORK = BOARD & 0xFFFFFF00
ONE, OTHER = Host(NETWORK + 7, b"\x02hosts"), Host(NETWORK + 200, b"\x02OTHER", 1234)
ABROAD = Host(0x0A000001, b"\x02far.h")
SESSIONS = (0x1111, 0x2222)
SILENT_NS = 20_000  # in which an answer would have come
ARP_KIND, PING_ANSWER = b"\x08\x06", 0


class Wire:
    """A cable to the board; hosts on it answer ARP by themselves."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        pins = ("tx_data", None, "tx_en", "tx_clk", "rx_data", None, "rx_dv", "rx_clk")
        # Its clocks run while the board keeps it in reset.
        self.phy = MiiPhy(*(name and getattr(dut, f"mii__{name}") for name in pins), reset=dut.mii__reset, speed=100e6)
        self.arps: list[bytes] = []
        self.came: list[bytes] = []
        self.hosts = [ONE, OTHER, ABROAD]

    async def begin(self) -> None:
        dut = self.dut
        for name in ("duration", "outcome", "blocked"):
            getattr(dut, name).value = 0
        dut.mii__rx_dv.value = 0
        dut.mii__rx_data.value = 0
        for name in ("uart__rx__valid", "uart__tx__ready", "memory__cmd__ready", "memory__rdata__valid"):
            getattr(dut, name).value = 0
        await start(dut, 200_000)
        assert dut.mii__reset.value == 1
        while dut.mii__reset.value == 1:
            await RisingEdge(dut.clk)
        cocotb.start_soon(self._listen())
        await Timer(1000, unit="ns")
        # After a reset in mid-frame the first one is taken for the rest of that.
        await self.send(ONE.asks_for(BOARD + 1))

    async def _listen(self) -> None:
        while True:
            received = await self.phy.tx.recv()
            assert received.check_fcs(), "a wrong check sequence"
            content = bytes(received.get_payload())
            if content[12:14] == ARP_KIND:
                self.arps.append(content)
                (asked,) = struct.unpack(">I", content[38:42])
                for host in self.hosts:
                    if content[21] == 1 and host.ip == asked:
                        await self.send(host.says(BOARD_MAC, BOARD))
            else:
                self.came.append(content)

    async def send(self, content: bytes) -> None:
        await self.phy.rx.send(GmiiFrame.from_payload(content))

    async def answer(self) -> bytes:
        """The next frame that is no ARP."""
        while not self.came:
            await Timer(1000, unit="ns")
        return self.came.pop(0)

    async def nothing(self) -> None:
        await self.phy.rx.wait()
        await Timer(SILENT_NS, unit="ns")
        assert not self.came

    async def asked(self, host: Host, request: Request) -> tuple[Answer, Udp]:
        await self.send(host.udp(frame(request.to_bytes()), UDP_PORT))
        content = await self.answer()
        datagram = parsed_udp(content)
        assert datagram is not None and content[:6] == host.mac
        return answer_in(datagram, host), datagram


def answer_in(datagram: Udp, host: Host) -> Answer:
    """The link's answer, which must be to that host."""
    assert (datagram.from_ip, datagram.from_port) == (BOARD, UDP_PORT)
    assert (datagram.to_ip, datagram.to_port) == (host.ip, host.port)
    (answer,) = Deframer().feed(datagram.content)
    return answer


@cocotb.test()
async def arp_and_ping(dut: Any) -> None:
    wire = Wire(dut)
    await wire.begin()
    await wire.send(ONE.asks_for(BOARD + 1))
    await wire.send(ONE.asks_for(BOARD))
    while not wire.arps:
        await Timer(1000, unit="ns")
    assert wire.arps == [ONE_IS_TOLD]
    for content in (b"a ping's own data, 0123456789", bytes(range(100))):
        await wire.send(ONE.ping(content))
        found = await wire.answer()
        sent = ONE.ping(content)
        assert found[:6] == ONE.mac and found[6:12] == BOARD_MAC
        assert found[26:30] == struct.pack(">I", BOARD) and found[30:34] == struct.pack(">I", ONE.ip)
        assert (found[34], found[38 : 42 + len(content)]) == (PING_ANSWER, sent[38 : 42 + len(content)])
    await wire.send(ONE.ping(b"for somebody else", to=BOARD + 1))
    await wire.nothing()


ONE_IS_TOLD = Host(BOARD, BOARD_MAC).says(ONE.mac, ONE.ip)


@cocotb.test()
async def pings_that_lie(dut: Any) -> None:
    """One that has more than it says, too much, or that comes while another is answered: nothing waits for ever."""
    wire = Wire(dut)
    await wire.begin()
    await wire.send(ONE.ping(bytes(1000), length=60))
    await wire.send(ONE.ping(bytes(1000)))
    await wire.send(ONE.ping(bytes(200), length=0))
    await wire.send(ONE.ping(bytes(20), length=100))
    for number in range(4):
        await wire.send(ONE.ping(bytes([number])))
    await wire.phy.rx.wait()
    await Timer(SILENT_NS, unit="ns")
    wire.came.clear()
    await wire.send(ONE.ping(b"the last"))
    assert (await wire.answer())[42:50] == b"the last"


@cocotb.test()
async def a_session(dut: Any) -> None:
    """Packets of full length both ways, and another host's."""
    wire = Wire(dut)
    await wire.begin()
    memory = MemoryPartner(dut, ADDRESS_BITS, 16 << ADDRESS_BITS, generator("memory"), 0.0)
    content = generator("content").randbytes(MAX_PAYLOAD)
    first, second = SESSIONS
    answer, _ = await wire.asked(ONE, Request(first, 0, Command.OPEN))
    assert (answer.session, answer.status) == (first, Status.DONE)
    answer, _ = await wire.asked(ONE, Request(first, 1, Command.WRITE, 16, content))
    assert answer.status == Status.DONE and memory.content[16 : 16 + len(content)] == content
    answer, datagram = await wire.asked(ONE, Request(first, 2, Command.READ, 16, length=MAX_PAYLOAD))
    assert answer.payload == content and len(datagram.content) > MAX_PAYLOAD
    # Somebody else has no part in it, and may take it over.
    answer, _ = await wire.asked(OTHER, Request(first, 3, Command.STATUS))
    assert answer.status == Status.WRONG_SESSION
    answer, _ = await wire.asked(OTHER, Request(second, 9, Command.OPEN))
    assert (answer.session, answer.status) == (second, Status.DONE)
    answer, _ = await wire.asked(ONE, Request(first, 3, Command.STATUS))
    assert (answer.session, answer.status) == (second, Status.WRONG_SESSION)
    # And so may the UART, whose answers go there.
    uart = StreamMonitor(dut, "uart__tx")
    await RisingEdge(dut.clk)
    await StreamSource(dut, "uart__rx").send(frame(Request(first, 50, Command.OPEN).to_bytes()))
    await Timer(SILENT_NS, unit="ns")
    (answer,) = Deframer().feed(bytes(uart.received))
    assert (answer.session, answer.sequence, answer.status) == (first, 50, Status.DONE) and not wire.came


@cocotb.test()
async def who_is_there(dut: Any) -> None:
    """A broadcast is answered to whoever asks on the own network, and to nobody else."""
    wire = Wire(dut)
    await wire.begin()
    question = frame(Request(NO_SESSION, 5, Command.IDENTIFY).to_bytes())
    for to in (0xFFFFFFFF, NETWORK + 255):
        await wire.send(OTHER.udp(question, UDP_PORT, to=to))
        datagram = parsed_udp(await wire.answer())
        assert datagram is not None
        assert Identity.from_bytes(answer_in(datagram, OTHER).payload) == IDENTITY
    stranger = Host(NETWORK + 255, BROADCAST_MAC)
    for host, port, to in (
        (ABROAD, UDP_PORT, BOARD),
        (stranger, UDP_PORT, BOARD),
        (ONE, UDP_PORT + 1, BOARD),
        (ONE, UDP_PORT, BOARD + 1),
    ):
        await wire.send(host.udp(question, port, to=to))
        await wire.nothing()


@cocotb.test()
async def frames_that_are_none(dut: Any) -> None:
    """Wrong check sequences, runts and noise: no answer, and the next packet comes through."""
    wire = Wire(dut)
    await wire.begin()
    rng = generator("noise")
    await wire.asked(ONE, Request(SESSIONS[0], 0, Command.OPEN))
    following = 1
    for kind in ("check sequence", "runt", "cut", "noise", "no datagram"):
        right = ONE.udp(frame(Request(SESSIONS[0], following, Command.STATUS).to_bytes()), UDP_PORT)
        sent = GmiiFrame.from_payload(right)
        if kind == "check sequence":  # of what is damaged on the way
            sent.data[8 + 50] ^= 1
        elif kind == "runt":
            del sent.data[8 + rng.randrange(1, 30) :]
        elif kind == "cut":
            del sent.data[8 + 45 :]
        elif kind == "noise":
            sent.data[8:] = rng.randbytes(100)
        else:
            sent = GmiiFrame.from_payload(ONE.udp(rng.randbytes(900), UDP_PORT))
        await wire.phy.rx.send(sent)
        await wire.nothing()
        # What a runt began may take the next frame with it: the host sends that again.
        for _ in range(2):
            await wire.send(right)
        datagram = parsed_udp(await wire.answer())
        assert datagram is not None
        answer = answer_in(datagram, ONE)
        assert (answer.sequence, answer.status) == (following, Status.DONE), kind
        await wire.phy.rx.wait()
        await Timer(SILENT_NS, unit="ns")
        wire.came.clear()
        following += 1
