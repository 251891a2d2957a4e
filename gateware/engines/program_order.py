"""Which operation of the program every engine works on, where contracts are watched: so its order can be."""

from amaranth.hdl import Module

from gateware.contracts import reads, watched
from gateware.control.counters import Counters
from gateware.control.fetch import Fetch
from gateware.engines.execute.drain import Drain
from gateware.engines.execute.issue import StepIssuer
from gateware.engines.execute.maxima import RowMaxima
from gateware.engines.load.loader import Loader
from gateware.engines.vector.vector import VectorEngine
from gateware.memory.operand_a import OperandA, operand_a
from gateware.memory.operand_b import OperandB, operand_b

__all__ = ["watch_order"]


def watch_order(
    m: Module,
    platform: object,
    fetch: Fetch,
    writers: tuple[Loader, Loader, VectorEngine],
    execute: tuple[StepIssuer, Drain, RowMaxima, Counters],
    a: OperandA,
    b: OperandB,
) -> None:
    """Tells each engine which word of the program it runs, and each memory who reads, who writes and who is done."""
    if not watched(platform):
        return
    (load_t, load_b, vector), (issue, drain, maxima, counters) = writers, execute
    for part, number in (
        (load_t.number, fetch.numbers[0]),
        (load_b.number, fetch.numbers[1]),
        (issue.number, fetch.numbers[2]),
        (drain.number, fetch.numbers[2]),
        (counters.number, fetch.numbers[2]),
        (vector.number, fetch.numbers[3]),
        (drain.load_number, load_b.writing),
        (maxima.number, drain.update_number),
        (maxima.group_number, load_t.opened),
        (a.beat_number, load_t.writing),
        (a.word_number, vector.writing),
        (b.numbers[0], load_t.writing),
        (b.numbers[1], load_b.writing),
    ):
        m.d.comb += part.eq(number)
    for engine, number, ends in (
        (load_t, load_t.told, (a.ended[0], b.ended[0])),
        (load_b, load_b.told, (b.ended[1],)),
        (vector, vector.writing, (a.ended[1],)),
    ):
        for end in ends:
            m.d.comb += [end.told.eq(engine.done.valid), end.number.eq(number)]
    steps = issue.stepping, issue.running
    lanes, domain = issue.counting, a.read_domain
    reads(m, platform, operand_a(a.depth, a.rows), "EXEC", *steps, issue.a_address, lanes, domain)
    reads(m, platform, operand_b(b.depth), "EXEC", *steps, issue.b_address, domain=b.read_domain)
