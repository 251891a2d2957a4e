"""What stands at the head of an engine's queue: registers, waits, signals, and the start of operations."""

from amaranth.hdl import Module, Shape, ShapeLike, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.isa import REGISTERS, RUN_FIELDS, VALUE_BITS, Engine, Field, InstructionWord, Op, Register, SemaphoreValue

__all__ = ["Sequencer", "register_layout", "run_layout"]


def _fields_layout(width: int, fields: tuple[Field, ...]) -> data.FlexibleLayout:
    return data.FlexibleLayout(width, {f.name: data.Field(f.width, f.low) for f in fields})


def _register_shape(register: Register) -> ShapeLike:
    if register.fields:
        return _fields_layout(register.width, register.fields)
    return Shape(register.width, register.signed)


def register_layout(engine: Engine) -> data.StructLayout:
    """An engine's registers, by their names in lower case; those with fields are structures."""
    return data.StructLayout({r.name.lower(): _register_shape(r) for r in REGISTERS[engine]})


def run_layout(engine: Engine) -> data.FlexibleLayout:
    """The fields of an engine's RUN."""
    return _fields_layout(VALUE_BITS, RUN_FIELDS[engine])


class Sequencer(wiring.Component):
    """Executes an engine's words in order, one a cycle where nothing is waited for.

    Whether the engine is idle is known a cycle late, as it hangs on much.

    A RUN is offered on ``run`` with the registers as they stand; SETs behind it wait until it is taken.

    Parameters
    ----------
    engine : Engine
        LOADT, LOADB, EXEC or VEC.

    Members
    -------
    words : In(stream of InstructionWord)
    registers : Out(register_layout(engine))
    written : Out
        ``valid`` in the cycle after a SET of register ``number``.
    run : Out(stream of run_layout(engine))
    mark : Out(stream of 24 bits)
        MARK's value; only EXEC has it.
    take : Out(SemaphoreValue), taking : Out(1), taken : In(1)
        A WAIT stands at the head; ``taken`` in the cycle that lets it pass.
    give : Out(stream of SemaphoreValue)
        A SIGNAL.
    idle : In(1)
        Every operation taken from ``run`` in an earlier cycle has finished.
    illegal : Out(1)
        The word at the head is none of this engine's.
    waiting : Out(1)
        A WAIT holds the engine up.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        super().__init__(
            {
                "words": In(stream.Signature(InstructionWord)),
                "registers": Out(register_layout(engine)),
                "written": Out(data.StructLayout({"valid": 1, "number": 5})),
                "run": Out(stream.Signature(run_layout(engine))),
                "mark": Out(stream.Signature(VALUE_BITS)),
                "take": Out(SemaphoreValue),
                "taking": Out(1),
                "taken": In(1),
                "give": Out(stream.Signature(SemaphoreValue)),
                "idle": In(1),
                "illegal": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word, valid = self.words.payload, self.words.valid
        m.d.comb += [
            self.run.payload.eq(word.value),
            self.mark.payload.eq(word.value),
            self.take.eq(word.value),
            self.give.payload.eq(word.value),
            self.waiting.eq(self.taking),
        ]
        m.d.sync += self.written.valid.eq(0)
        quiet = Signal()
        m.d.sync += quiet.eq(self.idle & ~(self.run.valid & self.run.ready))
        with m.Switch(word.op):
            for register in REGISTERS[self.engine]:
                with m.Case(register.number):
                    m.d.comb += self.words.ready.eq(1)
                    target = self.registers[register.name.lower()]
                    with m.If(valid):
                        m.d.sync += [
                            target.eq(word.value[: register.width]),
                            self.written.valid.eq(1),
                            self.written.number.eq(register.number),
                        ]
            with m.Case(Op.RUN):
                m.d.comb += [self.run.valid.eq(valid), self.words.ready.eq(self.run.ready)]
            with m.Case(Op.WAIT):
                m.d.comb += [self.taking.eq(valid), self.words.ready.eq(self.taken)]
            with m.Case(Op.SIGNAL):
                m.d.comb += [self.give.valid.eq(valid & quiet), self.words.ready.eq(self.give.ready & quiet)]
            if self.engine is Engine.EXEC:
                with m.Case(Op.MARK):
                    m.d.comb += [self.mark.valid.eq(valid), self.words.ready.eq(self.mark.ready)]
            with m.Default():
                m.d.comb += self.illegal.eq(valid)
        return m
