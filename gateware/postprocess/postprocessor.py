"""The postprocessor: a tile's accumulators to int32, int8 or int16 results, four columns at a time."""

from amaranth.hdl import Module, Mux, Shape, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.arith.round_shift import SHIFT_BITS
from gateware.isa import PostMode
from gateware.memory.register import StreamRegister
from gateware.postprocess.lane import RescaleLane

__all__ = ["LANES", "PostProcessor", "job_layout", "record_layout", "result_layout"]

LANES = 4
MODE_BITS = 2
TERM_BITS = 20  # of a residual's rescaled branches: the compiler keeps their factors below 8


def record_layout(multiplier_bits: int) -> data.StructLayout:
    """A channel's constants: bias, and the dyadic m / 2^e with |m| below 2^multiplier_bits."""
    return data.StructLayout({"bias": signed(32), **dict(factor_layout(multiplier_bits).members)})


def factor_layout(multiplier_bits: int) -> data.StructLayout:
    """A dyadic factor m / 2^e."""
    return data.StructLayout({"multiplier": Shape(multiplier_bits + 1, signed=True), "shift": SHIFT_BITS})


def job_layout(rows: int) -> data.StructLayout:
    """What to make of a tile. ``const_rows``: constants run along the rows; ``clamp_packed``: int8 stops at -127;
    ``rows``: how many of its rows count.
    """
    return data.StructLayout({"mode": MODE_BITS, "const_rows": 1, "clamp_packed": 1, "rows": range(rows + 1)})


def result_layout(rows: int) -> data.StructLayout:
    """Four results of row ``row``, sign-extended; ``last``: the tile's last row that counts."""
    return data.StructLayout(
        {"data": data.ArrayLayout(signed(32), LANES), "row": range(rows), "last": 1, "mode": MODE_BITS}
    )


class Pass(data.Struct):
    """What goes through the lanes beside the numbers."""

    valid: 1
    mode: 2
    store_x: 1  # a residual's branch, kept as int16
    store_skip: 1  # its skip, kept
    add_skip: 1  # its branch again: the kept skip is added
    clamp_packed: 1
    last: 1


