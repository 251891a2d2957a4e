"""The skip operand of a residual addition: fetched ahead by slabs, handed out by rows."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import Out, connect, flipped

from gateware.config import BEAT_BITS, LANES
from gateware.contracts import NUMBER_BITS
from gateware.engines.execute.pages import page_cell_layout
from gateware.engines.execute.residual_requests import ResidualPort, ResidualRequests
from gateware.engines.execute.residual_rows import ResidualRows

__all__ = ["ResidualFetch"]


class ResidualFetch(wiring.Component):
    """Rows of four int16 in the order in which the tiles of an operation use them.

    Two pages, each a slab's beat columns of a block (two tiles): one is asked for as a burst while the other is handed
    out. A row takes two cycles.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    address_bits : int
        Bits of a beat address of the memory.

    Members
    -------
    iteration, start, memory, outside : as of `ResidualPort`
        ``iteration`` must hold while ``idle`` is low.
    o : Out(stream of 4 x signed(16))
        The rows that count, in order.
    idle : Out(1)

    Attributes
    ----------
    number : Signal
        Where contracts are watched: the operation.
    """

    def __init__(self, rows: int, address_bits: int) -> None:
        self.rows, self.address_bits = rows, address_bits
        self.number = Signal(NUMBER_BITS)
        super().__init__(
            {
                **ResidualPort(address_bits).members,
                "o": Out(stream.Signature(data.ArrayLayout(signed(16), LANES))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.pages = pages = memory.Memory(
            shape=BEAT_BITS, depth=1 << page_cell_layout(self.rows).size, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.requests = requests = ResidualRequests(self.rows, self.address_bits)
        m.submodules.reading = reading = ResidualRows(self.rows)
        connect(m, requests.fill, pages.write_port())
        page = pages.read_port(domain="comb")
        connect(m, requests.memory, flipped(self.memory))
        connect(m, reading.o, flipped(self.o))
        for part in (requests, reading):
            m.d.comb += [part.iteration.eq(self.iteration), part.start.eq(self.start)]
        m.d.comb += [
            page.addr.eq(reading.cell),
            reading.beat.eq(page.data),
            reading.complete.eq(requests.complete),
            requests.freed.eq(reading.freed),
            requests.number.eq(self.number),
            self.outside.eq(requests.outside),
            self.idle.eq(reading.idle),
        ]
        return m
