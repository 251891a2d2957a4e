"""The operations' numbers, from engine to engine: only where contracts are watched."""

from amaranth.hdl import Module

from gateware.contracts import watched
from gateware.control.fetch import Fetch
from gateware.engines.load.loader import Loader
from gateware.engines.vector.vector import VectorEngine
from gateware.memory.operand_a import OperandA
from gateware.memory.operand_b import OperandB

__all__ = ["connect_numbers"]


def connect_numbers(
    m: Module,
    platform: object,
    fetch: Fetch,
    load_t: Loader,
    load_b: Loader,
    vector: VectorEngine,
    operand_a: OperandA,
    operand_b: OperandB,
) -> None:
    """Tells each engine which word of the program it runs, and each buffer whose beats it takes and who is done."""
    if not watched(platform):
        return
    for engine, number in zip((load_t, load_b, None, vector), fetch.numbers, strict=True):
        if engine is not None:
            m.d.comb += engine.number.eq(number)
    m.d.comb += [
        operand_a.beat_number.eq(load_t.writing),
        operand_a.word_number.eq(vector.writing),
        operand_b.numbers[0].eq(load_t.writing),
        operand_b.numbers[1].eq(load_b.writing),
    ]
    for engine, number, ends in (
        (load_t, load_t.told, (operand_a.ended[0], operand_b.ended[0])),
        (load_b, load_b.told, (operand_b.ended[1],)),
        (vector, vector.writing, (operand_a.ended[1],)),
    ):
        for end in ends:
            m.d.comb += [end.told.eq(engine.done.valid), end.number.eq(number)]
