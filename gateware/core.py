"""Everything between the memory arbiter and the program: engines, buffers, array and units."""

from amaranth.hdl import Cat, DomainRenamer, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.delay import delayed
from gateware.array.grid import SystolicArray
from gateware.clocking.execute import ExecuteCrossing
from gateware.config import AcceleratorConfig
from gateware.contracts import watched
from gateware.control.counters import Counters
from gateware.control.fetch import ENGINES, Fetch
from gateware.control.semaphores import Semaphores
from gateware.control.sequencer import Sequencer
from gateware.counters import COUNTERS
from gateware.engines.execute.drain import Drain
from gateware.engines.execute.issue import BUFFER_LATENCY, StepIssuer
from gateware.engines.execute.maxima import RowMaxima
from gateware.engines.load.loader import Loader
from gateware.engines.load.routing import LoadRouting
from gateware.engines.load.transforms import Transforms
from gateware.engines.program_order import watch_order
from gateware.engines.vector.vector import VectorEngine
from gateware.isa import Engine, ErrorCode
from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB
from gateware.memory.port import ReadPort, WritePort
from gateware.taps import connect_taps, tap_members

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
    running : In(1)
        Events are counted. reads, writes : In(1): beats that the memory port carries, for the counters.
    done : Out(1)
        The program has ended, and everything that it started.
    error : Out(ErrorCode)
    progress : Out(1)
        Something moves.
    counters : Out
    """

    def __init__(self, config: AcceleratorConfig, taps: bool = False) -> None:
        self.config, self.taps = config, taps
        self.fetch, self.counting = Fetch(config), Counters(COUNTERS, config.address_bits)
        self.load_t = Loader(Engine.LOADT, config.address_bits)
        self.load_b = Loader(Engine.LOADB, config.address_bits)
        self.transforms, self.routing = Transforms(config), LoadRouting(config)
        self.operand_a = OperandA(config.rows, config.a_depth, config.a_width, config.array_domain)
        self.operand_b = OperandB(config.b_depth, config.array_domain)
        self.exec_, self.drain = Sequencer(Engine.EXEC), Drain(config)
        self.issue = StepIssuer(config.rows, self.drain.tiles_waiting)
        # The issuer as the machine's domain sees it.
        self.front: StepIssuer | ExecuteCrossing = self.issue if config.pump == 1 else ExecuteCrossing()
        self.array = SystolicArray(
            config.rows,
            config.columns,
            config.pack,
            x_width=config.x_width,
            acc_width=config.acc_width,
            packed_full_range=config.packed_full_range,
        )
        self.maxima, self.vector = RowMaxima(config.max_rows), VectorEngine(config)
        self._overflow = Signal(name="overflow")
        super().__init__(
            {
                **(tap_members(config) if taps else {}),
                "start": In(1),
                "program": In(config.address_bits),
                "read": Out(ReadPort(config.address_bits)).array(len(READERS)),
                "write": Out(WritePort(config.address_bits)).array(len(WRITERS)),
                "running": In(1),
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
        m.submodules.fetch, m.submodules.counters = self.fetch, self.counting
        m.submodules.load_t, m.submodules.load_b, m.submodules.routing = self.load_t, self.load_b, self.routing
        m.submodules.transforms, m.submodules.maxima = self.transforms, self.maxima
        m.submodules.operand_a, m.submodules.operand_b = self.operand_a, self.operand_b
        domain = DomainRenamer(self.config.array_domain)
        m.submodules.exec_, m.submodules.issue, m.submodules.drain = self.exec_, domain(self.issue), self.drain
        m.submodules.array, m.submodules.vector = domain(self.array), self.vector
        self._connect_program_and_memory(m)
        self._connect_loads(m)
        self._connect_execute(m)
        self._connect_semaphores(m)
        self._connect_state(m)
        self._connect_counters(m)
        execute = self.issue, self.drain, self.maxima, self.counting
        writers = self.load_t, self.load_b, self.vector
        watch_order(m, platform, self.fetch, writers, execute, self.operand_a, self.operand_b)
        if watched(platform):
            m.submodules.counting = domain(beside := Module())
            beside.d.comb += self.array.counting.eq(delayed(beside, self.issue.counting, BUFFER_LATENCY, "counting"))
        if self.taps:
            connect_taps(m, self, self.config, self.load_t, self.drain, self.vector)
        return m

    def _connect_program_and_memory(self, m: Module) -> None:
        fetch = self.fetch
        m.d.comb += [fetch.start.eq(self.start), fetch.program.eq(self.program)]
        for index, reader in enumerate((fetch.memory, self.load_t.memory, self.load_b.memory, self.drain.residual)):
            connect(m, reader, flipped(self.read[index]))
        for index, writer in enumerate((self.drain.store, self.counting.memory)):
            connect(m, writer, flipped(self.write[index]))
        words = {
            Engine.LOADT: self.load_t.words,
            Engine.LOADB: self.load_b.words,
            Engine.EXEC: self.exec_.words,
            Engine.VEC: self.vector.words,
        }
        for index, engine in enumerate(ENGINES):
            connect(m, fetch.queues[index], words[engine])

    def _connect_loads(self, m: Module) -> None:
        """T channel, B channel, and what they write."""
        load_t, load_b, transforms, routing = self.load_t, self.load_b, self.transforms, self.routing
        connect(m, load_t.source, transforms.i)
        connect(m, transforms.o, load_t.sink)
        connect(m, transforms.group, self.maxima.group)
        connect(m, self.maxima.o, transforms.maxima)
        connect(m, load_t.o, routing.t)
        connect(m, load_b.o, routing.b)
        connect(m, routing.operand_a, self.operand_a.beat)
        for source, target in zip(routing.operand_b, self.operand_b.write, strict=True):
            connect(m, source, target)
        connect(m, routing.constants, self.drain.constants)
        connect(m, routing.layernorm, transforms.constants)
        connect(m, routing.row_map, self.drain.row_map)
        m.d.comb += [
            transforms.job.eq(load_t.job),
            transforms.start.eq(load_t.job_start),
            load_b.sink.payload.eq(load_b.source.payload.beat),
            load_b.sink.valid.eq(load_b.source.valid),
            load_b.source.ready.eq(load_b.sink.ready),
        ]

    def _connect_execute(self, m: Module) -> None:
        exec_, issue, drain, array = self.exec_, self.issue, self.drain, self.array
        front = self.front
        if isinstance(front, ExecuteCrossing):
            m.submodules.crossing = front
            self._connect_crossing(m, front)
        connect(m, exec_.run, front.run)
        connect(m, exec_.mark, self.counting.mark)
        connect(m, drain.scores, self.vector.scores)
        connect(m, self.vector.o, self.operand_a.word)
        m.d.comb += [
            front.registers.eq(exec_.registers),
            front.drain_ready.eq(drain.ready),
            drain.registers.eq(exec_.registers),
            drain.run.eq(exec_.run.payload),
            drain.take.eq(front.accept),
            front.release.eq(drain.release),
            exec_.idle.eq(front.idle & drain.idle),
            self.operand_a.address.eq(issue.a_address),
            self.operand_b.address.eq(issue.b_address),
            array.step.eq(issue.step),
            array.a.eq(self.operand_a.data),
            array.b.eq(self.operand_b.data),
            drain.rows.eq(array.out),
            self.maxima.update.eq(drain.update),
            self.counting.log_base.eq(self.fetch.log_base),
        ]

    def _connect_crossing(self, m: Module, crossing: ExecuteCrossing) -> None:
        """The issuer's own ports, where its domain is another: all of this is in that one."""
        issue = self.issue
        m.d.comb += [
            issue.registers.eq(crossing.fast_registers),
            issue.run.payload.eq(crossing.fast_run.payload),
            issue.run.valid.eq(crossing.fast_run.valid),
            crossing.fast_run.ready.eq(issue.run.ready),
            issue.drain_ready.eq(1),  # as the operation crossed
            issue.release.eq(crossing.fast_release),
            crossing.fast_stepping.eq(issue.stepping),
            crossing.fast_blocked.eq(issue.blocked),
        ]
        for source, target in zip(issue.read, crossing.fast_read, strict=True):
            connect(m, source, target)

    def _connect_semaphores(self, m: Module) -> None:
        """Every event's way to the semaphores, and theirs to the engines."""
        load_t, load_b, exec_, vector = self.load_t, self.load_b, self.exec_, self.vector
        givers = [*self.drain.written, *self.front.read, load_t.done, load_b.done, vector.done]
        givers += [load_t.signal, load_b.signal, exec_.give, vector.signal]
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
        m.d.comb += [semaphores.clear.eq(sweeping != 0), self._overflow.eq(semaphores.overflow)]

    def _connect_state(self, m: Module) -> None:
        """Done, errors, progress."""
        fetch, load_t, load_b, exec_, vector = self.fetch, self.load_t, self.load_b, self.exec_, self.vector
        front, drain, counting = self.front, self.drain, self.counting
        engines_idle = load_t.idle & load_b.idle & front.idle & drain.idle & vector.idle
        illegal = fetch.illegal | load_t.illegal | load_b.illegal | exec_.illegal | vector.illegal
        outside = fetch.wrapped | load_t.wrapped | load_b.wrapped | drain.outside | counting.outside
        m.d.sync += self.done.eq(fetch.ended & fetch.empty & engines_idle & ~counting.memory.beat.valid)
        with m.If(self.error == ErrorCode.NONE):
            with m.If(fetch.mismatch):
                m.d.sync += self.error.eq(ErrorCode.WRONG_CONFIG)
            with m.Elif(illegal):
                m.d.sync += self.error.eq(ErrorCode.ILLEGAL_INSTRUCTION)
            with m.Elif(outside):
                m.d.sync += self.error.eq(ErrorCode.ADDRESS_RANGE)
            with m.Elif(self._overflow):
                m.d.sync += self.error.eq(ErrorCode.SEMAPHORE_OVERFLOW)
        carried = Signal()  # a register more, as memory's handshake comes late in a cycle
        m.d.sync += [
            carried.eq(self.reads | self.writes),
            self.progress.eq(fetch.transfer | front.stepping | carried | vector.o.valid),
        ]

    def _connect_counters(self, m: Module) -> None:
        load_t, load_b, exec_, drain = self.load_t, self.load_b, self.exec_, self.drain
        front = self.front
        running = ~front.idle
        events = {
            "cycles": 1,
            "steps": front.stepping,
            "exec_wait": exec_.waiting & ~running,
            "exec_blocked": front.blocked,
            "exec_empty": ~exec_.words.valid & ~running,
            "load_t_busy": ~load_t.idle,
            "load_t_wait": load_t.waiting,
            "load_b_busy": ~load_b.idle,
            "load_b_wait": load_b.waiting,
            "vector_busy": ~self.vector.idle,
            "drain_starved": drain.starved,
            "drain_stalled": drain.stalled,
            "memory_reads": self.reads,
            "memory_writes": self.writes,
            "fetch_stalled": self.fetch.stalled,
        }
        m.d.comb += [self.counting.begin.eq(self.start), self.counting.run.eq(self.running)]
        m.d.comb += self.counting.events.eq(Cat(Value.cast(events[name])[0] for name in COUNTERS))
        for index, value in enumerate(self.counting.values):
            m.d.comb += self.counters[index].eq(value)
