"""What a look-up of row maxima must give, however the maxima are kept."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring

from gateware.config import LANES
from gateware.contracts import require, watched

__all__ = ["watch_maxima"]

RESET_BITS = 8


def watch_maxima(m: Module, platform: object, unit: wiring.Component) -> None:
    """States that a look-up gives the maxima with every update up to the cycle in which it is taken.

    A second memory of maxima is read, compared and written in the cycle of an update. Nothing is required of a look-up
    if a row of its group is updated before its end, or has not been fresh since the last reset: updates on their way
    into the unit's memory were lost then.
    """
    if not watched(platform):
        return
    update, group, out = unit.update, unit.group, unit.o
    entry = data.StructLayout({"top": signed(8), "resets": RESET_BITS})
    m.submodules.monitor_ram = ram = memory.Memory(shape=entry, depth=unit.max_rows, init=[])
    resets, after_reset = Signal(RESET_BITS, reset_less=True), Signal(init=1)
    m.d.sync += after_reset.eq(0)
    with m.If(after_reset):
        m.d.sync += resets.eq(resets + 1)
    writer, before = ram.write_port(), ram.read_port(domain="comb")
    top: Value = update["values"][0]
    for index in range(1, LANES):
        top = _greater(top, update["values"][index])
    m.d.comb += [
        before.addr.eq(update.row),
        writer.addr.eq(update.row),
        writer.data.top.eq(Mux(update.fresh, top, _greater(top, before.data.top))),
        writer.data.resets.eq(Mux(update.fresh, resets + after_reset, before.data.resets)),
        writer.en.eq(update.valid),
    ]
    taken, of_group = Signal(), Signal()
    expected = Signal(data.ArrayLayout(entry, LANES))
    held, disturbed = Signal.like(group.payload), Signal()
    m.d.comb += [
        taken.eq(group.valid & group.ready),
        of_group.eq(update.valid & (update.row[2:] == Mux(taken, group.payload, held))),
    ]
    for lane in range(LANES):
        reader = ram.read_port(domain="comb")
        here = of_group & (update.row[:2] == lane)
        m.d.comb += reader.addr.eq((group.payload << 2) | lane)
        with m.If(taken):
            m.d.sync += expected[lane].eq(Mux(here, writer.data.as_value(), reader.data.as_value()))
    with m.If(taken):
        m.d.sync += [held.eq(group.payload), disturbed.eq(0)]
    with m.Elif(of_group):
        m.d.sync += disturbed.eq(1)
    wrong = Cat(
        (expected[lane].resets == resets) & (expected[lane].top != out.payload[lane]) for lane in range(LANES)
    ).any()
    require(m, platform, unit, "a look-up counts every update before it", ~(out.valid & wrong & ~disturbed))


def _greater(a: Value, b: Value) -> Value:
    return Mux(a > b, a, b)
