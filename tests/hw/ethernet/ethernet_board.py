"""The link with a small machine behind Ethernet and a UART's byte stream, as on a board: a PHY's pins outside."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.link.link import ByteStreams
from gateware.link.two_lines import TwoLines
from gateware.memory.port import MemoryPort
from hw.ethernet.core import LiteEth, MiiPort
from hw.ethernet.generate import Core, generate
from hw.ethernet.settings import EthernetSettings
from tests.gateware.link.link_board import ADDRESS_BITS, LinkBoard

__all__ = ["CLOCK_HZ", "EthernetBoard", "core"]

CLOCK_HZ = 100_000_000
BOARD = {"duration": In(24), "outcome": In(4), "blocked": In(1)}


def core() -> Core:
    """LiteEth's, with the addresses of a board that nobody has changed."""
    return generate(EthernetSettings(), CLOCK_HZ)


class EthernetBoard(wiring.Component):
    """Its memory is outside."""

    def __init__(self) -> None:
        self.ethernet = LiteEth(core())
        memory = {"memory": Out(MemoryPort(ADDRESS_BITS))}
        super().__init__({"mii": Out(MiiPort()), "uart": Out(ByteStreams()), "busy": Out(1), **memory, **BOARD})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.board = board = LinkBoard()
        m.submodules.lines = lines = TwoLines()
        m.submodules.ethernet = ethernet = self.ethernet
        connect(m, lines.link, board.link)
        connect(m, lines.peers, board.peers)
        connect(m, lines.datagrams, ethernet.datagrams)
        connect(m, lines.uart, flipped(self.uart))
        connect(m, board.memory, flipped(self.memory))
        connect(m, ethernet.mii, flipped(self.mii))
        m.d.comb += self.busy.eq(board.busy)
        m.d.comb += [getattr(board, name).eq(getattr(self, name)) for name in BOARD]
        return m
