"""The back of EXEC: what becomes of the array's results."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.dyadic import channel_write_port
from gateware.array.layouts import accumulator_row_layout
from gateware.config import LANES, AcceleratorConfig
from gateware.contracts import NUMBER_BITS
from gateware.control.sequencer import register_layout, run_layout
from gateware.engines.execute.completion import Completion
from gateware.engines.execute.constants import ConstantMemory
from gateware.engines.execute.drain_monitor import watch_drain
from gateware.engines.execute.hand_over import HandOver
from gateware.engines.execute.maxima import update_layout
from gateware.engines.execute.residual_fetch import ResidualFetch
from gateware.engines.execute.result_placement import ResultPlacement
from gateware.engines.execute.row_map import RowMap, row_map_write_port
from gateware.engines.execute.store import RowStore
from gateware.engines.execute.tile_dispatch import TileDispatch
from gateware.engines.execute.tile_queue import TileQueue, tiles_waiting
from gateware.isa import Engine, PostMode, SemaphoreValue
from gateware.memory.port import ReadPort, WritePort
from gateware.postprocess.layouts import branch_layout
from gateware.postprocess.postprocessor import PostProcessor
from gateware.softmax.layouts import score_signature

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Takes the operations that the step issuer starts, in order, and their tiles from the array.

    A tile's rows wait in a queue for the postprocessor; its results become scores, or beats in memory, and their row
    maxima are kept where the operation asks for it. One operation is taken ahead (`HandOver`). An operation begins when
    the last row of the one before has left the postprocessor.

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
    rows : In(accumulator_row_layout)
        From the array, in its domain.
    release : Out(1)
        A tile has left the queue.
    constants : Out(channel_write_port), row_map : Out(row_map_write_port)
        Of the constant memory and of the row map.
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
        Where contracts are watched, the operations: at ``run``, of ``constants`` and ``row_map``, of ``update``.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.number, self.load_number = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        self.update_number = Signal(NUMBER_BITS)
        self.tiles_waiting = tiles_waiting(config.rows)
        super().__init__(
            {
                "registers": In(register_layout(Engine.EXEC)),
                "run": In(run_layout(Engine.EXEC)),
                "take": In(1),
                "ready": Out(1),
                "rows": In(accumulator_row_layout(config.rows, LANES, config.acc_width)),
                "release": Out(1),
                "constants": Out(channel_write_port(config.const_depth, config.multiplier_bits)),
                "row_map": Out(row_map_write_port(config.max_rows)),
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
        m.submodules.hand_over = hand_over = HandOver()
        m.submodules.queue = queue = TileQueue(cfg.rows, cfg.acc_width, cfg.pump)
        m.submodules.constants = constants = ConstantMemory(cfg.const_depth, cfg.multiplier_bits)
        m.submodules.dispatch = dispatch = TileDispatch(cfg.rows, constants.address_bits)
        m.submodules.fetch = fetch = ResidualFetch(cfg.rows, cfg.address_bits)
        m.submodules.post = post = PostProcessor(cfg.rows, cfg.acc_width, cfg.multiplier_bits)
        m.submodules.placement = placement = ResultPlacement(cfg.rows, cfg.softmax_length, cfg.max_rows)
        m.submodules.row_map = row_map = RowMap(cfg.max_rows)
        m.submodules.store = store = RowStore(cfg.rows, cfg.address_bits)
        m.submodules.completion = completion = Completion()

        self._connect_operation(m, hand_over, fetch, post, store)
        m.d.comb += hand_over.ended.eq(placement.ended)
        for part in (dispatch, placement):
            m.d.comb += [
                part.begin.eq(hand_over.begin),
                part.operation.eq(hand_over.operation),
                part.results.eq(hand_over.results),
            ]

        # From the array's rows to the results.
        connect(m, flipped(self.constants), constants.write)
        connect(m, flipped(self.row_map), row_map.write)
        connect(m, queue.o, post.acc)
        connect(m, dispatch.job, post.job)
        connect(m, dispatch.constants, constants.tile)
        connect(m, constants.o, post.constants)
        connect(m, fetch.memory, flipped(self.residual))
        connect(m, fetch.o, post.skip)
        connect(m, post.o, placement.i)
        connect(m, placement.o, store.i)
        connect(m, placement.scores, flipped(self.scores))
        connect(m, store.memory, flipped(self.store))
        m.d.comb += [
            queue.rows.eq(self.rows),
            self.release.eq(queue.release),
            self.kept.eq(post.kept),
            self.update.eq(placement.update),
            store.at.eq(placement.at),
            row_map.row.eq(store.row),
            store.target.eq(row_map.target),
            self.outside.eq(store.outside | fetch.outside),
            self.starved.eq(hand_over.active & post.acc.ready & ~queue.o.valid),
            self.stalled.eq(queue.o.valid & ~post.acc.ready),
        ]

        # The end of the operation, and of its results.
        connect(m, hand_over.announced, completion.operation)
        m.d.comb += [completion.stored.eq(store.stored), completion.scored.eq(placement.scored)]
        for inner, outer in zip(completion.written, self.written, strict=True):
            connect(m, inner, flipped(outer))
        m.d.comb += self.idle.eq(hand_over.idle & store.idle & completion.idle)
        watch_drain(m, platform, self, hand_over, (constants, row_map, fetch, store))
        return m

    def _connect_operation(
        self, m: Module, hand_over: HandOver, fetch: ResidualFetch, post: PostProcessor, store: RowStore
    ) -> None:
        """Where an operation comes from, and what its registers settle."""
        begin, operation = hand_over.begin, hand_over.operation
        m.d.comb += [
            hand_over.registers.eq(self.registers),
            hand_over.run.eq(self.run),
            hand_over.take.eq(self.take),
            self.ready.eq(hand_over.ready),
            hand_over.may_begin.eq(fetch.idle),
            fetch.start.eq(begin & (operation.post.mode == PostMode.RESIDUAL)),
            fetch.iteration.eq(hand_over.skip),
            post.branch.multiplier.eq(_joined(operation.branch_lo, operation.branch_hi)),
            post.branch.shift.eq(operation.shifts.branch),
            post.skip_factor.multiplier.eq(_joined(operation.skip_lo, operation.skip_hi)),
            post.skip_factor.shift.eq(operation.shifts.skip),
            store.columns.eq(hand_over.results.columns),
            store.scatter.eq(operation.post.scatter),
        ]


def _joined(low: Value, high: Value) -> Value:
    """The two's complement number whose low 24 bits and high 8 bits stand in two registers."""
    return Cat(low, high).as_signed()
