"""Ports to watch tensors that never reach memory."""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from gateware.config import BEAT_BITS, LANES, AcceleratorConfig
from gateware.engines.execute.drain import Drain
from gateware.engines.load.loader import Loader
from gateware.engines.vector.vector import VectorEngine

__all__ = ["connect_taps", "tap_layouts", "tap_members"]


def tap_layouts(config: AcceleratorConfig) -> dict[str, data.StructLayout]:
    """What can be watched of tensors that never reach memory, by the names of the ports.

    Loaded beats behind a transform with their destination, scores and probabilities by words, branches of residuals.
    """
    row = range(config.rows)
    words = data.ArrayLayout(8, LANES)
    return {
        "tap_load": data.StructLayout({"beat": BEAT_BITS, "transform": 2}),
        "tap_scores": data.StructLayout({"data": words, "row": row, "word": 10}),
        "tap_probabilities": data.StructLayout(
            {"data": data.ArrayLayout(signed(config.a_width), LANES), "bank": row, "address": 16}
        ),
        "tap_branches": data.StructLayout({"data": data.ArrayLayout(16, LANES), "row": row}),
    }


def tap_members(config: AcceleratorConfig) -> dict[str, wiring.Member]:
    """The ports."""
    return {
        name: Out(wiring.Signature({"payload": Out(layout), "valid": Out(1)}))
        for name, layout in tap_layouts(config).items()
    }


def connect_taps(
    m: Module, core: wiring.Component, config: AcceleratorConfig, load_t: Loader, drain: Drain, vector: VectorEngine
) -> None:
    """Drives the ports that `tap_members` gave to a core, from its engines."""
    ports = {name: getattr(core, name) for name in tap_layouts(config)}
    load, scores = ports["tap_load"], ports["tap_scores"]
    probabilities, branches = ports["tap_probabilities"], ports["tap_branches"]
    m.d.comb += [
        load.valid.eq(load_t.o.valid & load_t.o.ready),
        load.payload.beat.eq(load_t.o.payload.beat),
        load.payload.transform.eq(load_t.o.payload.registers.config.transform),
        scores.valid.eq(drain.scores.valid),
        scores.payload.data.eq(drain.scores.data),
        scores.payload.row.eq(drain.scores.row),
        scores.payload.word.eq(drain.scores.word),
        probabilities.valid.eq(vector.o.valid),
        probabilities.payload.data.eq(vector.o.payload.word),
        probabilities.payload.bank.eq(vector.o.payload.bank),
        probabilities.payload.address.eq(vector.o.payload.address),
        branches.valid.eq(drain.kept["valid"]),
        branches.payload.data.eq(drain.kept["values"]),
        branches.payload.row.eq(drain.kept["row"]),
    ]
