"""What the residual fetch asks of memory, and where the answers belong."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import BEAT_BITS
from gateware.contracts import NUMBER_BITS, dram, reads, require, watched
from gateware.engines.execute.pages import PAGES, block_groups, counting_lanes, page_cell_layout
from gateware.engines.execute.tile_iterator import PLACE_BITS, ROW_BITS, TileIterator, iteration_layout
from gateware.memory.port import ReadPort

__all__ = ["ResidualPort", "ResidualRequests"]


class ResidualPort(wiring.Signature):
    """The skip operand of an operation, as the unit that fetches it sees it.

    Parameters
    ----------
    address_bits : int
        Bits of a beat address of the memory.

    Members
    -------
    iteration : In(iteration_layout())
        Must hold until the end; ``columns`` is 2.
    start : In(1)
    memory : Out(ReadPort)
    outside : Out(1)
        A beat is not in memory; it is not asked for.
    """

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "iteration": In(iteration_layout()),
                "start": In(1),
                "memory": Out(ReadPort(address_bits)),
                "outside": Out(1),
            }
        )


class ResidualRequests(wiring.Component):
    """Asks for a block's beats slab by slab, for each slab as soon as a page is free.

    A slab's beats are asked for as a burst, one a cycle, once both of its tiles are known.

    Parameters
    ----------
    rows, address_bits : int
        As of `ResidualFetch`.

    Members
    -------
    iteration, start, memory, outside : as of `ResidualPort`.
    fill : In(memory.WritePort.Signature)
        Of the pages: each answer with its place.
    complete : Out(2)
        The pages whose beats have all come.
    freed : In(2)
        The pages that have been handed out in this cycle.

    Attributes
    ----------
    number : Signal
        Where contracts are watched: the operation.
    """

    def __init__(self, rows: int, address_bits: int) -> None:
        self.rows, self.address_bits = rows, address_bits
        self.cell, self.groups = page_cell_layout(rows), block_groups(rows)
        self.number = Signal(NUMBER_BITS)
        super().__init__(
            {
                **ResidualPort(address_bits).members,
                "fill": In(memory.WritePort.Signature(addr_width=self.cell.size, shape=BEAT_BITS)),
                "complete": Out(PAGES),
                "freed": In(PAGES),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tiles = tiles = TileIterator(self.rows)
        at, page = tiles.at, Signal()
        asking, fresh, first = Signal(), Signal(init=1), Signal(2)
        here, last_column = Signal(2), Signal(2)
        group, last_group = Signal(range(self.groups)), Signal(range(self.groups))
        # The address that is asked for is a register, as much hangs on whether it is one of memory's; `base` is that of
        # the group's rows.
        end, block_base, base, place = Signal(ROW_BITS), Signal(PLACE_BITS), Signal(PLACE_BITS), Signal(PLACE_BITS)
        claimed, claim, first_here = Signal(PAGES), Signal(), Signal(2)
        m.d.comb += [
            tiles.iteration.eq(self.iteration),
            tiles.start.eq(self.start),
            tiles.step.eq(claim),
            end.eq(at.row + at.rows - 1),
            block_base.eq(at.slab + (at.row[2:] << 2)),
            claim.eq(at.valid & ~asking & ~claimed.bit_select(page, 1)),
            first_here.eq(Mux(fresh, at.column, first)),
        ]
        m.d.sync += claimed.eq((claimed | ((claim & at.slab_end) << page)) & ~self.freed)
        with m.If(claim):
            m.d.sync += [fresh.eq(at.slab_end), first.eq(first_here)]
            with m.If(at.slab_end):
                m.d.sync += [
                    asking.eq(1),
                    here.eq(first_here),
                    last_column.eq(at.column + 1),
                    group.eq(0),
                    last_group.eq(end[2:] - at.row[2:]),
                    base.eq(block_base),
                    place.eq(block_base + first_here),
                ]
        asked, last = Signal(), Signal()
        m.d.comb += [
            self.outside.eq(asking & place[self.address_bits :].any()),
            self.memory.cmd.valid.eq(asking & ~self.outside),
            self.memory.cmd.payload.eq(place),
            asked.eq(self.memory.cmd.valid & self.memory.cmd.ready),
            last.eq((here == last_column) & (group == last_group)),
        ]
        with m.If(asked):
            m.d.sync += [here.eq(here + 1), place.eq(place + 1)]
            with m.If(here == last_column):
                m.d.sync += [here.eq(first), group.eq(group + 1), base.eq(base + 4), place.eq(base + 4 + first)]
            with m.If(last):
                m.d.sync += [asking.eq(0), page.eq(~page)]
        cell = Signal(self.cell)
        m.d.comb += [cell.column.eq(here), cell.group.eq(group), cell.page.eq(page)]
        answer = self._elaborate_answers(m, asked, cell, last)
        if watched(platform):
            first_lane, last_lane = Signal(2), Signal(2)
            with m.If(claim):
                m.d.sync += [first_lane.eq(at.row[:2]), last_lane.eq(end[:2])]
            lanes = counting_lanes(group, last_group, first_lane, last_lane)
            reads(m, platform, dram(self.address_bits), "EXEC's residual fetch", asked, self.number, place, lanes)
            self._watch_answers(m, platform, asked, answer)
        return m

    def _elaborate_answers(self, m: Module, asked: Value, cell: data.View, last: Signal) -> data.View:
        """Answers, in the order of the questions, fill the pages: the cell of an answer, and whether it is the last."""
        tag = data.StructLayout({"cell": self.cell, "last": 1})
        m.submodules.tags = tags = memory.Memory(
            shape=tag, depth=1 << self.cell.size, init=[], attrs={"ram_style": "distributed"}
        )
        writer, reader = tags.write_port(), tags.read_port(domain="comb")
        head, tail, completed = Signal(self.cell.size), Signal(self.cell.size), Signal(PAGES)
        answer = reader.data
        m.d.comb += [
            writer.en.eq(asked),
            writer.addr.eq(head),
            writer.data.cell.eq(cell),
            writer.data.last.eq(last),
            reader.addr.eq(tail),
            self.fill.en.eq(self.memory.valid),
            self.fill.addr.eq(answer.cell),
            self.fill.data.eq(self.memory.beat),
            completed.eq((self.memory.valid & answer.last) << answer.cell.page),
        ]
        m.d.sync += self.complete.eq((self.complete | completed) & ~self.freed)
        with m.If(asked):
            m.d.sync += head.eq(head + 1)
        with m.If(self.memory.valid):
            m.d.sync += tail.eq(tail + 1)
        return answer

    def _watch_answers(self, m: Module, platform: object, asked: Value, answer: data.View) -> None:
        answered, owed = self.memory.valid, Signal(self.cell.size + 1)
        m.d.sync += owed.eq(owed + asked - answered)
        require(m, platform, self, "memory brings only what was asked for", ~answered | (owed != 0))
        given = self.complete.bit_select(answer.cell.page, 1)
        require(m, platform, self, "a page is filled before it is handed out", ~(answered & given))
