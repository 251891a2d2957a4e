"""LOADT and LOADB."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gateware.config import BEAT_BYTES, LANES, AcceleratorConfig
from gateware.isa import (
    DESTINATION_LEVELS,
    DST_BITS,
    DST_COLUMN_BITS,
    ROW_MAP_BITS,
    SOURCE_LEVELS,
    Constants,
    Engine,
    ErrorCode,
    LoadTarget,
    Transform,
)
from sim.interpreter.state import MachineError, MachineState, looped
from sim.reference.nonlinear import integer_gelu, layernorm_of
from sim.reference.rescale import Dyadic, Rescale

__all__ = ["load"]

MOST_SHIFT = 127
KNOWN = {
    Engine.LOADT: ((LoadTarget.A, LoadTarget.B), (Transform.IDENTITY, Transform.LAYERNORM, Transform.SHIFTGELU)),
    Engine.LOADB: (
        (LoadTarget.ROW_MAP, LoadTarget.B, LoadTarget.CONSTANTS, LoadTarget.LAYERNORM),
        (Transform.IDENTITY, Transform.TRANSPOSE),
    ),
}
Beats = npt.NDArray[np.uint8]


def load(state: MachineState, engine: Engine) -> None:
    """One RUN of a load engine.

    Raises
    ------
    MachineError : an address outside memory or its buffer, a target or transform that the engine does not know, or
        other than one place for each beat
    """
    sources = looped(
        state.value(engine, "SRC_BASE"),
        [state.value(engine, f"SRC_COUNT{level}") for level in range(SOURCE_LEVELS)],
        [state.value(engine, f"SRC_JUMP{level}") for level in range(SOURCE_LEVELS)],
    )
    state.check_addresses(sources, f"{engine.name}'s source")
    beats = state.beats[sources]
    configuration = state.fields(engine, "CONFIG")
    target, transform = LoadTarget(configuration["target"]), Transform(configuration["transform"])
    targets, transforms = KNOWN[engine]
    if target not in targets or transform not in transforms:
        raise MachineError(
            ErrorCode.ILLEGAL_INSTRUCTION, f"{engine.name} has no transform {transform.name} to {target.name}"
        )
    if engine is Engine.LOADT:
        beats = _transformed(state, beats, configuration)
    elif transform is Transform.TRANSPOSE:
        beats = beats.swapaxes(1, 2)
    places = looped(
        state.value(engine, "DST_BASE"),
        [state.value(engine, f"DST_COUNT{level}") for level in range(DESTINATION_LEVELS)],
        [state.value(engine, f"DST_JUMP{level}") for level in range(DESTINATION_LEVELS)],
    ) % (1 << DST_BITS)
    if len(places) != len(beats):
        raise MachineError(
            ErrorCode.WATCHDOG, f"{engine.name}: {len(beats)} beats arrive and {len(places)} places are named"
        )
    if target is LoadTarget.ROW_MAP and engine is Engine.LOADB:
        state.check_range(places, len(state.row_map), "LOADB to the row map")
        state.row_map[places] = _records(beats)[:, 0] & ((1 << ROW_MAP_BITS) - 1)
    elif target is LoadTarget.A:
        _write_a(state, beats, places, configuration["row_limit"])
    elif target is LoadTarget.B:
        state.check_range(places, state.config.b_depth, f"{engine.name} to B")
        state.b[places] = np.ascontiguousarray(beats).view(np.int8)
    else:
        records = state.constants if target is LoadTarget.CONSTANTS else state.norm_constants
        state.check_range(places, len(records), f"{engine.name} to {target.name}")
        records[places] = _records(beats)


def _records(beats: Beats) -> npt.NDArray[np.int64]:
    """(bias, multiplier, shift) of each beat, as `isa.Constants` lays them out."""
    words = beats.reshape(-1, BEAT_BYTES).copy().view("<i4").astype(np.int64)
    bias, multiplier, shift = (Constants.as_shape()[name].offset // 32 for name in ("bias", "multiplier", "shift"))
    return np.stack([words[:, bias], words[:, multiplier], np.minimum(words[:, shift] & 0xFF, MOST_SHIFT)], axis=1)


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
        state.check_range(address[kept], state.config.a_depth, "LOADT to A")
        state.a[here[kept] % rows_of, address[kept]] = beats[kept, lane].view(np.int8)


def _rows(beats: Beats, groups: int, size: int) -> npt.NDArray[np.int64]:
    """(4 * groups, channels) from beats in the order of a transform."""
    lanes = beats.reshape(groups, -1, LANES, 4).swapaxes(1, 2)
    return np.ascontiguousarray(lanes).view(f"<i{size}").reshape(LANES * groups, -1).astype(np.int64)


def _beats(rows: npt.NDArray[np.int64], groups: int) -> Beats:
    lanes = rows.astype(np.int8).view(np.uint8).reshape(groups, LANES, -1, 4).swapaxes(1, 2)
    return np.ascontiguousarray(lanes).reshape(-1, LANES, 4)


def _transformed(state: MachineState, beats: Beats, configuration: dict[str, int]) -> Beats:
    kind = Transform(configuration["transform"])
    if kind is Transform.IDENTITY:
        return beats
    shape = state.fields(Engine.LOADT, "GROUPS")
    groups, channels = shape["groups"], shape["channels"]
    size = 2 if kind is Transform.LAYERNORM and not configuration["narrow"] else 1
    if groups * channels * size != len(beats) * LANES or not groups * channels:
        raise MachineError(
            ErrorCode.WATCHDOG,
            f"{kind.name} of {groups} row groups of {channels} channels does not take {len(beats)} beats",
        )
    if kind is Transform.LAYERNORM:
        state.check_range(np.array(channels - 1), state.config.ln_channels, "LayerNorm's channels")
        rows = _rows(beats, groups, size)
        bias, multiplier, shift = state.norm_constants[:channels].T
        norm = layernorm_of(state.config.arithmetic, bias).apply(rows)
        result = Rescale(Dyadic(multiplier, shift), 16 if configuration["wide"] else 8).apply(norm)
        state.observe("layernorm", rows=result)
        if configuration["wide"]:
            result = (result & 255) - 128 if configuration["low"] else result >> 8
        return _beats(result, groups)
    rows = _rows(beats, groups, 1)
    first = LANES * state.value(Engine.LOADT, "MAX_GROUP")
    maxima = state.maxima[(first + np.arange(len(rows))) % len(state.maxima)]
    gelu = state.fields(Engine.LOADT, "GELU_CONFIG")
    if not gelu["x0"]:
        raise MachineError(ErrorCode.ILLEGAL_INSTRUCTION, "ShiftGELU needs an |x0| of at least 1")
    multiplier = state.joined(Engine.LOADT, "MULTIPLIER_LO", "MULTIPLIER_HI")
    result = np.empty_like(rows)
    for index, row in enumerate(rows):
        top = int(maxima[index])
        table = _table(state.config, gelu["x0"], multiplier, min(gelu["shift"], MOST_SHIFT), top)
        result[index] = table[row + 128]
    state.observe("shiftgelu", rows=result)
    return _beats(result, groups)


@lru_cache(maxsize=4096)
def _table(config: AcceleratorConfig, x0: int, multiplier: int, shift: int, top: int) -> npt.NDArray[np.int64]:
    return integer_gelu(config.arithmetic, x0).table(top, Rescale(Dyadic(np.array(multiplier), np.array(shift)), 8))
