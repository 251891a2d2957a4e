"""Compiled Swins, run word by word, against the reference at every tensor that they store; the orders of their rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Windows
from firmware.compiler.place.maps import PARITIES, WindowRows, map_rows, merged_strides, plane_rows
from firmware.quantiser.random_model import random_model
from gateware.config import AcceleratorConfig, config
from gateware.isa import Engine
from sim.reference.integer_vit import IntegerVit
from sim.reference.operations import PatchMerge, WindowSplit
from sim.reference.reciprocal import exact_reciprocal
from sim.reference.rounding import divide_rne
from sim.reference.swin_shape import SwinShape
from tests.firmware.compiler.compiled_model import (
    compiled_for,
    different,
    interpreted,
    memory_with,
    random_image,
    too_short,
)
from tests.firmware.compiler.interleaving import READS, WRITES, Interleaver

# More rows than `tiny` keeps maxima of; windows that are rolled; a merged map of whole row groups.
ROWS = SwinShape(image=32, patch=2, dim=32, depths=(2, 1), heads=(1, 2), window=4, classes=10)
# Windows and planes of 49 rows.
ODD = SwinShape(image=28, patch=2, dim=32, depths=(2, 1), heads=(1, 2), window=7, classes=10)
# Windows of 8 and of 12; a last map of 12 tokens a side.
EIGHT = SwinShape(image=32, patch=2, dim=32, depths=(1, 2), heads=(1, 2), window=8, classes=10)
TWELVE = SwinShape(image=48, patch=2, dim=32, depths=(2, 1), heads=(1, 2), window=12, classes=10)
# Heads of 8 channels and of 16.
OTHER_HEADS = SwinShape(image=28, patch=2, dim=32, depths=(2, 1), heads=(4, 4), window=7, classes=10)
# Three maps: planes within planes.
DEEP = SwinShape(image=32, patch=2, dim=16, depths=(1, 2, 1), heads=(1, 1, 1), window=4, classes=5)
T, B, E, V = Engine.LOADT, Engine.LOADB, Engine.EXEC, Engine.VEC


def machine(board: str, arithmetic: str) -> AcceleratorConfig:
    return config(board, arithmetic).with_probabilities(8)


def swin(shape: SwinShape, arithmetic: str, rng: np.random.Generator) -> IntegerVit:
    return IntegerVit(random_model(shape, arithmetic, rng))


@pytest.mark.parametrize("shape", [ROWS, ODD, OTHER_HEADS, DEEP], ids=["rows", "odd", "heads", "deep"])
@pytest.mark.parametrize(("board", "arithmetic"), [("tiny", "lean"), ("tiny", "official"), ("arty_a7_35", "lean")])
def test_every_stored_tensor_is_exact(shape: SwinShape, board: str, arithmetic: str, rng: np.random.Generator):
    model, cfg = swin(shape, arithmetic, rng), machine(board, arithmetic)
    assert interpreted(compiled_for(model, cfg), cfg, model, random_image(model, rng)) == []


@pytest.mark.parametrize("shape", [EIGHT, TWELVE], ids=["eight", "twelve"])
def test_windows_of_other_sizes(shape: SwinShape, rng: np.random.Generator):
    model, cfg = swin(shape, "lean", rng), machine("arty_a7_35", "lean")
    assert interpreted(compiled_for(model, cfg), cfg, model, random_image(model, rng)) == []


@pytest.mark.parametrize(
    "order", [(T, B, V, E, READS, WRITES), (E, READS, WRITES, V, T, B), (B, E, READS, T, V, WRITES)]
)
def test_no_order_of_the_engines_changes_a_result(order: tuple[Engine | str, ...], rng: np.random.Generator):
    model, cfg = swin(ODD, "lean", rng), machine("tiny", "lean")
    compiled, image = compiled_for(model, cfg), random_image(model, rng)
    memory = memory_with(compiled, model, image)
    Interleaver(cfg, memory, order, rng).run(compiled.program)
    assert different(compiled, model, image, memory) == []


@pytest.mark.parametrize("order", [(T, B, V, E, READS, WRITES), (E, READS, WRITES, V, T, B)])
def test_maps_share_places_where_memory_is_short(order: tuple[Engine | str, ...], rng: np.random.Generator):
    """Windows as they are and rolled ones take turns at a place, with whatever is between them."""
    model, cfg = swin(dataclasses.replace(ODD, depths=(3, 2)), "lean", rng), machine("tiny", "lean")
    roomy = compiled_for(model, cfg)
    with too_short(roomy.beats):
        compiled = compiled_for(model, cfg)
    assert roomy.overwritten == () and len(compiled.overwritten) >= 5
    image = random_image(model, rng)
    memory = memory_with(compiled, model, image)
    for _ in range(2):
        Interleaver(cfg, memory, order, rng).run(compiled.program)
        assert different(compiled, model, image, memory) == []


@pytest.mark.parametrize(("side", "last", "strides"), [(56, 7, (4, 16)), (16, 8, (4, 16)), (14, 7, (52, 4))])
def test_four_neighbours_lie_at_the_same_lane_of_four_row_groups(side: int, last: int, strides: tuple[int, int]):
    dense = map_rows(side, last)
    assert sorted(dense) == list(range(side * side))
    rows, merged = plane_rows(side, last) if side == 14 else dense, map_rows(side // 2, last)
    neighbours = PatchMerge().apply(rows.reshape(1, -1, 1))[0]
    first = merged // 4 * strides[1] + merged % 4
    np.testing.assert_array_equal(neighbours, first[:, None] + strides[0] * np.arange(PARITIES))
    assert merged_strides(side) == strides


def test_scatter_and_gather_are_the_windows():
    windows = WindowRows(Windows(side=14, window=7, shift=3), last=7)
    raster = np.arange(14 * 14)
    stored = np.full(windows.windows.count * windows.pitch, -1)
    stored[windows.scatter[map_rows(14, 7)]] = raster
    np.testing.assert_array_equal(stored[windows.rows], WindowSplit(7, 3).apply(raster.reshape(1, -1, 1)).reshape(-1))
    np.testing.assert_array_equal(windows.gather[windows.scatter], raster)


@pytest.mark.parametrize("count", [1, 16, 49, 64])
def test_a_mean_is_a_product(count: int):
    factor = exact_reciprocal(count, 16)
    assert factor is not None
    sums = np.arange(-128 * count, 128 * count)
    np.testing.assert_array_equal(factor.apply(sums), divide_rne(sums, count))


def test_a_mean_that_no_multiplier_rounds(rng: np.random.Generator):
    """Of 36 tokens some means are halves: `lean` rescales their sum, the authors' arithmetic has no such choice."""
    assert exact_reciprocal(36, 16) is None and exact_reciprocal(36, 31) is None
    shape = SwinShape(image=24, patch=2, dim=32, depths=(1, 2), heads=(1, 2), window=3, classes=10)
    model, cfg = swin(shape, "lean", rng), machine("tiny", "lean")
    assert interpreted(compiled_for(model, cfg), cfg, model, random_image(model, rng)) == []
    with pytest.raises(
        CompileError, match=r"^mean: no 31-bit multiplier rounds the mean over 36 tokens exactly; take lean"
    ):
        compiled_for(swin(shape, "official", rng), machine("tiny", "official"))


