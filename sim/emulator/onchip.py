"""Tensors that never reach memory, put together from what the taps showed: operands, scores, branches of residuals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Shape
from amaranth.lib import data

from firmware.compiler.compiled import Compiled
from firmware.compiler.fuse.layers import Attention, Gelu, Matmul, Norm, Plan
from firmware.compiler.lower.operations import Operation
from firmware.compiler.lower.registers import (
    ArrayRegisters,
    ExecuteRegisters,
    LoadRegisters,
    ScoreRegisters,
    SoftmaxRegisters,
)
from firmware.compiler.span import Span
from gateware.config import LANE_BYTES, LANES, AcceleratorConfig, in_halves
from gateware.isa import Engine, PostMode, Transform
from gateware.taps import tap_layouts
from sim.emulator.emulation import Recording
from sim.reference.rounding import ceil_div

__all__ = ["OnChipError", "Piece", "pieces"]

Integers = npt.NDArray[np.int64]
ELEMENT_MASK = 0x1FF  # of nine bits without a sign


class OnChipError(RuntimeError):
    """A tap showed more or less than the program's operations make; one sentence."""


@dataclass(frozen=True)
class Piece:
    """A part of a tensor as the machine computed it: of `tensor`, at `place`; of 16-bit values perhaps one octet alone.

    Rows are places in memory (`Compiled.orders`); those of scores are tokens of a window.
    """

    tensor: str
    place: tuple[slice, ...]
    values: Integers
    octet: str | None = None

    def shown(self, values: Integers) -> Integers:
        """Of the tensor's integers what the machine showed."""
        if self.octet is None:
            return values
        return values % 256 - 128 if self.octet == "low" else values // 256


class _Tap:
    """What a tap showed, in order: fields by name, taken by so many records at a time."""

    def __init__(self, name: str, layout: data.StructLayout, recording: Recording) -> None:
        self.name, self._layout, self._payload, self._next = name, layout, recording.payload, 0

    def take(self, count: int) -> _Tap:
        """The next `count` records."""
        part = _Tap(self.name, self._layout, Recording(np.zeros(0, np.uint64), self._payload[self._next :][:count]))
        if len(part._payload) != count:
            raise OnChipError(f"{self.name} ended {count - len(part._payload)} records too early.")
        self._next += count
        return part

    def end(self) -> None:
        left = len(self._payload) - self._next
        if left:
            raise OnChipError(f"{self.name} showed {left} records more than the program makes.")

    def select(self, chosen: npt.NDArray[np.bool_]) -> None:
        self._payload = self._payload[chosen]

    def field(self, name: str, index: int | None = None) -> Integers:
        """One field of all records; of an array its element."""
        field = self._layout[name]
        low, shape = field.offset, field.shape
        if index is not None:
            assert isinstance(shape, data.ArrayLayout)
            low, shape = low + shape[index].offset, shape.elem_shape
        cast = Shape.cast(shape)
        word, bit = divmod(low, 32)
        value = self._payload[:, word].astype(np.int64) >> bit
        if bit + cast.width > 32:
            value |= self._payload[:, word + 1].astype(np.int64) << (32 - bit)
        value &= (1 << cast.width) - 1
        result: Integers = value - ((value >> (cast.width - 1)) << cast.width) if cast.signed else value
        return result

    def words(self, count: int) -> npt.NDArray[np.uint32]:
        """The lowest 32-bit words of all records."""
        return np.ascontiguousarray(self._payload[:, :count])


def pieces(compiled: Compiled, config: AcceleratorConfig, recordings: Mapping[str, Recording]) -> Iterator[Piece]:
    """Everything that the taps showed of one frame, in the order of the program.

    Parameters
    ----------
    compiled : what ran
    config : the machine
    recordings : of every tap (`gateware.taps.tap_layouts`, without "tap_"), of one frame

    Raises
    ------
    OnChipError : a tap showed something else than the program's operations make
    """
    layouts = tap_layouts(config)
    taps = {name: _Tap(name, layout, recordings[name.removeprefix("tap_")]) for name, layout in layouts.items()}
    taps["tap_load"].select(taps["tap_load"].field("transform") != Transform.IDENTITY)
    layers = {layer.name: layer for layer in compiled.plan.layers}
    turns = {(name, engine): itertools.count() for name in layers for engine in (Engine.EXEC, Engine.VEC)}
    for operation in compiled.operations:
        if operation.mark is not None or operation.engine is Engine.LOADB:
            continue
        layer = layers[operation.layer]
        match operation.registers, layer:
            case LoadRegisters() as load, Matmul(operand=Norm() | Gelu() as operand):
                if load.config.transform is not Transform.IDENTITY:
                    yield _loaded(taps["tap_load"], operand.name, load, operation.rows)
            case SoftmaxRegisters() as softmax, Attention():
                place = _score_place(layer, compiled.plan, config, next(turns[layer.name, operation.engine]))
                values = _probabilities(taps["tap_probabilities"], softmax, in_halves(config.probability_bits))
                yield Piece(layer.softmax_name, place, _leading(values, place))
            case ExecuteRegisters(array, [ScoreRegisters(score_length=length), *_]), Attention():
                place = _score_place(layer, compiled.plan, config, next(turns[layer.name, operation.engine]))
                yield from _score_pieces(taps, layer, place, array.tiles, length)
            case ExecuteRegisters(array), Matmul() if array.post.mode is PostMode.RESIDUAL:
                yield from _branches(taps["tap_branches"], layer, operation, array, config.rows)
    for tap in taps.values():
        tap.end()