class PostProcessor(wiring.Component):
    """Four rescale lanes, one a column.

    RAW is acc + bias; Q8 and Q16 are clamp(RNE((acc + bias) * m / 2^e)). RESIDUAL takes the 16-bit result as branch:
    clamp16(RNE(branch * mb / 2^eb) + RNE(skip * ms / 2^es)), three passes through the same lanes: first the
    accumulators of all rows, then the skip's rows, then the branch's.

    A row a cycle, tiles without a gap between them; a RESIDUAL tile takes ``2 * job.rows + rows`` cycles, or more where
    it has fewer rows than the pipeline is long. `latency` cycles from a row to its result.

    Source: I-ViT, Eq. 9 and 10; the residual's two roundings are the authors' code's.

    Parameters
    ----------
    rows : int
        Rows that a tile always has, counting or not.
    acc_width : int
        Bits of an accumulator. With its bias it must fit one bit more; the compiler proves that it does.
    multiplier_bits : int
        Bits of a multiplier's magnitude.

    Members
    -------
    job : In(stream of job_layout(rows))
        One a tile.
    acc : In(stream of 4 x signed(acc_width))
        ``rows`` of them a tile.
    constants : In(stream of record_layout(multiplier_bits))
        Four a tile, or with ``const_rows`` one for each row that counts.
    branch, skip_factor : In(factor_layout(multiplier_bits))
        A residual's factors; they hold while its tiles are under way.
    skip : In(stream of 4 x signed(16))
        One for each row that counts of a RESIDUAL tile.
    o : Out(stream of result_layout(rows))

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
        self.value_width = acc_width + 1
        self.lanes = [RescaleLane(self.value_width, multiplier_bits, TERM_BITS) for _ in range(LANES)]
        self.latency = self.lanes[0].latency + 5
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(rows))),
                "acc": In(stream.Signature(data.ArrayLayout(signed(acc_width), LANES))),
                "constants": In(stream.Signature(record_layout(multiplier_bits))),
                "branch": In(factor_layout(multiplier_bits)),
                "skip_factor": In(factor_layout(multiplier_bits)),
                "skip": In(stream.Signature(data.ArrayLayout(signed(16), LANES))),
                "o": Out(stream.Signature(result_layout(rows))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.out = out = StreamRegister(result_layout(self.rows))
        connect(m, out.o, flipped(self.o))
        for column, lane in enumerate(self.lanes):
            m.submodules[f"lane_{column}"] = lane
        m.submodules.branches = branches = memory.Memory(
            shape=data.ArrayLayout(signed(16), LANES), depth=self.rows, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.skips = skips = memory.Memory(
            shape=data.ArrayLayout(signed(TERM_BITS), LANES),
            depth=self.rows,
            init=[],
            attrs={"ram_style": "distributed"},
        )
        en, flow, row_out = Signal(), Signal(Pass), Signal(range(self.rows))
        entered, entered_row, branches_known = self._elaborate_passes(m, en, branches.read_port(domain="comb"))

        # Beside the lanes.
        stages = self.lanes[0].latency
        flow, row_out = entered, entered_row
        for stage in range(stages):
            next_flow = Signal(Pass, name=f"flow_{stage}")
            next_row = Signal(range(self.rows), name=f"row_{stage}", reset_less=True)
            with m.If(en):
                m.d.sync += [next_flow.eq(flow), next_row.eq(row_out)]
            flow, row_out = next_flow, next_row

        # Behind the lanes: add the skip, then clamp.
        skip_reader, skip_writer = skips.read_port(domain="comb"), skips.write_port()
        branch_writer = branches.write_port()
        m.d.comb += [
            skip_reader.addr.eq(row_out),
            skip_writer.addr.eq(row_out),
            skip_writer.en.eq(en & flow.valid & flow.store_skip),
        ]
        summed, summed_row = Signal(Pass), Signal(range(self.rows), reset_less=True)
        clamped, clamped_row = Signal(Pass), Signal(range(self.rows), reset_less=True)
        with m.If(en):
            m.d.sync += [
                summed.eq(flow),
                summed.valid.eq(flow.valid & ~flow.store_skip),
                summed_row.eq(row_out),
                clamped.eq(summed),
                clamped_row.eq(summed_row),
            ]
        result = out.i.payload
        for column, lane in enumerate(self.lanes):
            total = Signal(signed(TERM_BITS + 1), name=f"total_{column}", reset_less=True)
            raw = Signal(signed(self.value_width), name=f"raw_{column}", reset_less=True)
            value = Signal(signed(self.value_width), name=f"value_{column}", reset_less=True)
            narrow = summed.mode == PostMode.Q8
            small, wide = total[7:], total[15:]
            outside = Mux(narrow, small.any() & ~small.all(), wide.any() & ~wide.all())
            least = Mux(narrow, -128, -32768)
            most = Mux(narrow, 127, 32767)
            low_end = narrow & summed.clamp_packed & (total[:8] == 0x80) & total[-1]
            m.d.comb += [
                skip_writer.data[column].eq(lane.q),
                branch_writer.data[column].eq(value[:16]),
                result.data[column].eq(value),
            ]
            with m.If(en):
                m.d.sync += [
                    total.eq(lane.q + Mux(flow.add_skip, skip_reader.data[column], 0)),
                    raw.eq(lane.product),
                    value.eq(Mux(outside, Mux(total[-1], least, most), total)),
                ]
                with m.If(summed.mode == PostMode.RAW):
                    m.d.sync += value.eq(raw)
                with m.If(narrow & summed.clamp_packed & total[-1] & (outside | low_end)):
                    m.d.sync += value.eq(-127)
        m.d.comb += [
            branch_writer.addr.eq(clamped_row),
            branch_writer.en.eq(en & clamped.valid & clamped.store_x),
            out.i.valid.eq(clamped.valid & ~clamped.store_x),
            result.row.eq(clamped_row),
            result.last.eq(clamped.last),
            result.mode.eq(clamped.mode),
            en.eq(out.i.ready | ~out.i.valid),
        ]
        with m.If(branch_writer.en):
            m.d.sync += branches_known.eq(branches_known + 1)
        return m

    def _elaborate_passes(self, m: Module, en: Signal, branch_reader: memory.ReadPort) -> tuple[Signal, Signal, Signal]:
        """What enters the lanes, two cycles on: the pass, its row; and a count of kept branches to be advanced."""
        rows_known = Signal(range(self.rows + 1))
        job, running = Signal(job_layout(self.rows)), Signal()
        loading: list[Signal] = [Signal(record_layout(self.multiplier_bits), name=f"next_{c}") for c in range(LANES)]
        present: list[Signal] = [Signal(record_layout(self.multiplier_bits), name=f"record_{c}") for c in range(LANES)]
        loaded = Signal(range(LANES + 1))
        phase, row = Signal(2), Signal(range(self.rows))
        residual, last_row, counts, able, ends = Signal(), Signal(), Signal(), Signal(), Signal()
        needs_record = Signal()
        m.d.comb += [
            residual.eq(job.mode == PostMode.RESIDUAL),
            counts.eq(row < job["rows"]),
            needs_record.eq(job.const_rows & counts),
            last_row.eq(Mux(phase == 0, row == self.rows - 1, row == job["rows"] - 1)),
        ]
        with m.Switch(phase):
            with m.Case(0):
                m.d.comb += able.eq(running & self.acc.valid & (~needs_record | self.constants.valid))
            with m.Case(1):
                m.d.comb += able.eq(running & self.skip.valid)
            with m.Default():
                m.d.comb += able.eq(running & (rows_known > row))
        go = Signal()
        m.d.comb += [
            go.eq(able & en),
            ends.eq(go & last_row & (~residual | (phase == 2))),
            self.acc.ready.eq(go & (phase == 0)),
            self.skip.ready.eq(go & (phase == 1)),
            branch_reader.addr.eq(row),
        ]
        with m.If(go):
            m.d.sync += row.eq(row + 1)
            with m.If(last_row):
                m.d.sync += [row.eq(0), phase.eq(phase + 1)]
        with m.If(ends):
            m.d.sync += [running.eq(0), phase.eq(0), rows_known.eq(0)]

        # The next tile's constants, while this one's are in use.
        m.d.comb += self.job.ready.eq((~running | ends) & (self.job.payload.const_rows | (loaded == LANES)))
        by_row = running & job.const_rows
        # Whose the records are is known only once the next job is.
        for_columns = self.job.valid & ~self.job.payload.const_rows & (loaded != LANES)
        m.d.comb += self.constants.ready.eq(Mux(by_row, go & (phase == 0) & counts, for_columns))
        with m.If(~by_row & self.constants.valid & self.constants.ready):
            m.d.sync += loaded.eq(loaded + 1)
            for column in range(LANES):
                with m.If(loaded == column):
                    m.d.sync += loading[column].eq(self.constants.payload)
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [job.eq(self.job.payload), running.eq(1)]
            with m.If(~self.job.payload.const_rows):
                m.d.sync += loaded.eq(0)
                m.d.sync += [present[column].eq(loading[column]) for column in range(LANES)]

        # First stage: the numbers and their factors. Second: the bias.
        first, second = Signal(Pass), Signal(Pass)
        first_row = Signal(range(self.rows), reset_less=True)
        second_row = Signal(range(self.rows), reset_less=True)
        first_phase = Signal(2)
        with m.If(en):
            m.d.sync += [
                first.valid.eq(go & counts),
                first.mode.eq(job.mode),
                first.store_x.eq(residual & (phase == 0)),
                first.store_skip.eq(residual & (phase == 1)),
                first.add_skip.eq(residual & (phase == 2)),
                first.clamp_packed.eq(job.clamp_packed),
                first.last.eq(row == job["rows"] - 1),
                first_row.eq(row),
                first_phase.eq(phase),
                second.eq(first),
                second_row.eq(first_row),
            ]
        for column, lane in enumerate(self.lanes):
            number = Signal(signed(self.acc_width), name=f"number_{column}", reset_less=True)
            record = Signal(record_layout(self.multiplier_bits), name=f"used_{column}", reset_less=True)
            value = Signal(signed(self.value_width), name=f"value_in_{column}", reset_less=True)
            factor = Signal(factor_layout(self.multiplier_bits), name=f"factor_{column}", reset_less=True)
            with m.If(en):
                with m.Switch(phase):
                    with m.Case(0):
                        m.d.sync += number.eq(self.acc.payload[column])
                    with m.Case(1):
                        m.d.sync += number.eq(self.skip.payload[column])
                    with m.Default():
                        m.d.sync += number.eq(branch_reader.data[column])
                m.d.sync += record.eq(
                    Mux(job.const_rows, self.constants.payload.as_value(), present[column].as_value())
                )
                m.d.sync += value.eq(number + Mux(first_phase == 0, record.bias, 0))
                with m.If(first_phase == 1):
                    m.d.sync += factor.eq(self.skip_factor)
                with m.Elif(first_phase == 2):
                    m.d.sync += factor.eq(self.branch)
                with m.Elif(first.mode == PostMode.RAW):
                    m.d.sync += [factor.multiplier.eq(1), factor.shift.eq(0)]
                with m.Else():
                    m.d.sync += [factor.multiplier.eq(record.multiplier), factor.shift.eq(record.shift)]
            m.d.comb += [
                lane.en.eq(en),
                lane.value.eq(value),
                lane.factor.eq(factor.multiplier),
                lane.shift.eq(factor.shift),
            ]
        return second, second_row, rows_known
