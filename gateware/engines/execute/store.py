"""Stores results: rows of a tile are assembled into beats of four rows, and the beats of a slab leave as one burst."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import LANE_BITS, LANE_BYTES, LANES
from gateware.engines.execute.pages import block_groups, counting_lanes, page_cell_layout
from gateware.engines.execute.tile_iterator import PLACE_BITS, ROW_BITS, position_layout
from gateware.isa import ROW_MAP_BITS
from gateware.memory.port import WritePort

__all__ = ["RowStore", "result_row_layout"]

COLUMNS = 4  # beat columns of a slab


def result_row_layout(rows: int) -> data.StructLayout:
    """Four results of row ``row`` of a tile; ``last``: the tile's last row."""
    return data.StructLayout({"data": data.ArrayLayout(signed(32), 4), "row": range(rows), "last": 1})


class RowStore(wiring.Component):
    """Writes tiles to the places that a ``TileIterator`` gives.

    A row of int8 results is taken a cycle, int16 in two, int32 in four (``columns`` says which). Two pages: while
    one slab's beats of a block leave (one a cycle, with a mask where a row group is not complete), the next is filled.

    With ``scatter``, of int8 results only, each row goes to the matrix row that is its entry in a map. A page is then a
    tile, its cells are the tile's rows, each copied to all four lanes, and a beat a row leaves, masked to its lane.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    address_bits : int
        Bits of a beat address of the memory.

    Members
    -------
    at : In(position_layout(rows)), columns : In(3)
        The tile that ``i`` belongs to, and its beat columns (1, 2 or 4).
    scatter : In(1)
        Of that tile.
    row : Out(13), target : In(ROW_MAP_BITS)
        The matrix row of ``i``, and one cycle later its entry in the map.
    step : Out(1)
        The tile's last row is taken in this cycle.
    i : In(stream of result_row_layout(rows))
    memory : Out(WritePort)
    stored : Out(1)
        The last beat of an operation has just been taken by memory.
    outside : Out(1)
        A beat is not in memory; it is not written.
    idle : Out(1)
    """

    def __init__(self, rows: int, address_bits: int) -> None:
        self.rows, self.address_bits = rows, address_bits
        self.groups = block_groups(rows)
        super().__init__(
            {
                "at": In(position_layout(rows)),
                "columns": In(3),
                "scatter": In(1),
                "row": Out(ROW_BITS),
                "target": In(ROW_MAP_BITS),
                "step": Out(1),
                "i": In(stream.Signature(result_row_layout(rows))),
                "memory": Out(WritePort(address_bits)),
                "stored": Out(1),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = self.at
        cell = page_cell_layout(self.rows)
        lanes = []
        for lane in range(LANES):
            m.submodules[f"lane_{lane}"] = ram = memory.Memory(
                shape=LANE_BITS, depth=1 << cell.size, init=[], attrs={"ram_style": "distributed"}
            )
            lanes.append((ram.write_port(), ram.read_port(domain="comb")))

        # Fill: lane word by lane word.
        page, occupied = Signal(), Signal(2)
        phase = Signal(2)
        place, row, word = Signal(cell), self.row, self._word(m, phase)
        group = Signal(ROW_BITS - 2)
        phase_last, put, row_done = Signal(), Signal(), Signal()
        m.d.comb += [
            row.eq(at.row + self.i.payload.row),
            group.eq(row[2:] - at.row[2:]),
            put.eq(self.i.valid & at.valid & ~occupied.bit_select(page, 1)),
            phase_last.eq(phase == (self.columns - 1)[:2]),
            row_done.eq(put & phase_last),
            self.i.ready.eq(row_done),
            place.page.eq(page),
            place.group.eq(Mux(self.scatter, self.i.payload.row[2:], group[: len(place.group)])),
            place.column.eq(Mux(self.scatter, self.i.payload.row[:2], at.column + phase)),
        ]
        with m.If(put):
            m.d.sync += phase.eq(Mux(phase_last, 0, phase + 1))
        # One cycle between the row and the page: addition and multiplexers before, memory behind.
        put_next, to_all, place_next, word_next, lane_next = Signal(), Signal(), Signal(cell), Signal(32), Signal(2)
        m.d.sync += [
            put_next.eq(put),
            place_next.eq(place),
            word_next.eq(word),
            lane_next.eq(row[:2]),
            to_all.eq(self.scatter),
        ]
        m.submodules.targets = targets = memory.Memory(
            shape=ROW_MAP_BITS, depth=1 << cell.size, init=[], attrs={"ram_style": "distributed"}
        )
        targets_writer, targets_reader = targets.write_port(), targets.read_port(domain="comb")
        m.d.comb += [
            targets_writer.en.eq(put_next),
            targets_writer.addr.eq(place_next),
            targets_writer.data.eq(self.target),
        ]
        for lane, (writer, _) in enumerate(lanes):
            m.d.comb += [
                writer.en.eq(put_next & (to_all | (lane_next == lane))),
                writer.addr.eq(place_next),
                writer.data.eq(word_next),
            ]

        waiting, page_done = self._elaborate_pages(m, row_done, page)
        freed = Signal(2)
        m.d.sync += occupied.eq((occupied | (page_done << page)) & ~freed)
        self._elaborate_burst(m, occupied, freed, waiting, cell, [reader for _, reader in lanes], targets_reader)
        return m

    def _word(self, m: Module, phase: Signal) -> Signal:
        """What of a row goes to a page in that phase: all of it as int8, half of it as int16, or one value as int32."""
        values, word = self.i.payload.data, Signal(32)
        int8 = Cat(value[:8] for value in values)
        halves = Array(Cat(values[2 * p][:16], values[2 * p + 1][:16]) for p in range(2))
        words = Array(value.as_unsigned() for value in values)
        m.d.comb += word.eq(Mux(self.columns[0], int8, Mux(self.columns[1], halves[phase[0]], words[phase])))
        return word

    def _elaborate_pages(self, m: Module, row_done: Value, page: Signal) -> "tuple[Array[data.View], Signal]":
        """What waits for a burst: the place of each page, set when ``page`` is full, which is told in that cycle."""
        at = self.at
        burst = data.StructLayout(
            {
                "slab": PLACE_BITS,
                "row": ROW_BITS,
                "rows": range(self.rows + 1),
                "column": 2,
                "column_end": 2,
                "final": 1,
                "scatter": 1,
            }
        )
        waiting = Array(Signal(burst, name=f"burst_{index}", reset_less=True) for index in range(2))
        first_column, fresh = Signal(2), Signal(init=1)
        tile_done, page_done = Signal(), Signal()
        m.d.comb += [
            tile_done.eq(row_done & self.i.payload.last),
            page_done.eq(tile_done & (at.slab_end | self.scatter)),
            self.step.eq(tile_done),
        ]
        with m.If(tile_done):
            m.d.sync += fresh.eq(page_done)
            with m.If(fresh):
                m.d.sync += first_column.eq(at.column)
        with m.If(page_done):
            m.d.sync += [
                page.eq(~page),
                # Scattered rows are cells 0, 1, ... in the order of groups and columns; the tile's own column is the
                # same for all of them.
                waiting[page].slab.eq(at.slab | Mux(self.scatter, at.column, 0)),
                waiting[page].row.eq(Cat(Mux(self.scatter, 0, at.row[:2]), at.row[2:])),
                waiting[page].rows.eq(at.rows),
                waiting[page].column.eq(Mux(self.scatter, 0, Mux(fresh, at.column, first_column))),
                waiting[page].column_end.eq(Mux(self.scatter, 3, (at.column + self.columns - 1)[:2])),
                waiting[page].final.eq(at.last_tile & at.last_block),
                waiting[page].scatter.eq(self.scatter),
            ]
        return waiting, page_done

    def _elaborate_burst(
        self,
        m: Module,
        occupied: Signal,
        freed: Signal,
        waiting: "Array[data.View]",
        cell: data.StructLayout,
        readers: "list[memory.ReadPort]",
        targets: "memory.ReadPort",
    ) -> None:
        """Beats of the pages in turn, one a cycle: prepare for a cycle, then row groups, beat columns inside."""
        turn, preparing, sending = Signal(), Signal(), Signal()
        now, page = _Burst(self.groups), waiting[turn]
        with m.If(occupied.bit_select(turn, 1) & ~preparing & ~sending):
            m.d.sync += preparing.eq(1)
        with m.If(preparing):
            m.d.sync += [preparing.eq(0), sending.eq(1)]
        now.begin(m, page, preparing)
        out = self.memory.beat
        read = Signal(cell)
        m.d.comb += [read.page.eq(turn), read.group.eq(now.group), read.column.eq(now.column)]
        for reader in readers:
            m.d.comb += reader.addr.eq(read)
        place, outside = Signal(PLACE_BITS), Signal()
        column_group = Cat(now.column, (now.base_group + now.group)[: ROW_BITS - 2])
        m.d.comb += [
            targets.addr.eq(read),
            place.eq(now.slab + Mux(now.scatter, Cat(Const(0, 2), targets.data[2:]), column_group)),
            outside.eq(place[self.address_bits :].any()),
        ]
        mask, block = Signal(LANES), Signal(LANES)
        m.d.comb += block.eq(counting_lanes(now.group, now.last_group, now.first_lane, now.last_lane))
        m.d.comb += mask.eq(Cat(Mux(now.scatter, targets.data[:2] == lane, block[lane]) for lane in range(LANES)))
        last, out_final = Signal(), Signal()
        last_column = Mux(now.scatter, now.last_lane, now.last_column)
        m.d.comb += last.eq((now.group == now.last_group) & (now.column == last_column))
        m.d.comb += self.stored.eq(out.valid & out.ready & out_final)
        with m.If(out.ready | ~out.valid):
            m.d.sync += [
                out.valid.eq(sending & ~outside),
                self.outside.eq(sending & outside),
                out.payload.data.eq(Cat(reader.data for reader in readers)),
                out.payload.mask.eq(Cat(lane.replicate(LANE_BYTES) for lane in mask)),
                out.payload.address.eq(place),
                out_final.eq(now.final & last),
            ]
            with m.If(sending):
                m.d.sync += now.column.eq(now.column + 1)
                with m.If(now.column == now.last_column):
                    m.d.sync += [now.column.eq(now.first_column), now.group.eq(now.group + 1)]
                with m.If(last):
                    m.d.sync += [sending.eq(0), turn.eq(~turn)]
                    m.d.comb += freed.eq(Mux(turn, 0b10, 0b01))
        m.d.comb += self.idle.eq((occupied == 0) & ~out.valid & ~preparing & ~sending)


class _Burst:
    """The page whose beats leave: which of its cells hold some, where they go, and the cell whose turn it is."""

    def __init__(self, groups: int) -> None:
        self.slab = Signal(PLACE_BITS, reset_less=True)
        self.base_group = Signal(ROW_BITS - 2, reset_less=True)
        self.group = Signal(range(groups))
        self.last_group = Signal(range(groups))
        self.column = Signal(2)
        self.first_column = Signal(2)
        self.last_column = Signal(2)
        self.first_lane = Signal(2)
        self.last_lane = Signal(2)
        self.final = Signal()
        self.scatter = Signal()

    def begin(self, m: Module, page: data.View, now: Signal) -> None:
        """Takes up a page in the cycle of ``now``."""
        end = Signal(ROW_BITS)
        m.d.comb += end.eq(page.row + page.rows - 1)
        with m.If(now):
            m.d.sync += [
                self.slab.eq(page.slab),
                self.base_group.eq(page.row[2:]),
                self.group.eq(0),
                self.last_group.eq(end[2:] - page.row[2:]),
                self.column.eq(page.column),
                self.first_column.eq(page.column),
                self.last_column.eq(page.column_end),
                self.first_lane.eq(page.row[:2]),
                self.last_lane.eq(end[:2]),
                self.final.eq(page.final),
                self.scatter.eq(page.scatter),
            ]
