"""Everything between the memory arbiter and the program: engines, buffers, array and units."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.delay import delayed
from gateware.array.grid import SystolicArray
from gateware.config import LANE_BYTES, LANES, AcceleratorConfig
from gateware.contracts import watched
from gateware.control.counters import Counters
from gateware.control.fetch import ENGINES, Fetch
from gateware.control.semaphores import Semaphores
from gateware.control.sequencer import Sequencer
from gateware.control.taps import connect_taps, tap_members
from gateware.counters import COUNTERS
from gateware.engines.execute.drain import Drain
from gateware.engines.execute.issue import BUFFER_LATENCY, StepIssuer
from gateware.engines.execute.maxima import RowMaxima
from gateware.engines.load.loader import Loader
from gateware.engines.load.transforms import Transforms
from gateware.engines.program_order import watch_order
from gateware.engines.vector.vector import VectorEngine
from gateware.isa import Constants, Engine, ErrorCode, LoadTarget, Transform
from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB
from gateware.memory.port import ReadPort, WritePort

__all__ = ["READERS", "WRITERS", "Core"]

READERS = ("fetch", "load_t", "load_b", "residual")
WRITERS = ("store", "log")


class Core(wiring.Component):
    """One program from start to end. Reset (not only at power-on) brings it back to where it can start.

    Parameters
    ----------
    config : AcceleratorConfig
    taps : bool
        Have ports to watch tensors that never reach memory; `taps.tap_layouts`, each with ``payload`` and ``valid``.

    Members
    -------
    start : In(1), program : In(address_bits)
        Run the program at that beat address.
    read : Out(ReadPort) x 4, write : Out(WritePort) x 2
        In the order of ``READERS`` and ``WRITERS``.
    reads, writes : In(1)
        Beats that the memory port carries, for the counters.
    done : Out(1)
        The program has ended, and everything that it started.
    error : Out(ErrorCode)
    progress : Out(1)
        Something moves.
    counters : Out
    """

    def __init__(self, config: AcceleratorConfig, taps: bool = False) -> None:
        self.config, self.taps = config, taps
        super().__init__(
            {
                **(tap_members(config) if taps else {}),
                "start": In(1),
                "program": In(config.address_bits),
                "read": Out(ReadPort(config.address_bits)).array(len(READERS)),
                "write": Out(WritePort(config.address_bits)).array(len(WRITERS)),
                "reads": In(1),
                "writes": In(1),
                "done": Out(1),
                "error": Out(ErrorCode),
                "progress": Out(1),
                "counters": Out(32).array(len(COUNTERS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.config
        m.submodules.fetch = fetch = Fetch(cfg)
        m.submodules.load_t = load_t = Loader(Engine.LOADT, cfg.address_bits)
        m.submodules.load_b = load_b = Loader(Engine.LOADB, cfg.address_bits)
        m.submodules.transforms = transforms = Transforms(cfg)
        m.submodules.operand_a = operand_a = OperandA(cfg.rows, cfg.a_depth, cfg.a_width)
        m.submodules.operand_b = operand_b = OperandB(cfg.b_depth)
        m.submodules.exec_ = exec_ = Sequencer(Engine.EXEC)
        m.submodules.drain = drain = Drain(cfg)
        m.submodules.issue = issue = StepIssuer(cfg.rows, drain.tiles_waiting)
        m.submodules.array = array = SystolicArray(
            cfg.rows,
            cfg.columns,
            cfg.pack,
            x_width=cfg.x_width,
            acc_width=cfg.acc_width,
            packed_full_range=cfg.packed_full_range,
        )
        m.submodules.maxima = maxima = RowMaxima(cfg.max_rows)
        m.submodules.vector = vector = VectorEngine(cfg)
        m.submodules.counters = counters = Counters(COUNTERS, cfg.address_bits)

        m.d.comb += [fetch.start.eq(self.start), fetch.program.eq(self.program)]
        for index, reader in enumerate((fetch.memory, load_t.memory, load_b.memory, drain.residual)):
            connect(m, reader, flipped(self.read[index]))
        for index, writer in enumerate((drain.store, counters.memory)):
            connect(m, writer, flipped(self.write[index]))
        for index, engine in enumerate(ENGINES):
            words = {
                Engine.LOADT: load_t.words,
                Engine.LOADB: load_b.words,
                Engine.EXEC: exec_.words,
                Engine.VEC: vector.words,
            }[engine]
            connect(m, fetch.queues[index], words)

        # T channel, B channel, and what they write.
        connect(m, load_t.source, transforms.i)
        connect(m, transforms.o, load_t.sink)
        connect(m, transforms.group, maxima.group)
        connect(m, maxima.o, transforms.maxima)
        m.d.comb += [transforms.job.eq(load_t.job), transforms.start.eq(load_t.job_start)]
        t, b = load_t.o.payload, load_b.o.payload
        to_a = Signal()
        beat = operand_a.beat.payload
        m.d.comb += [
            to_a.eq(t.registers.config.target == LoadTarget.A),
            beat.beat.eq(t.beat),
            beat.k.eq(t.address[:10]),
            beat.row.eq(t.address[10:].as_signed()),
            beat.row_limit.eq(t.registers.config.row_limit),
            beat.base.eq(t.registers.a_base),
            beat.stride.eq(t.registers.a_block_stride),
            operand_a.beat.valid.eq(load_t.o.valid & to_a),
            operand_b.write[0].payload.beat.eq(t.beat),
            operand_b.write[0].payload.address.eq(t.address),
            operand_b.write[0].valid.eq(load_t.o.valid & ~to_a),
            load_t.o.ready.eq((to_a & operand_a.beat.ready) | (~to_a & operand_b.write[0].ready)),
            load_b.sink.payload.eq(load_b.source.payload.beat),
            load_b.sink.valid.eq(load_b.source.valid),
            load_b.source.ready.eq(load_b.sink.ready),
            operand_b.write[1].payload.beat.eq(
                Mux(b.registers.config.transform == Transform.TRANSPOSE, _transposed(b.beat), b.beat)
            ),
            operand_b.write[1].payload.address.eq(b.address),
        ]
        record = Constants(b.beat)
        shift = Signal(7)
        m.d.comb += shift.eq(_saturated(record.shift))
        for target, port in ((LoadTarget.CONSTANTS, drain.constant), (LoadTarget.LAYERNORM, transforms.constant)):
            m.d.comb += [
                port.write.eq(load_b.o.valid & (b.registers.config.target == target)),
                port.address.eq(b.address),
                port.value.bias.eq(record.bias),
                port.value.multiplier.eq(record.multiplier),
                port.value.shift.eq(shift),
            ]
        m.d.comb += [
            drain.row_map.write.eq(load_b.o.valid & (b.registers.config.target == LoadTarget.ROW_MAP)),
            drain.row_map.address.eq(b.address),
            drain.row_map.value.eq(b.beat),
        ]
        to_b = Signal()
        m.d.comb += [
            to_b.eq(b.registers.config.target == LoadTarget.B),
            operand_b.write[1].valid.eq(load_b.o.valid & to_b),
            load_b.o.ready.eq(operand_b.write[1].ready | ~to_b),
        ]

        # EXEC.
        connect(m, exec_.run, issue.run)
        connect(m, exec_.mark, counters.mark)
        m.d.comb += [
            issue.registers.eq(exec_.registers),
            issue.drain_ready.eq(drain.ready),
            drain.registers.eq(exec_.registers),
            drain.run.eq(exec_.run.payload),
            drain.take.eq(issue.accept),
            issue.release.eq(drain.release),
            exec_.idle.eq(issue.idle & drain.idle),
            operand_a.address.eq(issue.a_address),
            operand_b.address.eq(issue.b_address),
            array.step.eq(issue.step),
            array.a.eq(operand_a.data),
            array.b.eq(operand_b.data),
            drain.rows.eq(array.out),
            maxima.update.eq(drain.update),
            counters.log_base.eq(fetch.log_base),
        ]
        connect(m, drain.scores, vector.scores)
        connect(m, vector.o, operand_a.word)
        if watched(platform):
            m.d.comb += array.counting.eq(delayed(m, issue.counting, BUFFER_LATENCY, "counting"))
        execute = issue, drain, maxima, counters
        watch_order(m, platform, fetch, (load_t, load_b, vector), execute, operand_a, operand_b)
        assert LANES == 4  # a beat is read as it stands by either operand
        if self.taps:
            connect_taps(m, self, cfg, load_t, drain, vector)
        overflow = self._elaborate_semaphores(m, load_t, load_b, exec_, vector, issue, drain)
        self._elaborate_state(m, fetch, load_t, load_b, exec_, issue, drain, vector, counters, overflow)
        return m

    def _elaborate_semaphores(
        self,
        m: Module,
        load_t: Loader,
        load_b: Loader,
        exec_: Sequencer,
        vector: VectorEngine,
        issue: StepIssuer,
        drain: Drain,
    ) -> Value:
        """Every event's way to the semaphores, and theirs to the engines."""
        givers = [
            *drain.written,
            *issue.read,
            load_t.done,
            load_b.done,
            vector.done,
            load_t.signal,
            load_b.signal,
            exec_.give,
            vector.signal,
        ]
        m.submodules.semaphores = semaphores = Semaphores(len(givers), len(ENGINES))
        for index, giver in enumerate(givers):
            connect(m, giver, semaphores.give[index])
        for index, port in enumerate((load_t.semaphore, load_b.semaphore, vector.semaphore)):
            connect(m, port, semaphores.take[index])
        mine = semaphores.take[3]
        m.d.comb += [
            mine.take.eq(exec_.take),
            mine.taking.eq(exec_.taking),
            exec_.taken.eq(mine.taken),
        ]
        # The counts are memory: swept while the program's first words are on their way.
        sweeping = Signal(5, init=20)
        with m.If(sweeping != 0):
            m.d.sync += sweeping.eq(sweeping - 1)
        m.d.comb += semaphores.clear.eq(sweeping != 0)
        return semaphores.overflow

    def _elaborate_state(
        self,
        m: Module,
        fetch: Fetch,
        load_t: Loader,
        load_b: Loader,
        exec_: Sequencer,
        issue: StepIssuer,
        drain: Drain,
        vector: VectorEngine,
        counters: Counters,
        overflow: Value,
    ) -> None:
        """Done, errors, counters."""
        engines_idle = load_t.idle & load_b.idle & issue.idle & drain.idle & vector.idle
        illegal = fetch.illegal | load_t.illegal | load_b.illegal | exec_.illegal | vector.illegal
        outside = fetch.wrapped | load_t.wrapped | load_b.wrapped | drain.outside | counters.outside
        m.d.sync += self.done.eq(fetch.ended & fetch.empty & engines_idle & ~counters.memory.beat.valid)
        with m.If(self.error == ErrorCode.NONE):
            with m.If(fetch.mismatch):
                m.d.sync += self.error.eq(ErrorCode.WRONG_CONFIG)
            with m.Elif(illegal):
                m.d.sync += self.error.eq(ErrorCode.ILLEGAL_INSTRUCTION)
            with m.Elif(outside):
                m.d.sync += self.error.eq(ErrorCode.ADDRESS_RANGE)
            with m.Elif(overflow):
                m.d.sync += self.error.eq(ErrorCode.SEMAPHORE_OVERFLOW)
        carried = Signal()  # a register more, as memory's handshake comes late in a cycle
        m.d.sync += [
            carried.eq(self.reads | self.writes),
            self.progress.eq(fetch.transfer | issue.stepping | carried | vector.o.valid),
        ]
        running = ~issue.idle
        events = {
            "cycles": 1,
            "steps": issue.stepping,
            "exec_wait": exec_.waiting & ~running,
            "exec_blocked": issue.blocked,
            "exec_empty": ~exec_.words.valid & ~running,
            "load_t_busy": ~load_t.idle,
            "load_t_wait": load_t.waiting,
            "load_b_busy": ~load_b.idle,
            "load_b_wait": load_b.waiting,
            "vector_busy": ~vector.idle,
            "drain_starved": drain.starved,
            "drain_stalled": drain.stalled,
            "memory_reads": self.reads,
            "memory_writes": self.writes,
            "fetch_stalled": fetch.stalled,
        }
        m.d.comb += counters.events.eq(Cat(Value.cast(events[name])[0] for name in COUNTERS))
        for index, value in enumerate(counters.values):
            m.d.comb += self.counters[index].eq(value)


def _transposed(beat: Value) -> Value:
    """The 4 x 4 bytes of a beat, lanes for bytes: V as it is stored becomes the operand V^T."""
    return Cat(beat.word_select(LANE_BYTES * lane + byte, 8) for byte in range(LANE_BYTES) for lane in range(LANES))


def _saturated(shift: Value) -> Value:
    """A shift of 8 bits in 7: beyond 127 the result is 0 either way."""
    return Cat(bit | shift[7] for bit in shift[:7])
