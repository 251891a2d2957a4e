"""The postprocessor: a tile's accumulators to int32, int8 or int16 results, four columns at a time."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.adder import add
from gateware.arith.checks import require_range
from gateware.arith.delay import delay_line
from gateware.isa import PostMode
from gateware.postprocess.feeder import (
    LANES,
    MODE_BITS,
    Feeder,
    Part,
    job_layout,
    record_layout,
    residual_layout,
    set_layout,
)
from gateware.postprocess.lane import TERM_BITS, RescaleLane, sum_layout
from gateware.stream.fifo import StreamFifo

__all__ = ["LANES", "PostProcessor", "job_layout", "record_layout", "residual_layout", "result_layout"]


def result_layout(rows: int) -> data.StructLayout:
    """Four results of row ``row``, sign-extended; ``last``: the tile's last row that counts; ``masked``: of a RESIDUAL,
    that its sum is below all that scores have, -32768 to -16385.
    """
    return data.StructLayout(
        {
            "data": data.ArrayLayout(signed(32), LANES),
            "row": range(rows),
            "last": 1,
            "mode": MODE_BITS,
            "masked": LANES,
        }
    )


def kept_layout(rows: int) -> data.StructLayout:
    """A row of a residual's branch."""
    return data.StructLayout({"valid": 1, "row": range(rows), "values": data.ArrayLayout(signed(16), LANES)})


MASK_BIT = 14  # that, 0 in a negative sum, masks a score


class Pass(data.Struct):
    """What goes beside a row's numbers through the lanes."""

    part: Part
    mode: 2
    clamp_packed: 1
    narrow: 1
    last: 1
    row: 6


