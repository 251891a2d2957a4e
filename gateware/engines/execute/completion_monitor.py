"""In what order the ends of EXEC's operations must be told, whatever unit tells them."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, wiring

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
    begins, ports = unit.operation.valid & unit.operation.ready, unit.written
    payload = unit.operation.payload
    entry = data.StructLayout({"written": payload.written.shape(), "kind": 1, "ordinal": COUNT_BITS})
    ring = Array(Signal(entry, name=f"operation_{place}") for place in range(1 << PLACES_BITS))
    begun = Signal(PLACES_BITS)
    of_kind = [Signal(COUNT_BITS, name=f"begun_{kind}") for kind in ("stored", "scored")]
    ended = [Signal(COUNT_BITS, name=f"over_{kind}") for kind in ("stored", "scored")]
    for kind, end in enumerate((unit.stored, unit.scored)):
        m.d.sync += [
            ended[kind].eq(ended[kind] + end),
            of_kind[kind].eq(of_kind[kind] + (begins & (payload.to_scores == kind))),
        ]
        text = f"an operation that {('stores', 'gives scores')[kind]} ends after its beginning"
        require(m, platform, unit, text, ~end | (ended[kind] != of_kind[kind]))
    with m.If(begins):
        m.d.sync += [
            begun.eq(begun + 1),
            ring[begun].written.eq(payload.written),
            ring[begun].kind.eq(payload.to_scores),
            ring[begun].ordinal.eq(Array(of_kind)[payload.to_scores]),
        ]
    for index, port in enumerate(ports):
        told, tells = Signal(PLACES_BITS, name=f"told_{index}"), port.valid & port.ready
        m.d.sync += told.eq(told + tells)
        oldest = ring[told]
        left = (Array(ended)[oldest.kind] - oldest.ordinal - 1)[COUNT_BITS - 1]
        right = (told != begun) & ~left & (port.payload.semaphore == oldest.written[index])
        require(m, platform, unit, "operations are told in their order, each after its end", ~tells | right)