def _score_place(layer: Attention, plan: Plan, config: AcceleratorConfig, turn: int) -> tuple[slice, ...]:
    """Of a layer's blocks of scores the one of that number: perhaps its window, its head, its rows."""
    tokens = plan.tokens if layer.windows is None else layer.windows.tokens
    head, block = divmod(turn, ceil_div(tokens, config.rows))
    window, head = divmod(head, layer.heads)
    place = (slice(head, head + 1), slice(block * config.rows, min(tokens, (block + 1) * config.rows)))
    return place if layer.windows is None else (slice(window, window + 1), *place)


def _score_pieces(
    taps: Mapping[str, _Tap], layer: Attention, place: tuple[slice, ...], tiles: int, length: int
) -> Iterator[Piece]:
    """A block of scores; where something was added to them those before it, too."""
    rows = place[-1].stop - place[-1].start
    scores = _leading(_scores(taps["tap_scores"], rows, tiles, length), place)
    yield Piece(layer.scores_name if layer.bias is None else layer.bias.name, place, scores)
    if layer.bias is not None:
        # Columns that pad the last tile are no tensor's.
        branches = _branch_rows(taps["tap_branches"], rows, tiles)[:, :length]
        yield Piece(layer.scores_name, place, _leading(branches, place))


def _loaded(tap: _Tap, name: str, load: LoadRegisters, rows: Span | None) -> Piece:
    """A load's rows behind its transform, to int8; rows that only pad the last group are left out."""
    assert load.groups is not None and rows is not None
    groups, steps = load.groups.groups, load.groups.channels // LANE_BYTES
    octet = ("low" if load.config.low else "high") if load.config.wide else None
    lanes = tap.take(groups * steps).words(LANES).view(np.int8).reshape(groups, steps, LANES, LANE_BYTES)
    found = lanes.swapaxes(1, 2).reshape(LANES * groups, -1).astype(np.int64)
    return Piece(name, (slice(rows.start, rows.stop),), found[: rows.size], octet)


def _scores(tap: _Tap, rows: int, tiles: int, length: int) -> Integers:
    """A block's scores (rows, length)."""
    part = tap.take(rows * tiles)
    result = np.zeros((rows, tiles, 4), np.int64)
    result[part.field("row"), part.field("word")] = part.words(1).view(np.int8)
    return result.reshape(rows, -1)[:, :length]


def _probabilities(tap: _Tap, softmax: SoftmaxRegisters, wide: bool) -> Integers:
    """A block's probabilities (rows, length); two halves make 16 bits."""
    rows, length = softmax.rows, softmax.length.length
    words = ceil_div(length, 4)
    part = tap.take(rows * words * (2 if wide else 1))
    address = part.field("address") - softmax.a_base
    result = np.zeros((rows, 2 * words, 4), np.int64)
    result[part.field("bank"), address] = np.stack([part.field("data", lane) for lane in range(4)], axis=1)
    high, low = result[:, :words].reshape(rows, -1), result[:, words:].reshape(rows, -1)
    value = (high << 8) + low if wide else high & ELEMENT_MASK
    return value[:, :length]


def _leading(values: Integers, place: tuple[slice, ...]) -> Integers:
    """(rows, scores) with axes of length 1 for what is in front of the rows."""
    return values.reshape(*[1] * (len(place) - 1), *values.shape)


def _branch_rows(tap: _Tap, rows: int, tiles: int) -> Integers:
    """A block's branches (rows, 4 * tiles), which come tile by tile."""
    part = tap.take(rows * tiles)
    values = np.stack([part.field("data", lane) for lane in range(LANES)], axis=1)
    values = ((values + 0x8000) & 0xFFFF) - 0x8000
    return values.reshape(tiles, rows, LANES).swapaxes(0, 1).reshape(rows, -1)


def _branches(
    tap: _Tap, layer: Matmul, operation: Operation, array: ArrayRegisters, rows_a_block: int
) -> Iterator[Piece]:
    """Block by block what a residual adds to its skip."""
    assert layer.residual is not None
    output, skip = (access for access in operation.accesses if access.space in (layer.name, _skip_name(layer)))
    offset, column = 0 if layer.front is None else len(layer.front), output.columns.start
    for rows in Span(skip.rows.start - offset, skip.rows.stop - offset).parts(rows_a_block):
        values = _branch_rows(tap, rows.size, array.tiles)
        place = (slice(rows.start, rows.stop), slice(column, column + values.shape[1]))
        yield Piece(layer.residual.branch, place, values)


def _skip_name(layer: Matmul) -> str:
    """What a residual's skip is called in memory."""
    assert layer.residual is not None
    return layer.residual.skip if isinstance(layer.residual.skip, str) else f"{layer.name}.skip"
