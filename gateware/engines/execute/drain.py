"""The back of EXEC: what becomes of the array's results."""

from amaranth.hdl import Array, Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.array.layouts import result_layout
from gateware.config import LANES, AcceleratorConfig
from gateware.contracts import NUMBER_BITS, require, watched
from gateware.control.sequencer import register_layout, run_layout
from gateware.engines.execute.completion import Completion
from gateware.engines.execute.constants import ConstantMemory, constant_record
from gateware.engines.execute.drain_monitor import watch_drain
from gateware.engines.execute.maxima import update_layout
from gateware.engines.execute.residual_fetch import ResidualFetch
from gateware.engines.execute.row_map import RowMap
from gateware.engines.execute.store import RowStore
from gateware.engines.execute.tile_iterator import TileIterator
from gateware.isa import ROW_MAP_BITS, Engine, PostMode, SemaphoreValue
from gateware.memory.port import ReadPort, WritePort
from gateware.postprocess.layouts import branch_layout
from gateware.postprocess.postprocessor import PostProcessor
from gateware.softmax.layouts import score_signature
from gateware.stream.fifo import StreamFifo

__all__ = ["Drain"]

FRONT = ("a_base", "a_block_stride", "b_base", "b_tile_stride", "steps")  # registers that only the front needs


class Drain(wiring.Component):
    """Takes the operations that the step issuer starts, in order, and their tiles from the array.

    A tile's rows wait in a queue for the postprocessor; its results become scores, or beats in memory, and their row
    maxima are kept where the operation asks for it. One operation is taken ahead.

    Parameters
    ----------
    config : AcceleratorConfig

    Attributes
    ----------
    tiles_waiting : int
        Tiles that the queue holds.

    Members
    -------
    registers, run : In
        The operation, with ``take`` : In(1) when it begins; ``ready`` : Out(1): it may.
    rows : In(result_layout)
        From the array.
    release : Out(1)
        A tile has left the queue.
    constant : In
        Write port of the constant memory: ``write``, ``address``, ``value``.
    row_map : In
        Write port of the row map, the same.
    residual : Out(ReadPort), store : Out(WritePort)
    scores : Out(score_signature)
    update : Out
        For the row maxima.
    written : Out(stream of SemaphoreValue) x 2
        Results are in memory, or in the score memory: `written` and `written2` of the operation, in the order of the
        operations (`Completion`).
    kept : Out(branch_layout(rows))
        The postprocessor's.
    outside : Out(1)
        Results or skip operands are not in memory.
    idle : Out(1)

    Attributes
    ----------
    number, load_number, update_number : Signal
        Where contracts are watched, the operations: at ``run``, of ``constant`` and ``row_map``, of ``update``.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.number, self.load_number = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        self.update_number = Signal(NUMBER_BITS)
        depth = 1 << (2 * config.rows - 1).bit_length()
        self.queue_depth, self.tiles_waiting = depth, depth // config.rows
        self.max_row_bits = (config.max_rows - 1).bit_length()
        record = constant_record(config.multiplier_bits)
        super().__init__(
            {
                "registers": In(register_layout(Engine.EXEC)),
                "run": In(run_layout(Engine.EXEC)),
                "take": In(1),
                "ready": Out(1),
                "rows": In(result_layout(config.rows, LANES, config.acc_width)),
                "release": Out(1),
                "constant": In(
                    wiring.Signature(
                        {"write": Out(1), "address": Out((config.const_depth - 1).bit_length()), "value": Out(record)}
                    )
                ),
                "row_map": In(
                    wiring.Signature({"write": Out(1), "address": Out(self.max_row_bits), "value": Out(ROW_MAP_BITS)})
                ),
                "residual": Out(ReadPort(config.address_bits)),
                "store": Out(WritePort(config.address_bits)),
                "scores": Out(score_signature(config.rows, config.softmax_length)),
                "update": Out(update_layout(config.max_rows)),
                "written": Out(stream.Signature(SemaphoreValue)).array(2),
                "kept": Out(branch_layout(config.rows)),
                "outside": Out(1),
                "idle": Out(1),
                "starved": Out(1),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.config
        names = {name: shape for name, shape in register_layout(Engine.EXEC).members.items() if name not in FRONT}
        watching = {"number": NUMBER_BITS} if watched(platform) else {}
        operation = data.StructLayout({**names, **watching})
        pending, op = Signal(operation, reset_less=True), Signal(operation, reset_less=True)
        waiting, active, starting, gives = Signal(), Signal(), Signal(), Signal(data.ArrayLayout(4, 2))
        m.d.comb += self.ready.eq(~waiting)
        with m.If(self.take):
            m.d.sync += [waiting.eq(1), gives.eq(Cat(self.run.written, self.run.written2))]
            m.d.sync += [pending[name].eq(self.registers[name]) for name in names]

        m.submodules.queue = queue = StreamFifo(data.ArrayLayout(signed(cfg.acc_width), LANES), self.queue_depth)
        m.submodules.post = post = PostProcessor(cfg.rows, cfg.acc_width, cfg.multiplier_bits)
        m.submodules.constants = constants = ConstantMemory(cfg.const_depth, cfg.multiplier_bits)
        m.submodules.store = store = RowStore(cfg.rows, cfg.address_bits)
        m.submodules.row_map = row_map = RowMap(cfg.max_rows)
        m.submodules.skip = skip = ResidualFetch(cfg.rows, cfg.address_bits)
        m.submodules.completion = completion = Completion()
        m.submodules.jobs = jobs = TileIterator(cfg.rows)
        m.submodules.places = places = TileIterator(cfg.rows)
        connect(m, queue.o, post.acc)
        connect(m, constants.o, post.constants)
        connect(m, skip.o, post.skip)
        connect(m, skip.memory, flipped(self.residual))
        m.d.comb += self.kept.eq(post.kept)
        connect(m, store.memory, flipped(self.store))
        m.d.comb += self.outside.eq(store.outside | skip.outside)

        # Operations, one after the other: the next one begins when the last row of this one has left the lanes.
        residual = Signal()
        m.d.sync += starting.eq(0)
        may_start = Signal()
        m.d.comb += [
            may_start.eq(waiting & ~active & skip.idle),
            completion.operation.valid.eq(may_start),
            completion.operation.payload.written.eq(gives),
            completion.operation.payload.to_scores.eq(pending.post.to_scores),
        ]
        with m.If(may_start & completion.operation.ready):
            m.d.sync += [waiting.eq(0), active.eq(1), starting.eq(1), op.eq(pending)]
        m.d.comb += residual.eq(op.post.mode == PostMode.RESIDUAL)
        columns = Signal(3)
        m.d.comb += columns.eq(
            Array([Const(4), Const(1), Const(2), Const(2)])[op.post.mode]  # beat columns a tile: RAW, Q8, Q16, RESIDUAL
        )
        for iteration, base, slab, row in (
            (jobs.iteration, op.out_base, op.out_slab, op.out_row),
            (places.iteration, op.out_base, op.out_slab, op.out_row),
            (skip.iteration, op.skip_base, op.skip_slab, op.skip_row),
        ):
            m.d.comb += [
                iteration.base.eq(base),
                iteration.slab.eq(slab),
                iteration.columns.eq(columns),
                iteration.row.eq(row),
                iteration.tiles.eq(op.tiles),
                iteration.blocks.eq(op.blocks.blocks),
                iteration.rows_last.eq(op.blocks.rows_last),
            ]
        m.d.comb += [jobs.start.eq(starting), places.start.eq(starting), skip.start.eq(starting & residual)]

        self._elaborate_jobs(m, op, starting, jobs, post, constants)
        self._elaborate_results(m, op, active, places, post, store)
        m.d.comb += [
            row_map.write.eq(self.row_map.write),
            row_map.address.eq(self.row_map.address),
            row_map.value.eq(self.row_map.value),
            row_map.row.eq(store.row),
            store.target.eq(row_map.target),
            store.scatter.eq(op.post.scatter),
        ]

        # The array's rows.
        m.d.comb += [
            queue.i.valid.eq(self.rows.valid),
            queue.i.payload.eq(self.rows.data),
            self.starved.eq(active & post.acc.ready & ~queue.o.valid),
            self.stalled.eq(queue.o.valid & ~post.acc.ready),
        ]
        row = Signal(range(cfg.rows))
        m.d.sync += self.release.eq(0)
        with m.If(queue.o.valid & queue.o.ready):
            m.d.sync += row.eq(row + 1)
            with m.If(row == cfg.rows - 1):
                m.d.sync += [row.eq(0), self.release.eq(1)]

        # The end of an operation, and of its results.
        done = Signal()
        m.d.comb += [
            done.eq(places.step & places.at.last_tile & places.at.last_block),
            completion.stored.eq(store.stored),
            completion.scored.eq(done & op.post.to_scores),
        ]
        with m.If(done):
            m.d.sync += active.eq(0)
        for inner, outer in zip(completion.written, self.written, strict=True):
            connect(m, inner, flipped(outer))
        m.d.comb += self.idle.eq(~waiting & ~active & store.idle & completion.idle)
        require(m, platform, self, "a row of the array finds room in the queue", ~self.rows.valid | queue.i.ready)
        if watching:
            with m.If(self.take):
                m.d.sync += pending.number.eq(self.number)
            watch_drain(m, platform, self, op, starting, (constants, row_map, skip, store))
        return m

    def _elaborate_jobs(
        self,
        m: Module,
        op: data.View,
        starting: Signal,
        jobs: TileIterator,
        post: PostProcessor,
        constants: ConstantMemory,
    ) -> None:
        """A job for the postprocessor and a request for constants a tile."""
        m.d.comb += [
            constants.write.eq(self.constant.write),
            constants.address.eq(self.constant.address),
            constants.value.eq(self.constant.value),
            post.job.payload.mode.eq(op.post.mode),
            post.job.payload.clamp_packed.eq(op.post.clamp_packed),
            post.job.payload.octets.eq(op.post.octets),
            post.job.payload.rows.eq(jobs.at.rows),
            post.branch.multiplier.eq(_joined(op.branch_lo, op.branch_hi)),
            post.branch.shift.eq(op.shifts.branch),
            post.skip_factor.multiplier.eq(_joined(op.skip_lo, op.skip_hi)),
            post.skip_factor.shift.eq(op.shifts.skip),
        ]
        job_sent, constants_sent = Signal(), Signal()
        channel = Signal(constants.address_bits)
        m.d.comb += [
            post.job.valid.eq(jobs.at.valid & ~job_sent),
            constants.tile.valid.eq(jobs.at.valid & ~constants_sent),
            constants.tile.payload.eq(channel),
            jobs.step.eq(jobs.at.valid & (job_sent | post.job.ready) & (constants_sent | constants.tile.ready)),
        ]
        with m.If(jobs.step):
            m.d.sync += [job_sent.eq(0), constants_sent.eq(0), channel.eq(channel + op.const_tile_stride)]
            with m.If(jobs.at.last_tile):
                m.d.sync += channel.eq(op.const_base)
        with m.Else():
            with m.If(post.job.valid & post.job.ready):
                m.d.sync += job_sent.eq(1)
            with m.If(constants.tile.valid & constants.tile.ready):
                m.d.sync += constants_sent.eq(1)
        with m.If(starting):
            m.d.sync += channel.eq(op.const_base)

    def _elaborate_results(
        self, m: Module, op: data.View, active: Signal, places: TileIterator, post: PostProcessor, store: RowStore
    ) -> None:
        """Rows to the score memory or to the store; their maxima."""
        result, half = post.o.payload, Signal()
        taken = Signal()
        octets = [result.data[column][:8].as_signed() for column in range(LANES)]
        m.d.comb += [
            store.at.eq(places.at),
            store.columns.eq(places.iteration.columns),
            store.i.payload.data.eq(result.data),
            store.i.payload.row.eq(result.row),
            store.i.payload.last.eq(result.last),
            store.i.valid.eq(post.o.valid & places.at.valid & ~op.post.to_scores),
            post.o.ready.eq(places.at.valid & (op.post.to_scores | store.i.ready)),
            taken.eq(post.o.valid & post.o.ready),
            places.step.eq(taken & result.last),
        ]
        m.d.sync += [
            self.scores.valid.eq(taken & op.post.to_scores),
            self.scores.half.eq(half),
            self.scores.row.eq(result.row),
            self.scores.word.eq(places.at.tile),
            self.scores.length.eq(op.score_length),
            self.scores.mask.eq(result.masked & (op.post.mode == PostMode.RESIDUAL).replicate(LANES)),
            self.update.valid.eq(taken & op.post.track_max),
            self.update.fresh.eq(op.post.max_first & places.at.first_tile),
            self.update.row.eq(places.at.row + result.row),
        ]
        for column in range(LANES):
            m.d.sync += [self.scores.data[column].eq(octets[column]), self.update["values"][column].eq(octets[column])]
        with m.If(places.step & places.at.last_tile & op.post.to_scores):
            m.d.sync += half.eq(~half)


def _joined(low: Value, high: Value) -> Value:
    """The two's complement number whose low 24 bits and high 8 bits stand in two registers."""
    return Cat(low, high).as_signed()
