"""The skip operand of a residual addition: fetched ahead by slabs, handed out by rows."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import BEAT_BITS, LANES
from gateware.contracts import NUMBER_BITS, dram, reads, require, watched
from gateware.engines.execute.walker import PLACE_BITS, ROW_BITS, TileWalker, walk_layout
from gateware.memory.port import ReadPort

__all__ = ["SkipFetch"]


class SkipFetch(wiring.Component):
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
    walk : In(walk_layout())
        Must hold while ``idle`` is low; ``columns`` is 2.
    start : In(1)
    memory : Out(ReadPort)
    o : Out(stream of 4 x signed(16))
        The rows that count, in order.
    outside : Out(1)
        A beat is not in memory; it is not asked for.
    idle : Out(1)

    Attributes
    ----------
    number : Signal
        Where contracts are watched: the operation.
    """

    def __init__(self, rows: int, address_bits: int) -> None:
        self.rows, self.address_bits = rows, address_bits
        self.number = Signal(NUMBER_BITS)
        self.groups = (rows + 2 * LANES - 2) // LANES
        super().__init__(
            {
                "walk": In(walk_layout()),
                "start": In(1),
                "memory": Out(ReadPort(address_bits)),
                "o": Out(stream.Signature(data.ArrayLayout(signed(16), 4))),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.asker = asker = TileWalker(self.rows)
        m.submodules.giver = giver = TileWalker(self.rows)
        for walker in (asker, giver):
            m.d.comb += [walker.walk.eq(self.walk), walker.start.eq(self.start)]
        group_bits = (self.groups - 1).bit_length()
        cell = data.StructLayout({"column": 2, "group": group_bits, "page": 1})
        m.submodules.pages = pages = memory.Memory(
            shape=BEAT_BITS, depth=1 << cell.size, init=[], attrs={"ram_style": "distributed"}
        )
        writer, reader = pages.write_port(), pages.read_port(domain="comb")
        claimed, complete, freed, completed = Signal(2), Signal(2), Signal(2), Signal(2)
        m.d.sync += complete.eq((complete | completed) & ~freed)

        # Ask: once both tiles of a slab are known, all its beats of the block.
        ask_page, asking, fresh = Signal(), Signal(), Signal(init=1)
        first, here, group = Signal(2), Signal(2), Signal(range(self.groups))
        # The address that is asked for is a register, as much hangs on whether it is one of memory's; `base` is that of
        # the group's rows.
        end, block_base, base, place = Signal(ROW_BITS), Signal(PLACE_BITS), Signal(PLACE_BITS), Signal(PLACE_BITS)
        last_group, last_column, claim = Signal(range(self.groups)), Signal(2), Signal()
        m.d.comb += [
            end.eq(asker.at.row + asker.at.rows - 1),
            block_base.eq(asker.at.slab + (asker.at.row[2:] << 2)),
            claim.eq(asker.at.valid & ~asking & ~claimed.bit_select(ask_page, 1)),
            asker.step.eq(claim),
        ]
        m.d.sync += claimed.eq((claimed | ((claim & asker.at.slab_end) << ask_page)) & ~freed)
        with m.If(claim):
            m.d.sync += fresh.eq(asker.at.slab_end)
            with m.If(fresh):
                m.d.sync += first.eq(asker.at.column)
            with m.If(asker.at.slab_end):
                m.d.sync += [
                    asking.eq(1),
                    here.eq(Mux(fresh, asker.at.column, first)),
                    first.eq(Mux(fresh, asker.at.column, first)),
                    last_column.eq(asker.at.column + 1),
                    group.eq(0),
                    last_group.eq(end[2:] - asker.at.row[2:]),
                    base.eq(block_base),
                    place.eq(block_base + Mux(fresh, asker.at.column, first)),
                ]
        asked, last = Signal(), Signal()
        m.d.comb += [
            self.outside.eq(asking & place[self.address_bits :].any()),
            self.memory.cmd.valid.eq(asking & ~self.outside),
            self.memory.cmd.payload.eq(place),
            asked.eq(self.memory.cmd.valid & self.memory.cmd.ready),
            last.eq((here == last_column) & (group == last_group)),
        ]
        # What an answer is, in the order of the questions.
        tag = data.StructLayout({"cell": cell, "last": 1})
        m.submodules.tags = tags = memory.Memory(
            shape=tag, depth=1 << cell.size, init=[], attrs={"ram_style": "distributed"}
        )
        tag_writer, tag_reader = tags.write_port(), tags.read_port(domain="comb")
        head, tail = Signal(cell.size), Signal(cell.size)
        m.d.comb += [
            tag_writer.en.eq(asked),
            tag_writer.addr.eq(head),
            tag_writer.data.cell.column.eq(here),
            tag_writer.data.cell.group.eq(group),
            tag_writer.data.cell.page.eq(ask_page),
            tag_writer.data.last.eq(last),
            tag_reader.addr.eq(tail),
            writer.en.eq(self.memory.valid),
            writer.addr.eq(tag_reader.data.cell),
            writer.data.eq(self.memory.beat),
            completed.eq((self.memory.valid & tag_reader.data.last) << tag_reader.data.cell.page),
        ]
        with m.If(asked):
            m.d.sync += [head.eq(head + 1), here.eq(here + 1), place.eq(place + 1)]
            with m.If(here == last_column):
                m.d.sync += [here.eq(first), group.eq(group + 1), base.eq(base + 4), place.eq(base + 4 + first)]
            with m.If(last):
                m.d.sync += [asking.eq(0), ask_page.eq(~ask_page)]
        with m.If(self.memory.valid):
            m.d.sync += tail.eq(tail + 1)
        if watched(platform):
            owed, first_lane, last_lane = Signal(len(head) + 1), Signal(2), Signal(2)
            m.d.sync += owed.eq(owed + asked - self.memory.valid)
            with m.If(claim):
                m.d.sync += [first_lane.eq(asker.at.row[:2]), last_lane.eq(end[:2])]
            lanes = Cat(
                ((group != 0) | (first_lane <= lane)) & ((group != last_group) | (last_lane >= lane))
                for lane in range(LANES)
            )
            reads(m, platform, dram(self.address_bits), "EXEC's skip", asked, self.number, place, lanes)
            answered = self.memory.valid
            require(m, platform, self, "memory brings only what was asked for", ~answered | (owed != 0))
            given = complete.bit_select(tag_reader.data.cell.page, 1)
            require(m, platform, self, "a page is filled before it is handed out", ~(answered & given))

        # Give: two words a row.
        give_page, second, index, row = Signal(), Signal(), Signal(range(self.rows + 1)), Signal(ROW_BITS)
        read = Signal(cell)
        word, low = Signal(32), Signal(32, reset_less=True)
        group_here = Signal(ROW_BITS - 2)
        able, tile_done = Signal(), Signal()
        m.d.comb += [
            row.eq(giver.at.row + index),
            group_here.eq(row[2:] - giver.at.row[2:]),
            read.page.eq(give_page),
            read.group.eq(group_here[:group_bits]),
            read.column.eq(giver.at.column | second),
            reader.addr.eq(read),
            word.eq(Array(reader.data.word_select(lane, 32) for lane in range(LANES))[row[:2]]),
            able.eq(giver.at.valid & complete.bit_select(give_page, 1) & (self.o.ready | ~self.o.valid)),
            tile_done.eq(able & second & (index == giver.at.rows - 1)),
            giver.step.eq(tile_done),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(able):
            m.d.sync += second.eq(~second)
            with m.If(second):
                m.d.sync += [self.o.valid.eq(1), index.eq(index + 1)]
                m.d.sync += self.o.payload.eq(Cat(low, word))
            with m.Else():
                m.d.sync += low.eq(word)
        with m.If(tile_done):
            m.d.sync += index.eq(0)
            with m.If(giver.at.slab_end):
                m.d.sync += give_page.eq(~give_page)
                m.d.comb += freed.eq(Mux(give_page, 0b10, 0b01))
        m.d.comb += self.idle.eq(~giver.at.valid & ~self.o.valid & ~self.start)
        return m