def test_a_merged_row_that_is_too_long(rng: np.random.Generator):
    cfg = dataclasses.replace(machine("tiny", "lean"), ln_channels=96)
    with pytest.raises(CompileError, match=r"downsample.*LayerNorm has 128 channels.*holds 96; enlarge ln_channels"):
        compiled_for(swin(ODD, "lean", rng), cfg)


def test_heads_that_are_not_filled_up(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SwinShape, "padded_width", SwinShape.head_width)
    shape = dataclasses.replace(ODD, heads=(4, 4))
    with pytest.raises(CompileError, match=r"heads of 8 channels must be a multiple of 16; change dim or heads"):
        compiled_for(swin(shape, "lean", rng), machine("tiny", "lean"))


def test_a_bias_beyond_the_scores(rng: np.random.Generator):
    model = swin(ODD, "lean", rng)
    node = next(node for node in model.graph.nodes if node.name.endswith("blocks.0.attn.qact2"))
    factor = dataclasses.replace(node.operation.table, shift=node.operation.table.shift - 12)
    object.__setattr__(node, "operation", dataclasses.replace(node.operation, table=factor))
    with pytest.raises(
        CompileError, match=r"blocks\.0\.attn\.qact2: a relative-position bias adds \d+ .*limit is 8191"
    ):
        compiled_for(model, machine("tiny", "lean"))
