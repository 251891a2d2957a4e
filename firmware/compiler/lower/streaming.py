"""Lowers a matmul layer: its rows in chunks, weights that stay in B or pass through it."""

from __future__ import annotations

from firmware.compiler.fuse.layers import Gelu, Norm, Transformed
from firmware.compiler.lower.chunks import Chunking, chunks_of
from firmware.compiler.lower.matmul import MatmulOperations, Places
from firmware.compiler.span import Span
from firmware.program.allocation import Allocation
from gateware.config import LANES
from sim.reference.rounding import ceil_div

__all__ = ["lower_rows"]

CONSTANTS_A_LOAD = 256  # channels
GROUPS_BEFORE_NORM = 4  # weight groups that are loaded before the constants of the norm that follows
NORM_GROWTH = 3  # of chunks of a map's rows behind a norm
GELU_BLOCKS = 4  # of a chunk of a map's rows behind a ShiftGELU, which is about as fast as the product of its rows
LAST_BLOCKS = 2  # blocks whose rows a transform may still be loading when the first group starts


def lower_rows(layer: MatmulOperations, source: Allocation, rows: Span, reserve: int, final: bool = True) -> None:
    """Rows of `source` times the weights.

    Parameters
    ----------
    reserve : words of A that the next layer's rows take
    final : these are the layer's last rows
    """
    cfg = layer.emitter.config
    chunks = _chunks(layer, rows, reserve)
    fits = layer.tiles * layer.steps <= cfg.b_depth and layer.count <= cfg.const_depth
    if len(chunks) == 1 and final and fits and rows.size > cfg.rows and not layer.low.any():
        _with_all_weights(layer, source, rows)
        return
    for chunk in chunks:
        _streaming(layer, source, chunk, final and chunk == chunks[-1])


def _chunks(layer: MatmulOperations, rows: Span, reserve: int) -> list[Span]:
    """The rows that are in A at the same time."""
    cfg, operand, residual = layer.emitter.config, layer.layer.operand, layer.layer.residual
    of_map = layer.layer.map is not None
    # Half of the row map, so that the next rows' part can be loaded.
    most_rows = rows.size if layer.output.table is None else cfg.max_rows // 2
    if isinstance(operand, Gelu) and of_map:
        most_rows = min(most_rows, GELU_BLOCKS * cfg.rows)
    if isinstance(operand, Norm) and of_map:
        growth = NORM_GROWTH  # a norm is faster than the product of its rows
    else:
        windowed = residual is not None and residual.branch_windows is not None
        growth = int(isinstance(operand, Gelu) or windowed)
    chunks: list[Span] = []
    for part in layer.output.parts(rows):
        chunking = Chunking(layer.layer.name, layer.stride, growth, most_rows, reserve)
        chunks += chunks_of(cfg, part, chunking)
        growth = 0
    return chunks


def _take_rows(layer: MatmulOperations, source: Allocation, rows: Span) -> int:
    """Rows into A; returns where they are."""
    blocks = ceil_div(rows.size, layer.emitter.config.rows)
    a = layer.emitter.a.take(blocks * layer.stride, layer.layer.name)
    layer.load(source, rows, a)
    return a


def _with_all_weights(layer: MatmulOperations, source: Allocation, rows: Span) -> None:
    """Weights arrive while the first half of the rows uses them; the second half goes block by block, so that whoever
    reads those rows follows close behind.
    """
    emitter, steps, r = layer.emitter, layer.steps, layer.emitter.config.rows
    blocks = ceil_div(rows.size, r)
    a = _take_rows(layer, source, rows)
    constants = emitter.constants.channels(layer.table, layer.count)
    b = emitter.b.take(layer.tiles * steps, layer.layer.name)
    half = blocks - blocks // 2
    middle = min(rows.stop, rows.start + half * r)
    for tiles in Span(0, layer.tiles).parts(layer.group):
        place = b + tiles.start * steps
        emitter.constants.weights(layer.weights + tiles.start * steps, tiles.size * steps, place)
        layer.run(Span(rows.start, middle), tiles, Places(a, place, constants + LANES * tiles.start))
    for block in range(half, blocks):
        part = Span(rows.start + block * r, min(rows.stop, rows.start + (block + 1) * r))
        layer.run(part, Span(0, layer.tiles), Places(a + block * layer.stride, b, constants))
    emitter.constants.norm_after(layer.layer.operand)
    emitter.a.release(a)
    emitter.b.release(b)
    emitter.channels.release(constants)


def _streaming(layer: MatmulOperations, source: Allocation, rows: Span, final: bool) -> None:
    """Computes one chunk of rows while weights pass through B, group by group."""
    emitter, steps = layer.emitter, layer.steps
    a = _take_rows(layer, source, rows)
    piece = layer.group * max(1, CONSTANTS_A_LOAD // (LANES * layer.group))  # tiles whose constants are loaded at once
    held = -1
    groups = list(Span(0, layer.tiles).parts(layer.group))
    for index, tiles in enumerate(groups):
        first = tiles.start // piece * piece  # of the tiles whose constants are there
        if tiles.start == first:
            if held >= 0:
                emitter.channels.release(held)
            some = min(LANES * piece, layer.count - LANES * first)
            held = emitter.constants.channels(layer.table + LANES * first, some)
        b = emitter.b.take(tiles.size * steps, layer.layer.name)
        emitter.constants.weights(layer.weights + tiles.start * steps, tiles.size * steps, b)
        _run_group(layer, rows, tiles, Places(a, b, held + LANES * (tiles.start - first)))
        emitter.b.release(b)
        if final and index == min(GROUPS_BEFORE_NORM, len(groups)) - 1:
            emitter.constants.norm_after(layer.layer.operand)
    emitter.a.release(a)
    emitter.channels.release(held)


def _run_group(layer: MatmulOperations, rows: Span, tiles: Span, places: Places) -> None:
    """Computes all rows, in two parts if the transform of the last ones may still be under way."""
    r = layer.emitter.config.rows
    early = ceil_div(rows.size, r) - LAST_BLOCKS
    if tiles.start > 0 or early <= 0 or not isinstance(layer.layer.operand, Transformed):
        layer.run(rows, tiles, places)
        return
    middle = rows.start + r * early
    layer.run(Span(rows.start, middle), tiles, places)
    late = Places(places.a + early * layer.stride, places.b, places.constants)
    layer.run(Span(middle, rows.stop), tiles, late)
