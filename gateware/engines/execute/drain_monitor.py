"""What the drain reads and writes of shared memories, by operation: only where contracts are watched."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring

from gateware.config import LANE_BYTES, LANES
from gateware.contracts import NUMBER_BITS, dram, watched, writes
from gateware.engines.execute.constants import ConstantMemory
from gateware.engines.execute.hand_over import HandOver
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
    hand_over: HandOver,
    parts: tuple[ConstantMemory, RowMap, ResidualFetch, RowStore],
) -> None:
    """Tells the drain's parts which operation they work on, and states its own writes."""
    if not watched(platform):
        return
    (constants, row_map, fetch, store), number = parts, hand_over.running
    # Memory takes results in the order in which the operations begin.
    m.submodules.store_numbers = stored = StreamFifo(NUMBER_BITS, STORES)
    m.d.comb += [
        stored.i.valid.eq(hand_over.begin & ~hand_over.operation.post.to_scores),
        stored.i.payload.eq(number),
        stored.o.ready.eq(store.stored),
    ]
    m.d.comb += [
        hand_over.number.eq(drain.number),
        constants.number.eq(number),
        constants.write_number.eq(drain.load_number),
        row_map.used.eq(store.i.valid & store.i.ready & store.scatter),
        row_map.number.eq(number),
        row_map.write_number.eq(drain.load_number),
        fetch.number.eq(number),
    ]
    scored = Signal(NUMBER_BITS)
    m.d.sync += [scored.eq(number), drain.update_number.eq(number)]
    scores = drain.scores
    place = Cat(scores.word, scores.row, scores.half)
    writes(m, platform, score_memory(len(place)), "EXEC", scores.valid, scored, place)
    beat = store.memory.beat
    lanes = Cat(beat.payload.mask[LANE_BYTES * lane] for lane in range(LANES))
    memory = dram(drain.config.address_bits)
    writes(m, platform, memory, "EXEC", beat.valid & beat.ready, stored.o.payload, beat.payload.address, lanes)
