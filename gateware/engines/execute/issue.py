"""The front of EXEC: one step a cycle from the operand buffers into the array."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.array.layouts import Step
from gateware.contracts import NUMBER_BITS, require, watched
from gateware.control.sequencer import register_layout, run_layout
from gateware.isa import Engine, SemaphoreValue

__all__ = ["BUFFER_LATENCY", "StepIssuer"]

BUFFER_LATENCY = 2


class _Walk:
    """Where the steps of an operation are, and what the operation fixes."""

    def __init__(self) -> None:
        fixed = {
            "a_stride": 16,
            "b_base": 16,
            "b_stride": 16,
            "k_last": 14,
            "halves": 1,
            "tiles": 12,
            "blocks": 12,
            "unsigned": 1,
        }
        self.fixed = Signal(data.StructLayout(fixed), reset_less=True)
        self.active = Signal()
        self.a_block = Signal(16, reset_less=True)
        self.b_tile = Signal(16, reset_less=True)
        self.a_address = Signal(16, reset_less=True)
        self.b_address = Signal(16, reset_less=True)
        self.k, self.half = Signal(14), Signal()
        self.tile, self.block = Signal(12), Signal(12)
        self.k_final, self.tile_final, self.block_final = Signal(), Signal(), Signal()


class StepIssuer(wiring.Component):
    """Walks the steps of an operation: blocks outside, tiles, then steps (twice with ``halves``).

    One step a cycle, with two cycles between operations. Only a tile's last step ever waits: for room among the tiles
    that wait to be drained, and until ``rows`` cycles after the last one before.

    Parameters
    ----------
    rows : int
        Rows of the array.
    tiles_waiting : int
        Tiles that the drain's queue holds.

    Members
    -------
    registers, run : In
        From the sequencer.
    accept : Out(1)
        ``run`` is taken in this cycle: the drain must take the operation too. drain_ready : In(1): it can.
    a_address, b_address : Out(16)
    step : Out(Step)
        Meets its operands at the array, two cycles after their addresses.
    release : In(1)
        A tile has left the drain's queue.
    read : Out(stream of SemaphoreValue) x 2
        The operation's last operands have left A and B.
    idle : Out(1)
    stepping, blocked : Out(1)
        A step goes; a step waits for the drain.

    Attributes
    ----------
    number, running : Signal
        Where contracts are watched: the operation at ``run``, and that whose steps go.
    counting : Signal
        There, the rows that count of the block that is read, a bit each.
    """

    def __init__(self, rows: int, tiles_waiting: int) -> None:
        self.rows, self.tiles_waiting = rows, tiles_waiting
        self.number, self.running, self.counting = Signal(NUMBER_BITS), Signal(NUMBER_BITS), Signal(rows)
        super().__init__(
            {
                "registers": In(register_layout(Engine.EXEC)),
                "run": In(stream.Signature(run_layout(Engine.EXEC))),
                "accept": Out(1),
                "drain_ready": In(1),
                "a_address": Out(16),
                "b_address": Out(16),
                "step": Out(Step),
                "release": In(1),
                "read": Out(stream.Signature(SemaphoreValue)).array(2),
                "idle": Out(1),
                "stepping": Out(1),
                "blocked": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        walk = _Walk()
        half_final, last, go, ends = Signal(), Signal(), Signal(), Signal()
        may_end = self._elaborate_pace(m, platform, go & last)
        telling = self._elaborate_told(m, ends)
        m.d.comb += [
            half_final.eq(walk.half == walk.fixed.halves),
            last.eq(walk.k_final & half_final),
            go.eq(walk.active & (~last | (may_end & ~(walk.tile_final & walk.block_final & telling.any())))),
            ends.eq(go & last & walk.tile_final & walk.block_final),
            self.run.ready.eq(~walk.active & self.drain_ready),
            self.accept.eq(self.run.valid & self.run.ready),
            self.a_address.eq(walk.a_address),
            self.b_address.eq(walk.b_address),
            self.idle.eq(~walk.active & (telling == 0)),
            self.stepping.eq(go),
            self.blocked.eq(walk.active & last & ~may_end),
        ]
        with m.If(go):
            self._advance(m, walk, last)
        with m.If(ends):
            m.d.sync += walk.active.eq(0)
        with m.If(self.accept):
            self._begin(m, walk)

        if watched(platform):
            rows_last = Signal.like(self.registers.blocks.rows_last)
            with m.If(self.accept):
                m.d.sync += [self.running.eq(self.number), rows_last.eq(self.registers.blocks.rows_last)]
            m.d.comb += self.counting.eq(Mux(walk.block_final, (1 << rows_last) - 1, (1 << self.rows) - 1))
        step = Signal(Step)
        m.d.comb += [
            step.valid.eq(go),
            step.first.eq((walk.k == 0) & ~walk.half),
            step.last.eq(last),
            step.shift.eq((walk.k == 0) & walk.half),
            step.unsigned.eq(walk.fixed.unsigned),
        ]
        m.d.comb += self.step.eq(delayed(m, step, BUFFER_LATENCY, "step", reset=True))
        return m

    def _elaborate_pace(self, m: Module, platform: object, sent: Value) -> Value:
        """Whether a tile may end, when one is ``sent`` in the cycles of that."""
        credit, pace = Signal(range(self.tiles_waiting + 1), init=self.tiles_waiting), Signal(range(self.rows))
        # Both comparisons are made the cycle before: all that a step moves hangs on them.
        paced, funded = Signal(init=1), Signal(init=1)
        with m.If(pace != 0):
            m.d.sync += pace.eq(pace - 1)
        m.d.sync += paced.eq(pace <= 1)
        with m.If(sent):
            m.d.sync += [pace.eq(self.rows - 1), paced.eq(self.rows == 1)]
        m.d.sync += [
            credit.eq(credit - sent + self.release),
            funded.eq(self.release | Mux(sent, credit != 1, credit != 0)),
        ]
        may_end = funded & paced
        over = self.release & (credit == self.tiles_waiting) & ~sent
        require(m, platform, self, "no more tiles leave the drain's queue than were sent", ~over)
        return may_end

    def _elaborate_told(self, m: Module, ends: Signal) -> Signal:
        """The two semaphores of an operation that ``ends``: which of them are still to be given."""
        given, telling = Signal(data.ArrayLayout(4, 2), reset_less=True), Signal(2)
        with m.If(ends):
            m.d.sync += telling.eq(0b11)
            for port, semaphore in zip(self.read, given, strict=True):
                m.d.sync += port.payload.semaphore.eq(semaphore)
        for index, port in enumerate(self.read):
            m.d.comb += [port.payload.count.eq(1), port.valid.eq(telling[index])]
            with m.If(port.valid & port.ready):
                m.d.sync += telling[index].eq(0)
        with m.If(self.accept):
            m.d.sync += [given[0].eq(self.run.payload.read), given[1].eq(self.run.payload.read2)]
        return telling

    def _begin(self, m: Module, walk: _Walk) -> None:
        """An operation is accepted: its first step, and its registers, which the sequencer may change from now on."""
        now, fixed = self.registers, walk.fixed
        m.d.sync += [
            walk.active.eq(1),
            fixed.a_stride.eq(now.a_block_stride),
            fixed.b_base.eq(now.b_base),
            fixed.b_stride.eq(now.b_tile_stride),
            fixed.k_last.eq(Mux(now.steps.k_steps == 0, 0, now.steps.k_steps - 1)),
            fixed.halves.eq(now.steps.halves),
            fixed.unsigned.eq(now.steps.unsigned),
            fixed.tiles.eq(now.tiles),
            fixed.blocks.eq(now.blocks.blocks),
            walk.a_block.eq(now.a_base),
            walk.a_address.eq(now.a_base),
            walk.b_tile.eq(now.b_base),
            walk.b_address.eq(now.b_base),
            walk.k.eq(0),
            walk.k_final.eq(now.steps.k_steps <= 1),
            walk.half.eq(0),
            walk.tile.eq(0),
            walk.tile_final.eq(now.tiles <= 1),
            walk.block.eq(0),
            walk.block_final.eq(now.blocks.blocks <= 1),
        ]

    def _advance(self, m: Module, walk: _Walk, last: Signal) -> None:
        """To the next step; ``last``: over to the next tile, or block."""
        fixed = walk.fixed
        m.d.sync += [
            walk.k.eq(walk.k + 1),
            walk.k_final.eq(walk.k + 1 == fixed.k_last),
            walk.a_address.eq(walk.a_address + 1),
            walk.b_address.eq(walk.b_address + 1),
        ]
        with m.If(walk.k_final):
            m.d.sync += [
                walk.k.eq(0),
                walk.k_final.eq(fixed.k_last == 0),
                walk.half.eq(1),
                walk.b_address.eq(walk.b_tile),
            ]
        with m.If(last):
            m.d.sync += [
                walk.half.eq(0),
                walk.a_address.eq(walk.a_block),
                walk.b_tile.eq(walk.b_tile + fixed.b_stride),
                walk.b_address.eq(walk.b_tile + fixed.b_stride),
                walk.tile.eq(walk.tile + 1),
                walk.tile_final.eq(walk.tile + 2 == fixed.tiles),
            ]
            with m.If(walk.tile_final):
                m.d.sync += [
                    walk.tile.eq(0),
                    walk.tile_final.eq(fixed.tiles <= 1),
                    walk.b_tile.eq(fixed.b_base),
                    walk.b_address.eq(fixed.b_base),
                    walk.a_block.eq(walk.a_block + fixed.a_stride),
                    walk.a_address.eq(walk.a_block + fixed.a_stride),
                    walk.block.eq(walk.block + 1),
                    walk.block_final.eq(walk.block + 2 == fixed.blocks),
                ]
