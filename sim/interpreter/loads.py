"""LOADT and LOADB."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gateware.config import LANES, AcceleratorConfig
from gateware.isa import DST_BITS, DST_COLUMN_BITS, Constants, Engine, LoadTarget, Transform
from sim.interpreter.state import BEAT, MachineState, strided
from sim.reference.layernorm import ILayerNorm
from sim.reference.rescale import Dyadic, Rescale
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftgelu import ShiftGELU

__all__ = ["load"]

MOST_SHIFT = 127
Beats = npt.NDArray[np.uint8]


def load(state: MachineState, engine: Engine) -> None:
    """One RUN of a load engine."""
    sources = strided(
        state.value(engine, "SRC_BASE"),
        [state.value(engine, f"SRC_COUNT{level}") for level in range(4)],
        [state.value(engine, f"SRC_STRIDE{level}") for level in range(4)],
    )
    state.check_addresses(sources, f"{engine.name}'s source")
    beats = state.beats[sources]
    configuration = state.fields(engine, "CONFIG")
    if engine is Engine.LOADT:
        beats = _transformed(state, beats, configuration)
    elif configuration["transform"] == Transform.TRANSPOSE:
        beats = beats.swapaxes(1, 2)
    places = strided(
        state.value(engine, "DST_BASE"),
        [state.value(engine, f"DST_COUNT{level}") for level in range(3)],
        [state.value(engine, f"DST_STRIDE{level}") for level in range(3)],
    ) % (1 << DST_BITS)
    if len(places) != len(beats):
        raise ValueError(f"{engine.name}: {len(beats)} beats arrive and {len(places)} places are named")
    target = LoadTarget(configuration["target"])
    if target is LoadTarget.A:
        _write_a(state, beats, places, configuration["row_limit"])
    elif target is LoadTarget.B:
        state.b[places] = np.ascontiguousarray(beats).view(np.int8)
    else:
        records = state.constants if target is LoadTarget.CONSTANTS else state.norm_constants
        records[places] = _records(beats)


def _records(beats: Beats) -> npt.NDArray[np.int64]:
    """(bias, multiplier, shift) of each beat, as `isa.Constants` lays them out."""
    words = beats.reshape(-1, BEAT).copy().view("<i4").astype(np.int64)
    assert Constants.as_shape().size == 8 * BEAT
    return np.stack([words[:, 0], words[:, 1], np.minimum(words[:, 2] & 0xFF, MOST_SHIFT)], axis=1)


def _write_a(state: MachineState, beats: Beats, places: npt.NDArray[np.int64], row_limit: int) -> None:
    rows_of = state.config.rows
    row = places >> DST_COLUMN_BITS
    row = np.where(row >> (DST_BITS - DST_COLUMN_BITS - 1), row - (1 << (DST_BITS - DST_COLUMN_BITS)), row)
    k = places & ((1 << DST_COLUMN_BITS) - 1)
    base, stride = state.value(Engine.LOADT, "A_BASE"), state.value(Engine.LOADT, "A_BLOCK_STRIDE")
    for lane in range(LANES):
        here = row + lane
        kept = (here >= 0) & (here < row_limit)
        address = base + here // rows_of * stride + k
        state.a[here[kept] % rows_of, address[kept] % state.config.a_depth] = beats[kept, lane].view(np.int8)


def _rows(beats: Beats, groups: int, size: int) -> npt.NDArray[np.int64]:
    """(4 * groups, channels) from beats in the order of a transform."""
    octets = beats.reshape(groups, -1, LANES, 4).swapaxes(1, 2)
    return np.ascontiguousarray(octets).view(f"<i{size}").reshape(LANES * groups, -1).astype(np.int64)


def _beats(rows: npt.NDArray[np.int64], groups: int, size: int) -> Beats:
    octets = rows.astype(f"<i{size}").view(np.uint8).reshape(groups, LANES, -1, 4).swapaxes(1, 2)
    return np.ascontiguousarray(octets).reshape(-1, LANES, 4)


def _transformed(state: MachineState, beats: Beats, configuration: dict[str, int]) -> Beats:
    kind = Transform(configuration["transform"])
    if kind is Transform.IDENTITY:
        return beats
    shape = state.fields(Engine.LOADT, "GROUPS")
    groups, channels = shape["groups"], shape["channels"]
    if kind is Transform.LAYERNORM:
        rows = _rows(beats, groups, 1 if configuration["narrow"] else 2)
        bias, multiplier, shift = state.norm_constants[:channels].T
        norm = ILayerNorm(bias).apply(rows)
        bits = 16 if configuration["wide"] else 8
        result = Rescale(Dyadic(multiplier, shift), bits).apply(norm)
        state.observe("layernorm", rows=result)
        return _beats(result, groups, bits // 8)
    rows = _rows(beats, groups, 1)
    first = LANES * state.value(Engine.LOADT, "MAX_GROUP")
    gelu = state.fields(Engine.LOADT, "GELU_CONFIG")
    multiplier = state.joined(Engine.LOADT, "MULTIPLIER_LO", "MULTIPLIER_HI")
    result = np.empty_like(rows)
    for index, row in enumerate(rows):
        top = int(state.maxima[(first + index) % len(state.maxima)])
        table = _table(state.config, gelu["x0"], multiplier, min(gelu["shift"], MOST_SHIFT), top)
        result[index] = table[row + 128]
    state.observe("shiftgelu", rows=result)
    return _beats(result, groups, 1)


@lru_cache(maxsize=4096)
def _table(config: AcceleratorConfig, x0: int, multiplier: int, shift: int, top: int) -> npt.NDArray[np.int64]:
    unit = ShiftGELU(ShiftExp(x0, config.arithmetic.gelu_n))
    return unit.table(top, Rescale(Dyadic(np.array(multiplier), np.array(shift)), 8))
