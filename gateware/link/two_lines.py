"""One link on two lines: a UART, and datagrams of a network."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.link.datagram_port import DatagramPort
from gateware.link.datagrams import PEER_BITS
from gateware.link.framing import DELIMITER
from gateware.link.link import ByteStreams
from gateware.link.peer_port import PeerPort

__all__ = ["TwoLines"]


class TwoLines(wiring.Component):
    """Frames of both lines to the link, whole or not at all, and each answer to the line that asked.

    A datagram goes first: the frame that the UART has begun is given up, with a delimiter, and what is left of it is
    dropped. Whatever a datagram holds ends with a delimiter, so it spoils nothing behind it. A datagram for which the
    link has no room is dropped, so the network never waits; one that stops in its middle is given up after 2 to
    ``timeout_bits`` cycles. A byte a cycle, and two cycles around a datagram.

    Parameters
    ----------
    timeout_bits : int
        2 to 32; longer than the network takes for a byte.

    Members
    -------
    uart : Out(ByteStreams)
        What a UART is joined with. Its peer is 0.
    datagrams : Out(DatagramPort)
    link : In(ByteStreams), peers : In(PeerPort)
        What the link is joined with.
    """

    def __init__(self, timeout_bits: int = 12) -> None:
        require_range("TwoLines", "timeout_bits", timeout_bits, 2, 32)
        self.timeout_bits = timeout_bits
        super().__init__(
            {
                "uart": Out(ByteStreams()),
                "datagrams": Out(DatagramPort()),
                "link": In(ByteStreams()),
                "peers": In(PeerPort(PEER_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._receive(m)
        self._send(m)
        return m

    def _receive(self, m: Module) -> None:
        uart, came, link = self.uart.rx, self.datagrams.rx, self.link.rx
        begun, dropping = Signal(), Signal()  # the UART is inside a frame; what is left of it is dropped
        silent = Signal(self.timeout_bits)
        ends = uart.payload == DELIMITER
        with m.If(uart.valid & uart.ready):
            m.d.sync += [begun.eq(~ends), dropping.eq(dropping & ~ends)]
        m.d.sync += silent.eq(Mux(came.valid, 0, silent + 1))
        with m.FSM():
            with m.State("UART"):
                with m.If(came.valid):
                    # Ends what the UART had begun; an empty frame means nothing.
                    m.d.comb += [link.valid.eq(1), link.payload.eq(DELIMITER)]
                    m.d.sync += [dropping.eq(begun), self.peers.sender.eq(self.datagrams.sender)]
                    m.next = "DROP"
                    with m.If(link.ready):
                        m.next = "PASS"
                with m.Else():
                    m.d.comb += [
                        link.valid.eq(uart.valid & ~dropping),
                        link.payload.eq(uart.payload),
                        uart.ready.eq(link.ready | dropping),
                    ]
            with m.State("PASS"):
                self._drop(m, dropping)
                m.d.comb += [link.valid.eq(came.valid), link.payload.eq(came.payload.byte), came.ready.eq(1)]
                with m.If((came.valid & came.payload.last) | silent.all()):
                    m.next = "END"
                with m.Elif(came.valid & ~link.ready):
                    m.next = "DROP"
            with m.State("END"):
                # Where there is no room the frame is over already.
                self._drop(m, dropping)
                m.d.comb += [link.valid.eq(1), link.payload.eq(DELIMITER)]
                m.d.sync += self.peers.sender.eq(0)
                m.next = "UART"
            with m.State("DROP"):
                self._drop(m, dropping)
                m.d.comb += came.ready.eq(1)
                with m.If((came.valid & came.payload.last) | silent.all()):
                    m.d.sync += self.peers.sender.eq(0)
                    m.next = "UART"

    def _drop(self, m: Module, dropping: Signal) -> None:
        """Bytes of the UART that come beside a datagram."""
        m.d.comb += self.uart.rx.ready.eq(1)
        with m.If(self.uart.rx.valid):
            m.d.sync += dropping.eq(self.uart.rx.payload != DELIMITER)

    def _send(self, m: Module) -> None:
        uart, sent, link = self.uart.tx, self.datagrams.tx, self.link.tx
        to_uart = self.peers.receiver == 0
        m.d.comb += [
            uart.valid.eq(link.valid & to_uart),
            uart.payload.eq(link.payload),
            sent.valid.eq(link.valid & ~to_uart),
            sent.payload.byte.eq(link.payload),
            sent.payload.last.eq(link.payload == DELIMITER),
            link.ready.eq(Mux(to_uart, uart.ready, sent.ready)),
            self.datagrams.receiver.eq(self.peers.receiver),
            self.datagrams.length.eq(self.peers.length),
        ]
