"""The layers that graphs fall into, and graphs that do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.fusion import fuse
from firmware.compiler.fuse.layers import Attention, Gelu, Joined, Map, Matmul, Mean, Norm, Patches, Sequence, Stored
from firmware.quantiser.random_model import random_model
from sim.reference.architecture import parse_architecture
from sim.reference.graph import Graph
from sim.reference.integer_vit import IntegerVit
from sim.reference.operations import HeadSplit, Linear, MatMul, SelectToken
from sim.reference.operations import Patches as PatchesOperation
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd

HALF = Dyadic(np.array(1), np.array(1))
WEIGHTS = Linear(np.eye(16, dtype=np.int64), None)


def graph_of(text: str, rng: np.random.Generator) -> Graph:
    return IntegerVit(random_model(parse_architecture(text), "lean", rng)).graph


def test_a_vit_falls_into_layers(rng: np.random.Generator):
    plan = fuse(graph_of("vit:image=16,patch=4,dim=32,depth=1,heads=2,classes=3", rng))
    embedding, qkv, attention, projection, first, second, head = plan.layers
    assert isinstance(embedding, Matmul) and embedding.operand == Patches("qact_input")
    assert embedding.front is not None and len(embedding.front) == 1 and plan.tokens == 17 and plan.patch == 4
    assert isinstance(qkv, Matmul) and isinstance(qkv.operand, Norm) and qkv.size == 1
    assert isinstance(attention, Attention) and attention.source == qkv.name and attention.bias is None
    assert isinstance(projection, Matmul) and projection.operand == Stored(attention.name)
    assert projection.residual is not None and projection.residual.skip == embedding.name
    assert isinstance(first, Matmul) and isinstance(second, Matmul)
    assert isinstance(second.operand, Gelu) and second.operand.tensor == first.name
    assert isinstance(head, Matmul) and head.rescale is None and (head.name,) == plan.outputs
    assert isinstance(head.operand, Norm) and head.operand.first_rows == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        head.name = "another"


def test_a_distilled_head_reads_both_tokens_as_one_row(rng: np.random.Generator):
    plan = fuse(graph_of("vit:image=16,patch=4,dim=32,depth=1,heads=2,classes=3,distilled=1", rng))
    both, head = plan.layers[-2:]
    assert isinstance(both, Matmul) and isinstance(both.operand, Norm) and both.operand.first_rows == 2
    assert isinstance(head, Matmul) and head.operand == Joined(both.name)


def test_a_swin_falls_into_layers(rng: np.random.Generator):
    plan = fuse(graph_of("swin:image=32,patch=4,dim=16,depths=2-1,heads=1-1,window=4,classes=3", rng))
    matmuls = {layer.name: layer for layer in plan.layers if isinstance(layer, Matmul)}
    assert plan.last_side == 4
    sides = [layer.map.side for layer in matmuls.values() if layer.map is not None]
    assert sides == sorted(sides, reverse=True) and {*sides} == {8, 4}
    assert [layer.map.from_raster for layer in matmuls.values() if layer.map].count(True) == 1
    (merged,) = (layer for layer in matmuls.values() if layer.map is not None and layer.map.merges)
    (reduction,) = (one for one in matmuls.values() if isinstance(one.operand, Norm) and one.operand.merged_side)
    assert isinstance(reduction.operand, Norm) and reduction.operand.tensor == merged.name
    assert reduction.widened and reduction.size == 2 and reduction.rows == Map(4)
    (mean,) = (layer for layer in plan.layers if isinstance(layer, Mean))
    assert matmuls[mean.source].widened
    assert isinstance(matmuls["qact3"].rows, Sequence)
    attentions = [layer for layer in plan.layers if isinstance(layer, Attention)]
    assert [layer.regions is not None for layer in attentions] == [False, True, False]
    # A residual's skip has 8 bits behind a patch merging only.
    bits = [layer.residual.skip_bits for layer in matmuls.values() if layer.residual is not None]
    assert bits == [16, 16, 16, 16, 8, 16]


def _image() -> Graph:
    graph = Graph("image", ("head",))
    graph.add("patches", PatchesOperation(4), "image")
    graph.add("product", WEIGHTS, "patches")
    graph.add("stored", Rescale(HALF, 16), "product")
    return graph


@pytest.mark.parametrize(
    ("operation", "inputs", "says"),
    [
        (object(), ["stored"], r"^head: the machine has no object; only ViT, DeiT and Swin"),
        (PatchesOperation(4), ["stored"], r"^head: Patches of stored \(a stored tensor\) is no layer.*takes the image"),
        (WEIGHTS, ["product"], r"^head: Linear of product \(accumulators\) is no layer"),
        (SelectToken(0), ["stored"], r"^head: SelectToken of stored \(a stored tensor\).*takes a norm without rescale"),
        (Rescale(HALF, 8), ["stored"], r"^head: Rescale of stored \(a stored tensor\) is no layer"),
        (HeadSplit(0, 2), ["product"], r"^head: HeadSplit of product \(accumulators\).*takes a stored tensor"),
        (MatMul(True), ["stored", "stored"], r"^head: MatMul of stored \(a stored tensor\).*takes heads of Q"),
        (MatMul(False), ["stored", "stored"], r"^head: MatMul of stored \(a stored tensor\).*takes probabilities"),
        (ResidualAdd(HALF, HALF), ["stored", "product"], r"^head: ResidualAdd of product \(accumulators\)"),
        (ResidualAdd(HALF, HALF), ["stored", "stored"], r"^head: the branch of a residual addition must be a matmul"),
        (WEIGHTS, ["stored"], r"^head: the model is neither a ViT, with positions .*, nor a Swin"),
    ],
)
def test_what_cannot_be_fused_is_one_sentence(operation: Any, inputs: list[str], says: str):
    graph = _image()
    graph.add("head", operation, *inputs)
    with pytest.raises(CompileError, match=says) as caught:
        fuse(graph)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
