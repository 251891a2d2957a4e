"""How an operation passes from the front of EXEC to its back."""

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import NUMBER_BITS, watched
from gateware.control.sequencer import register_layout, run_layout
from gateware.engines.execute.completion import operation_layout
from gateware.engines.execute.tile_iterator import iteration_layout
from gateware.isa import Engine, PostMode

__all__ = ["HandOver", "back_registers"]

FRONT = ("a_base", "a_block_stride", "b_base", "b_tile_stride", "steps")
"""Registers that only the front, the step issuer, needs."""

BEAT_COLUMNS = {PostMode.RAW: 4, PostMode.Q8: 1, PostMode.Q16: 2, PostMode.RESIDUAL: 2}
"""Beat columns of a tile's results."""


def back_registers() -> data.StructLayout:
    """The registers of EXEC that the drain needs."""
    return data.StructLayout(
        {name: shape for name, shape in register_layout(Engine.EXEC).members.items() if name not in FRONT}
    )


class HandOver(wiring.Component):
    """Holds the operation that drains, and the next one, which the step issuer has begun already.

    An operation that has been taken begins in the second cycle after that at the earliest: once the one before has
    ended and `may_begin` is high.

    Members
    -------
    registers, run : In
        The operation, taken with ``take`` : In(1); ``ready`` : Out(1): it may be.
    may_begin : In(1)
        Every part of the drain can begin another operation.
    announced : Out(stream of completion.operation_layout())
        The next operation, in the cycle before it begins.
    begin : Out(1)
        The first cycle of ``operation``.
    operation : Out(back_registers())
        The operation that drains, from ``begin`` until the next ``begin``.
    results, skip : Out(iteration_layout())
        Where its tiles lie in the matrix of the results, and in that of the skip operand.
    ended : In(1)
        Its last row has left the postprocessor.
    active : Out(1)
        There is an operation that has begun, and has not ended.
    idle : Out(1)
        There is no operation, nor a next one.

    Attributes
    ----------
    number, running : Signal
        Where contracts are watched: the operation at ``run``, and that of ``operation``.
    """

    def __init__(self) -> None:
        self.number, self.running = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        super().__init__(
            {
                "registers": In(register_layout(Engine.EXEC)),
                "run": In(run_layout(Engine.EXEC)),
                "take": In(1),
                "ready": Out(1),
                "may_begin": In(1),
                "announced": Out(stream.Signature(operation_layout())),
                "begin": Out(1),
                "operation": Out(back_registers()),
                "results": Out(iteration_layout()),
                "skip": Out(iteration_layout()),
                "ended": In(1),
                "active": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        following, operation = (Signal(back_registers(), name=n, reset_less=True) for n in ("following", "running"))
        gives, waiting, begins = Signal(data.ArrayLayout(4, 2)), Signal(), Signal()
        m.d.comb += [
            self.ready.eq(~waiting),
            self.operation.eq(operation),
            self.announced.valid.eq(waiting & ~self.active & self.may_begin),
            self.announced.payload.written.eq(gives),
            self.announced.payload.to_scores.eq(following.post.to_scores),
            begins.eq(self.announced.valid & self.announced.ready),
            self.idle.eq(~waiting & ~self.active),
        ]
        with m.If(self.take):
            m.d.sync += [waiting.eq(1), gives.eq(Cat(self.run.written, self.run.written2))]
            m.d.sync += [following[name].eq(self.registers[name]) for name in back_registers().members]
        m.d.sync += self.begin.eq(begins)
        with m.If(self.ended):
            m.d.sync += self.active.eq(0)
        with m.If(begins):
            m.d.sync += [waiting.eq(0), self.active.eq(1), operation.eq(following)]
        if watched(platform):
            number = Signal(NUMBER_BITS)
            with m.If(self.take):
                m.d.sync += number.eq(self.number)
            with m.If(begins):
                m.d.sync += self.running.eq(number)
        columns = Signal(3, reset_less=True)
        with m.If(begins):
            m.d.sync += columns.eq(Array(Const(BEAT_COLUMNS[mode], 3) for mode in PostMode)[following.post.mode])
        self._elaborate_matrix(m, self.results, operation.out_base, operation.out_slab, operation.out_row)
        self._elaborate_matrix(m, self.skip, operation.skip_base, operation.skip_slab, operation.skip_row)
        m.d.comb += [matrix.columns.eq(columns) for matrix in (self.results, self.skip)]
        return m

    def _elaborate_matrix(self, m: Module, matrix: data.View, base: Value, slab: Value, row: Value) -> None:
        operation = self.operation
        m.d.comb += [
            matrix.base.eq(base),
            matrix.slab.eq(slab),
            matrix.row.eq(row),
            matrix.tiles.eq(operation.tiles),
            matrix.blocks.eq(operation.blocks.blocks),
            matrix.rows_last.eq(operation.blocks.rows_last),
        ]
