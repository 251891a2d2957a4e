"""The front of EXEC: one step a cycle from the operand buffers into the array."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.array.layouts import Step
from gateware.contracts import NUMBER_BITS, require, watched
from gateware.control.sequencer import register_layout, run_layout
from gateware.isa import Engine, SemaphoreValue

__all__ = ["BUFFER_LATENCY", "StepIssuer"]

BUFFER_LATENCY = 2


class StepIssuer(wiring.Component):
    """Walks the steps of an operation: blocks outside, tiles, then steps (twice with ``halves``).

    One step a cycle, with one cycle between operations. Only a tile's last step ever waits: for room among the tiles
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
        now = self.registers
        fixed = Signal(
            data.StructLayout(
                {
                    "a_stride": 16,
                    "b_base": 16,
                    "b_stride": 16,
                    "k_last": 14,
                    "halves": 1,
                    "tiles": 12,
                    "blocks": 12,
                    "unsigned": 1,
                }
            ),
            reset_less=True,
        )
        given = Signal(data.ArrayLayout(4, 2), reset_less=True)
        active = Signal()
        a_block, b_tile = Signal(16, reset_less=True), Signal(16, reset_less=True)
        k, tile, block, half = Signal(14), Signal(12), Signal(12), Signal()
        k_final, tile_final, block_final = Signal(), Signal(), Signal()
        a_address, b_address = Signal(16, reset_less=True), Signal(16, reset_less=True)
        half_final, last, go, ends = Signal(), Signal(), Signal(), Signal()
        credit, pace = Signal(range(self.tiles_waiting + 1), init=self.tiles_waiting), Signal(range(self.rows))
        may_end, telling = Signal(), Signal(2)
        m.d.comb += [
            half_final.eq(half == fixed.halves),
            last.eq(k_final & half_final),
            may_end.eq((credit != 0) & (pace == 0)),
            go.eq(active & (~last | (may_end & ~(tile_final & block_final & telling.any())))),
            ends.eq(go & last & tile_final & block_final),
            self.run.ready.eq((~active | ends) & self.drain_ready),
            self.accept.eq(self.run.valid & self.run.ready),
            self.a_address.eq(a_address),
            self.b_address.eq(b_address),
            self.idle.eq(~active & (telling == 0)),
            self.stepping.eq(go),
            self.blocked.eq(active & last & ~may_end),
        ]
        with m.If(pace != 0):
            m.d.sync += pace.eq(pace - 1)
        with m.If(go & last):
            m.d.sync += pace.eq(self.rows - 1)
        m.d.sync += credit.eq(credit - (go & last) + self.release)

        with m.If(go):
            m.d.sync += [
                k.eq(k + 1),
                k_final.eq(k + 1 == fixed.k_last),
                a_address.eq(a_address + 1),
                b_address.eq(b_address + 1),
            ]
            with m.If(k_final):
                m.d.sync += [k.eq(0), k_final.eq(fixed.k_last == 0), half.eq(1), b_address.eq(b_tile)]
            with m.If(last):
                m.d.sync += [
                    half.eq(0),
                    a_address.eq(a_block),
                    b_tile.eq(b_tile + fixed.b_stride),
                    b_address.eq(b_tile + fixed.b_stride),
                    tile.eq(tile + 1),
                    tile_final.eq(tile + 2 == fixed.tiles),
                ]
                with m.If(tile_final):
                    m.d.sync += [
                        tile.eq(0),
                        tile_final.eq(fixed.tiles <= 1),
                        b_tile.eq(fixed.b_base),
                        b_address.eq(fixed.b_base),
                        a_block.eq(a_block + fixed.a_stride),
                        a_address.eq(a_block + fixed.a_stride),
                        block.eq(block + 1),
                        block_final.eq(block + 2 == fixed.blocks),
                    ]
        with m.If(ends):
            m.d.sync += [active.eq(0), telling.eq(0b11)]
            for port, semaphore in zip(self.read, given, strict=True):
                m.d.sync += port.payload.semaphore.eq(semaphore)
        for index, port in enumerate(self.read):
            m.d.comb += [port.payload.count.eq(1), port.valid.eq(telling[index])]
            with m.If(port.valid & port.ready):
                m.d.sync += telling[index].eq(0)
        with m.If(self.accept):
            m.d.sync += [
                active.eq(1),
                fixed.a_stride.eq(now.a_block_stride),
                fixed.b_base.eq(now.b_base),
                fixed.b_stride.eq(now.b_tile_stride),
                fixed.k_last.eq(Mux(now.steps.k_steps == 0, 0, now.steps.k_steps - 1)),
                fixed.halves.eq(now.steps.halves),
                fixed.unsigned.eq(now.steps.unsigned),
                fixed.tiles.eq(now.tiles),
                fixed.blocks.eq(now.blocks.blocks),
                given[0].eq(self.run.payload.read),
                given[1].eq(self.run.payload.read2),
                a_block.eq(now.a_base),
                a_address.eq(now.a_base),
                b_tile.eq(now.b_base),
                b_address.eq(now.b_base),
                k.eq(0),
                k_final.eq(now.steps.k_steps <= 1),
                half.eq(0),
                tile.eq(0),
                tile_final.eq(now.tiles <= 1),
                block.eq(0),
                block_final.eq(now.blocks.blocks <= 1),
            ]

        over = self.release & (credit == self.tiles_waiting) & ~(go & last)
        require(m, platform, self, "no more tiles leave the drain's queue than were sent", ~over)
        if watched(platform):
            rows_last = Signal.like(now.blocks.rows_last)
            with m.If(self.accept):
                m.d.sync += [self.running.eq(self.number), rows_last.eq(now.blocks.rows_last)]
            m.d.comb += self.counting.eq(Mux(block_final, (1 << rows_last) - 1, (1 << self.rows) - 1))

        step = Signal(Step)
        m.d.comb += [
            step.valid.eq(go),
            step.first.eq((k == 0) & ~half),
            step.last.eq(last),
            step.shift.eq((k == 0) & half),
            step.unsigned.eq(fixed.unsigned),
        ]
        m.d.comb += self.step.eq(delayed(m, step, BUFFER_LATENCY, "step", reset=True))
        return m
