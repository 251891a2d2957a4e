"""What the lanes work with next: jobs, constants and residual factors, fetched one set ahead of their use."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.dyadic import channel_layout, dyadic_layout
from gateware.config import LANES
from gateware.isa import PostMode
from gateware.postprocess.layouts import Part, lane_set_layout, tile_job_layout

__all__ = ["Feeder"]


class Feeder(wiring.Component):
    """Makes sets of a job: one of four records; of a RESIDUAL, the factor of the skip operand and that of the branch
    follow.

    A set of records is complete five cycles after the set before it was taken, a factor's two cycles after: that it was
    taken comes late in a cycle. Where a tile has no more than four rows it is a cycle less.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    multiplier_bits : int
        Bits of a multiplier's magnitude.

    Members
    -------
    job : In(stream of tile_job_layout(rows))
    constants : In(stream of channel_layout(multiplier_bits))
    branch, skip_factor : In(dyadic_layout(multiplier_bits))
        Sampled with the job.
    o : Out(stream of lane_set_layout(rows, multiplier_bits))

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    def __init__(self, rows: int, multiplier_bits: int) -> None:
        require_range("Feeder", "rows", rows, 2, 64)
        require_range("Feeder", "multiplier_bits", multiplier_bits, 1, 31)
        self.rows, self.multiplier_bits = rows, multiplier_bits
        super().__init__(
            {
                "job": In(stream.Signature(tile_job_layout(rows))),
                "constants": In(stream.Signature(channel_layout(multiplier_bits))),
                "branch": In(dyadic_layout(multiplier_bits)),
                "skip_factor": In(dyadic_layout(multiplier_bits)),
                "o": Out(stream.Signature(lane_set_layout(rows, multiplier_bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job, working = Signal(tile_job_layout(self.rows), reset_less=True), Signal()
        branch = Signal(dyadic_layout(self.multiplier_bits), reset_less=True)
        skip_factor = Signal(dyadic_layout(self.multiplier_bits), reset_less=True)
        part, column = Signal(Part), Signal(range(LANES))
        records, room, write = Signal(), Signal(), Signal()
        last_of_set, last_of_job = Signal(), Signal()
        residual = Signal()
        m.d.comb += [
            residual.eq(job["mode"] == PostMode.RESIDUAL),
            records.eq(part == Part.ACCUMULATORS),
            room.eq(~self.o.valid | (self.o.ready if self.rows <= LANES else 0)),
            write.eq(working & room & (~records | self.constants.valid)),
            last_of_set.eq(~records | (column == LANES - 1)),
            last_of_job.eq(last_of_set & (~residual | (part == Part.BRANCH))),
            self.constants.ready.eq(working & room & records),
            self.job.ready.eq(~working | (write & last_of_job)),
        ]

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(write):
            m.d.sync += column.eq(column + 1)
            with m.If(last_of_set):
                m.d.sync += [
                    column.eq(0),
                    self.o.valid.eq(1),
                    self.o.payload.part.eq(part),
                    self.o.payload["mode"].eq(job["mode"]),
                    self.o.payload.clamp_packed.eq(job["clamp_packed"]),
                    self.o.payload.narrow.eq(job["int8"] | (job["mode"] == PostMode.Q8)),
                    self.o.payload.final.eq(job["rows"] - 1),
                    part.eq(Mux(records, Part.SKIP, Part.BRANCH)),
                ]
            with m.If(last_of_job):
                m.d.sync += [part.eq(Part.ACCUMULATORS), working.eq(0)]
        with m.If(self.job.valid & self.job.ready):
            m.d.sync += [
                working.eq(1),
                job.eq(self.job.payload),
                branch.eq(self.branch),
                skip_factor.eq(self.skip_factor),
            ]

        chosen = self._elaborate_choice(m, part, branch, skip_factor)
        negative = chosen["multiplier"][-1]
        for lane in range(LANES):
            bias, factor = self.o.payload.bias[lane], self.o.payload.factor[lane]
            with m.If(write & (~records | (column == lane))):
                m.d.sync += [
                    bias.eq(Mux(records, self.constants.payload["bias"], 0)),
                    factor.magnitude.eq(Mux(negative, -chosen["multiplier"], chosen["multiplier"])),
                    factor.negative.eq(negative),
                    factor.shift.eq(chosen["shift"]),
                ]
        return m

    def _elaborate_choice(self, m: Module, part: Signal, branch: data.View, skip_factor: data.View) -> data.View:
        """One way in for all factors, so that there is one conversion to sign and magnitude."""
        chosen = Signal(dyadic_layout(self.multiplier_bits))
        with m.Switch(part):
            with m.Case(Part.ACCUMULATORS):
                record = self.constants.payload
                m.d.comb += [chosen["multiplier"].eq(record["multiplier"]), chosen["shift"].eq(record["shift"])]
            with m.Case(Part.SKIP):
                m.d.comb += chosen.eq(skip_factor)
            with m.Default():
                m.d.comb += chosen.eq(branch)
        return chosen
