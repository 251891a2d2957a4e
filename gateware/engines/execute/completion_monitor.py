"""The order in which the ends of EXEC's operations must be reported, whatever unit reports them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, wiring

from gateware.contracts import require, watched

__all__ = ["watch_completion"]

PLACES_BITS = 4
COUNT_BITS = 8


def watch_completion(m: Module, platform: object, unit: wiring.Component) -> None:
    """States that each port gives the operations' semaphores in the order of the operations, each after its end.

    The last operations are remembered in a ring: their semaphores, their kind, and the place among those of their kind.
    One has ended when as many of its kind have.
    """
    if not watched(platform):
        return
    payload, begins = unit.operation.payload, unit.operation.valid & unit.operation.ready
    entry = data.StructLayout({"written": payload.written.shape(), "kind": 1, "ordinal": COUNT_BITS})
    m.submodules.monitor_ring = ring = memory.Memory(shape=entry, depth=1 << PLACES_BITS, init=[])
    writer, begun = ring.write_port(), Signal(PLACES_BITS)
    of_kind = [Signal(COUNT_BITS, name=f"begun_{kind}") for kind in ("stored", "scored")]
    ended = [Signal(COUNT_BITS, name=f"over_{kind}") for kind in ("stored", "scored")]
    m.d.comb += [
        writer.en.eq(begins),
        writer.addr.eq(begun),
        writer.data.written.eq(payload.written),
        writer.data.kind.eq(payload.to_scores),
        writer.data.ordinal.eq(Mux(payload.to_scores, of_kind[1], of_kind[0])),
    ]
    m.d.sync += begun.eq(begun + begins)
    for kind, end in enumerate((unit.stored, unit.scored)):
        m.d.sync += [
            ended[kind].eq(ended[kind] + end),
            of_kind[kind].eq(of_kind[kind] + (begins & (payload.to_scores == kind))),
        ]
        text = f"an operation that {('stores', 'gives scores')[kind]} ends after its beginning"
        require(m, platform, unit, text, ~end | (ended[kind] != of_kind[kind]))
    for index, port in enumerate(unit.written):
        told, tells, reader = Signal(PLACES_BITS, name=f"told_{index}"), Signal(), ring.read_port(domain="comb")
        m.d.comb += [tells.eq(port.valid & port.ready), reader.addr.eq(told)]
        m.d.sync += told.eq(told + tells)
        oldest = reader.data
        left = (Mux(oldest.kind, ended[1], ended[0]) - oldest.ordinal - 1)[COUNT_BITS - 1]
        right = (told != begun) & ~left & (port.payload.semaphore == oldest.written[index])
        require(m, platform, unit, "operations are told in their order, each after its end", ~tells | right)
