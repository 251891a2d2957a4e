"""The largest value of every matrix row, kept while a matrix drains: what ShiftGELU must know of a hidden row."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delayed
from gateware.config import LANES
from gateware.contracts import NUMBER_BITS, Shared, reads, watched, writes
from gateware.engines.execute.maxima_monitor import watch_maxima

__all__ = ["RowMaxima", "update_layout"]


def _greater(a: Value, b: Value) -> Value:
    return Mux(a > b, a, b)


def update_layout(max_rows: int) -> data.StructLayout:
    """Four values of a row; ``fresh``: forget the row's earlier values."""
    values = data.ArrayLayout(signed(8), LANES)
    return data.StructLayout({"valid": 1, "fresh": 1, "row": range(max_rows), "values": values})


class RowMaxima(wiring.Component):
    """One int8 a row. Four values of a row come a cycle, of any row: the same one may come again in the next cycle.

    An update is in the memory 3 cycles after it came. One that follows sooner on the same row takes the value of the
    one before on its way to the memory. A look-up waits for the updates that are on their way when it is taken.

    Parameters
    ----------
    max_rows : int
        Rows that are remembered; a multiple of 4.

    Members
    -------
    update : In(update_layout(max_rows))
    group : In(stream)
        A row group (four rows) whose maxima are wanted: with every update up to the cycle of the transfer. A later
        update of these rows may count or not, until ``o`` is valid.
    o : Out(stream of 4 x signed(8))
        They, 6 to 8 cycles later. The next group is taken after them.

    Attributes
    ----------
    number, group_number : Signal
        Where contracts are watched: the operations of ``update`` and of ``group``.
    """

    def __init__(self, max_rows: int) -> None:
        require_range("RowMaxima", "max_rows", max_rows, LANES)
        self.max_rows = max_rows
        self.number, self.group_number = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        self.row_bits = (max_rows - 1).bit_length()
        super().__init__(
            {
                "update": In(update_layout(max_rows)),
                "group": In(stream.Signature(self.row_bits - 2)),
                "o": Out(stream.Signature(data.ArrayLayout(signed(8), LANES))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(shape=signed(8), depth=self.max_rows, init=[])
        writer = ram.write_port()
        before, reader = ram.read_port(), ram.read_port()
        valid = self._elaborate_update(m, writer, before)
        reading = self._elaborate_look_up(m, reader, valid)
        watch_maxima(m, platform, self)
        if watched(platform):
            shared, looking = Shared("row maxima", self.max_rows), Signal(NUMBER_BITS)
            with m.If(self.group.valid & self.group.ready):
                m.d.sync += looking.eq(self.group_number)
            number = delayed(m, self.number, len(valid), "number")
            reads(m, platform, shared, "LOADT", reading, looking, reader.addr)
            writes(m, platform, shared, "EXEC", writer.en, number, writer.addr)
        return m

    def _elaborate_update(self, m: Module, writer: "memory.WritePort", before: "memory.ReadPort") -> list[Signal]:
        """Read the row and halve the values; then the greatest of the values; then compare, and write.

        Whether an update is in each of the two stages.
        """
        valid = [Signal(name=f"valid_{stage}") for stage in range(2)]
        row = [Signal(self.row_bits, name=f"row_{stage}", reset_less=True) for stage in range(2)]
        fresh = Signal(reset_less=True)
        low, high = Signal(signed(8), reset_less=True), Signal(signed(8), reset_less=True)
        values, top = self.update["values"], Signal(signed(8), reset_less=True)
        m.d.comb += before.addr.eq(self.update.row)
        m.d.sync += [
            valid[0].eq(self.update.valid),
            row[0].eq(self.update.row),
            fresh.eq(self.update.fresh),
            low.eq(_greater(values[0], values[1])),
            high.eq(_greater(values[2], values[3])),
            valid[1].eq(valid[0]),
            row[1].eq(row[0]),
        ]
        four, known = Signal(signed(8), reset_less=True), Signal(signed(8), reset_less=True)
        fresh_next = Signal(reset_less=True)
        # The update just before this one is compared while this one's row is read; the one before that is written in
        # the cycle in which it is read. Neither is in what the memory gives.
        one_before, two_before = Signal(reset_less=True), Signal(reset_less=True)
        last_top = Signal(signed(8), reset_less=True)
        m.d.sync += [
            one_before.eq(valid[0] & (row[0] == self.update.row)),
            two_before.eq(valid[1] & (row[1] == self.update.row)),
            last_top.eq(top),
            four.eq(_greater(low, high)),
            known.eq(Mux(one_before, top, Mux(two_before, last_top, before.data))),
            fresh_next.eq(fresh),
        ]
        m.d.comb += [
            top.eq(Mux(fresh_next, four, _greater(four, known))),
            writer.en.eq(valid[1]),
            writer.addr.eq(row[1]),
            writer.data.eq(top),
        ]
        return valid

    def _elaborate_look_up(self, m: Module, reader: "memory.ReadPort", valid: list[Signal]) -> Signal:
        """Four reads, one after the other, and whether there is one in this cycle.

        An update of the cycle of the transfer is written two cycles later, and one of the cycle before in the next
        cycle; the first read comes after that.
        """
        index, collecting = Signal(range(LANES)), Signal()
        lane, arriving = Signal(range(LANES), reset_less=True), Signal()
        held, settling = Signal(self.row_bits - 2, reset_less=True), Signal(2, reset_less=True)
        m.d.comb += [
            self.group.ready.eq(~collecting & ~self.o.valid & ~arriving),
            reader.addr.eq(Cat(index, held)),
        ]
        m.d.sync += settling.eq(settling >> 1)
        with m.If(self.group.valid & self.group.ready):
            m.d.sync += [held.eq(self.group.payload), collecting.eq(1)]
            m.d.sync += settling.eq(Cat(valid[0] | self.update.valid, self.update.valid))
        reading = Signal()
        m.d.comb += reading.eq(collecting & ~settling[0])
        m.d.sync += [arriving.eq(reading), lane.eq(index)]
        with m.If(reading):
            m.d.sync += index.eq(index + 1)
            with m.If(index == LANES - 1):
                m.d.sync += collecting.eq(0)
        with m.If(arriving):
            m.d.sync += self.o.payload[lane].eq(reader.data)
            with m.If(lane == LANES - 1):
                m.d.sync += self.o.valid.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return reading