class PostProcessor(wiring.Component):
    """Four rescale lanes, one a column.

    RAW is acc + bias, modulo 2^32; Q8 and Q16 are clamp(RNE((acc + bias) * m / 2^e)). RESIDUAL takes the 16-bit result
    as branch: clamp16(RNE(branch * mb / 2^eb) + RNE(skip * ms / 2^es)), three passes through the same lanes: the
    accumulators of all rows, then the skip's rows, then the branch's. The width of a residual's terms is told at
    `RescaleLane`.

    A row a cycle, tiles without a gap between them. A RESIDUAL tile takes ``rows + 2 * job.rows`` cycles, or what its
    last pass has to wait for: row 0 of it ``latency - 1`` cycles after row 0 of the skip. Before RAW rows, the lanes
    run empty: up to ``latency`` cycles after another mode. ``latency`` cycles from a row to its result, 3 for RAW.

    Nothing in the lanes ever stops. A row enters where the output queue has room for what comes of it, so no ready
    depends on that of ``o``.

    Source: I-ViT, Eq. 9 and 10; the residual's two roundings are the authors' code's.

    Parameters
    ----------
    rows : int
        Rows that a tile always has, counting or not.
    acc_width : int
        Bits of an accumulator. With its bias it must fit one bit more (but for RAW); the compiler proves that it does.
    multiplier_bits : int
        Bits of a multiplier's magnitude.

    Members
    -------
    job : In(stream of job_layout(rows))
        One a tile.
    acc : In(stream of 4 x signed(acc_width))
        ``rows`` of them a tile.
    constants : In(stream of record_layout(multiplier_bits))
        Four a tile.
    branch, skip_factor : In(residual_layout(multiplier_bits))
        A residual's factors, sampled with its job.
    skip : In(stream of 4 x signed(16))
        One for each row that counts of a RESIDUAL tile.
    o : Out(stream of result_layout(rows))
    kept : Out(kept_layout(rows))
        A residual's branch, as it is kept for its second pass: for who wants to watch it.

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    def __init__(self, rows: int, acc_width: int, multiplier_bits: int) -> None:
        require_range("PostProcessor", "rows", rows, 2, 64)
        require_range("PostProcessor", "acc_width", acc_width, 18, 32)
        require_range("PostProcessor", "multiplier_bits", multiplier_bits, 1, 31)
        self.rows, self.acc_width, self.multiplier_bits = rows, acc_width, multiplier_bits
        self.lanes = [RescaleLane(acc_width + 1, multiplier_bits) for _ in range(LANES)]
        self.latency = self.lanes[0].latency + 3
        # A place for every row in flight, so that nothing in flight ever waits, and for the news to come back.
        self.queue_depth = 1 << (self.latency + 1).bit_length()
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(rows))),
                "acc": In(stream.Signature(data.ArrayLayout(signed(acc_width), LANES))),
                "constants": In(stream.Signature(record_layout(multiplier_bits))),
                "branch": In(residual_layout(multiplier_bits)),
                "skip_factor": In(residual_layout(multiplier_bits)),
                "skip": In(stream.Signature(data.ArrayLayout(signed(16), LANES))),
                "o": Out(stream.Signature(result_layout(rows))),
                "kept": Out(kept_layout(rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.feeder = feeder = Feeder(self.rows, self.multiplier_bits)
        m.submodules.results = results = StreamFifo(result_layout(self.rows), self.queue_depth)
        connect(m, flipped(self.job), feeder.job)
        connect(m, flipped(self.constants), feeder.constants)
        connect(m, results.o, flipped(self.o))
        m.d.comb += [feeder.branch.eq(self.branch), feeder.skip_factor.eq(self.skip_factor)]
        m.submodules.branches = branches = memory.Memory(
            shape=data.ArrayLayout(signed(16), LANES), depth=self.rows, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.terms = terms = memory.Memory(
            shape=data.ArrayLayout(sum_layout(TERM_BITS + 1), LANES),
            depth=self.rows,
            init=[],
            attrs={"ram_style": "distributed"},
        )
        branch_reader, branch_writer = branches.read_port(domain="comb"), branches.write_port()
        term_reader, term_writer = terms.read_port(domain="comb"), terms.write_port()

        # Which row enters.
        work, working = Signal(set_layout(self.rows, self.multiplier_bits), reset_less=True), Signal()
        row, known = Signal(range(self.rows)), Signal(range(self.rows + 1))
        places = Signal(range(self.queue_depth + 1), init=self.queue_depth)
        go, counts, end_of_part, raw = Signal(), Signal(), Signal(), Signal()
        lanes_busy, able = Signal(), Signal()
        m.d.comb += [
            counts.eq(row <= work.final),
            raw.eq(work.mode == PostMode.RAW),
            go.eq(working & able & (places != 0) & ~(raw & lanes_busy)),
            self.acc.ready.eq(go & (work.part == Part.ACCUMULATORS)),
            self.skip.ready.eq(go & (work.part == Part.SKIP)),
            branch_reader.addr.eq(row),
            feeder.o.ready.eq(~working | (go & end_of_part)),
        ]
        with m.Switch(work.part):
            with m.Case(Part.ACCUMULATORS):
                m.d.comb += [able.eq(self.acc.valid), end_of_part.eq(row == self.rows - 1)]
            with m.Case(Part.SKIP):
                m.d.comb += [able.eq(self.skip.valid), end_of_part.eq(row == work.final)]
            with m.Default():
                m.d.comb += [able.eq(known > row), end_of_part.eq(row == work.final)]
        with m.If(go):
            m.d.sync += row.eq(Mux(end_of_part, 0, row + 1))
        with m.If(feeder.o.ready):
            m.d.sync += [work.eq(feeder.o.payload), working.eq(feeder.o.valid)]

        # First stage: the bias. Then beside the lanes.
        entered, valid = Signal(Pass, reset_less=True), Signal()
        m.d.sync += [
            valid.eq(go & counts),
            entered.part.eq(work.part),
            entered.mode.eq(work.mode),
            entered.clamp_packed.eq(work.clamp_packed),
            entered.narrow.eq(work.narrow),
            entered.last.eq(row == work.final),
            entered.row.eq(row),
        ]
        values: list[Signal] = []
        for column, lane in enumerate(self.lanes):
            m.submodules[f"lane_{column}"] = lane
            number, value = Signal(signed(self.acc_width)), Signal(signed(32), name=f"value_{column}", reset_less=True)
            with m.Switch(work.part):
                with m.Case(Part.ACCUMULATORS):
                    m.d.comb += number.eq(self.acc.payload[column])
                with m.Case(Part.SKIP):
                    m.d.comb += number.eq(self.skip.payload[column])
                with m.Default():
                    m.d.comb += number.eq(branch_reader.data[column])
            factor = Signal.like(work.factor[column], name=f"factor_{column}", reset_less=True)
            m.d.sync += [value.eq(add(work.bias[column], number)), factor.eq(work.factor[column])]
            m.d.comb += [lane.value.eq(value), lane.factor.eq(factor)]
            values.append(value)

        latency = self.lanes[0].latency
        occupied = delay_line(m, valid & (entered.mode != PostMode.RAW), latency, "passing", reset=True)
        flows = delay_line(m, entered, latency, "flow")
        passing, flow = occupied[-1], flows[-1]
        before_addend = flows[self.lanes[0].addend_latency - 1]
        m.d.comb += term_reader.addr.eq(before_addend.row)
        for column, lane in enumerate(self.lanes):
            addend = Signal(sum_layout(TERM_BITS + 1), name=f"addend_{column}", reset_less=True)
            m.d.sync += addend.eq(Mux(before_addend.part == Part.BRANCH, term_reader.data[column].as_value(), 0))
            m.d.comb += lane.addend.eq(addend)

        # Behind them: results, or what a later pass needs.
        branch, term, straight = Signal(), Signal(), Signal()
        result = results.i.payload
        m.d.comb += [
            lanes_busy.eq(Cat(*occupied).any()),
            straight.eq(valid & (entered.mode == PostMode.RAW)),
            branch.eq(passing & (flow.part == Part.ACCUMULATORS) & (flow.mode == PostMode.RESIDUAL)),
            term.eq(passing & (flow.part == Part.SKIP)),
            branch_writer.en.eq(branch),
            self.kept["valid"].eq(branch),
            self.kept["row"].eq(flow.row),
            branch_writer.addr.eq(flow.row),
            term_writer.en.eq(term),
            term_writer.addr.eq(flow.row),
            results.i.valid.eq(straight | (passing & ~branch & ~term)),
            result.row.eq(Mux(straight, entered.row, flow.row)),
            result["last"].eq(Mux(straight, entered.last, flow.last)),
            result["mode"].eq(Mux(straight, PostMode.RAW, flow.mode)),
        ]
        for column, lane in enumerate(self.lanes):
            m.d.comb += [
                lane.narrow.eq(flow.narrow),
                result.masked[column].eq(lane.sum["value"][-1] & ~lane.sum["value"][MASK_BIT]),
                lane.packed.eq(flow.clamp_packed),
                branch_writer.data[column].eq(lane.q),
                self.kept["values"][column].eq(lane.q),
                term_writer.data[column]["value"].eq(lane.sum["value"]),
                term_writer.data[column]["over"].eq(lane.sum["over"]),
                term_writer.data[column]["negative"].eq(lane.sum["negative"]),
                result.data[column].eq(Mux(straight, values[column], lane.q)),
            ]
        # A row's term is later than its branch, so that both are there when its term is.
        with m.If(term):
            m.d.sync += known.eq(known + 1)
        with m.If(go & end_of_part & (work.part == Part.BRANCH)):
            m.d.sync += known.eq(0)

        takes, gives = Signal(), Signal()
        m.d.comb += [
            takes.eq(go & counts & ((work.mode != PostMode.RESIDUAL) | (work.part == Part.BRANCH))),
            gives.eq(self.o.valid & self.o.ready),
        ]
        with m.If(takes & ~gives):
            m.d.sync += places.eq(places - 1)
        with m.If(gives & ~takes):
            m.d.sync += places.eq(places + 1)
        return m
