"""What the drain reads and writes of shared memories, by operation: only where contracts are watched."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring

from gateware.config import LANE_BYTES, LANES
from gateware.contracts import NUMBER_BITS, dram, writes
from gateware.engines.execute.constants import ConstantMemory
from gateware.engines.execute.residual_fetch import ResidualFetch
from gateware.engines.execute.row_map import RowMap
from gateware.engines.execute.store import RowStore
from gateware.softmax.scores import score_memory
from gateware.stream.fifo import StreamFifo

__all__ = ["watch_drain"]

STORES = 16  # operations whose results are on their way to memory, at most; a power of two


def watch_drain(
    m: Module,
    platform: object,
    drain: wiring.Component,
    op: data.View,
    starting: Value,
    parts: tuple[ConstantMemory, RowMap, ResidualFetch, RowStore],
) -> None:
    """Tells the drain's parts which operation they work on, and states its own writes.

    ``op`` is the operation, with its ``number``, that begins with ``starting``.
    """
    constants, row_map, skip, store = parts
    # Memory takes results in the order in which the operations begin.
    m.submodules.store_numbers = stored = StreamFifo(NUMBER_BITS, STORES)
    m.d.comb += [
        stored.i.valid.eq(starting & ~op.post.to_scores),
        stored.i.payload.eq(op.number),
        stored.o.ready.eq(store.stored),
    ]
    m.d.comb += [
        constants.number.eq(op.number),
        constants.write_number.eq(drain.load_number),
        row_map.used.eq(store.i.valid & store.i.ready & store.scatter),
        row_map.number.eq(op.number),
        row_map.write_number.eq(drain.load_number),
        skip.number.eq(op.number),
    ]
    scored = Signal(NUMBER_BITS)
    m.d.sync += [scored.eq(op.number), drain.update_number.eq(op.number)]
    scores = drain.scores
    place = Cat(scores.word, scores.row, scores.half)
    writes(m, platform, score_memory(len(place)), "EXEC", scores.valid, scored, place)
    beat = store.memory.beat
    lanes = Cat(beat.payload.mask[LANE_BYTES * lane] for lane in range(LANES))
    memory = dram(drain.config.address_bits)
    writes(m, platform, memory, "EXEC", beat.valid & beat.ready, stored.o.payload, beat.payload.address, lanes)
