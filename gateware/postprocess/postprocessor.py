"""The postprocessor: a tile's accumulators to int32, int8 or int16 results, four columns at a time."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.arith.dyadic import channel_layout, dyadic_layout
from gateware.config import LANES
from gateware.postprocess.admission import Admission
from gateware.postprocess.feeder import Feeder
from gateware.postprocess.kept_rows import watch_rows
from gateware.postprocess.lanes import RescaleLanes
from gateware.postprocess.layouts import Part, branch_layout, rescaled_row_layout, shorts_layout, tile_job_layout
from gateware.postprocess.write_back import WriteBack

__all__ = ["PostProcessor"]


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
    job : In(stream of tile_job_layout(rows))
        One a tile.
    acc : In(stream of 4 x signed(acc_width))
        ``rows`` of them a tile.
    constants : In(stream of channel_layout(multiplier_bits))
        Four a tile.
    branch, skip_factor : In(dyadic_layout(multiplier_bits))
        A residual's factors, sampled with its job.
    skip : In(stream of 4 x signed(16))
        One for each row that counts of a RESIDUAL tile.
    o : Out(stream of rescaled_row_layout(rows))
    kept : Out(branch_layout(rows))
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
        self.lanes = RescaleLanes(rows, acc_width, multiplier_bits)
        self.latency = self.lanes.latency + 3
        # Places for all rows in flight, so that none of them ever waits, and for those that have left unnoticed yet.
        self.queue_depth = 1 << (self.latency + 1).bit_length()
        super().__init__(
            {
                "job": In(stream.Signature(tile_job_layout(rows))),
                "acc": In(stream.Signature(data.ArrayLayout(signed(acc_width), LANES))),
                "constants": In(stream.Signature(channel_layout(multiplier_bits))),
                "branch": In(dyadic_layout(multiplier_bits)),
                "skip_factor": In(dyadic_layout(multiplier_bits)),
                "skip": In(stream.Signature(shorts_layout())),
                "o": Out(stream.Signature(rescaled_row_layout(rows))),
                "kept": Out(branch_layout(rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.feeder = feeder = Feeder(self.rows, self.multiplier_bits)
        m.submodules.admission = admission = Admission(
            self.rows, self.acc_width, self.multiplier_bits, self.queue_depth
        )
        m.submodules.lanes = lanes = self.lanes
        m.submodules.write_back = write_back = WriteBack(self.rows, lanes, self.queue_depth)
        connect(m, flipped(self.job), feeder.job)
        connect(m, flipped(self.constants), feeder.constants)
        connect(m, feeder.o, admission.sets)
        connect(m, flipped(self.acc), admission.acc)
        connect(m, flipped(self.skip), admission.skip)
        connect(m, write_back.o, flipped(self.o))
        m.d.comb += [
            feeder.branch.eq(self.branch),
            feeder.skip_factor.eq(self.skip_factor),
            lanes.i.eq(admission.o),
            write_back.biased.eq(lanes.biased),
            write_back.rescaled.eq(lanes.rescaled),
            write_back.branch_row.eq(admission.branch_row),
            admission.branch.eq(write_back.branch),
            write_back.term_row.eq(lanes.term_row),
            lanes.terms.eq(write_back.terms),
            admission.lanes_busy.eq(lanes.busy),
            admission.term_kept.eq(write_back.term_kept),
            admission.left.eq(self.o.valid & self.o.ready),
            self.kept.eq(write_back.kept),
        ]
        first, last = admission.o["beside"], write_back.rescaled["beside"]
        branch_used = admission.o["valid"] & (first.part == Part.BRANCH)
        for name, written, used in (
            ("branch", (write_back.kept["valid"], last.row), (branch_used, first.row)),
            ("term", (write_back.term_kept, last.row), (lanes.term_used, lanes.term_row)),
        ):
            watch_rows(m, platform, self, name, self.rows, written, used)
        return m
