"""Fuses attention: from the heads of Q, K and V to one layer."""

from __future__ import annotations

from collections.abc import Sequence

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Attention, ScoreBias
from firmware.compiler.fuse.tensors import (
    ConstantRows,
    Head,
    HeadOutputs,
    Probabilities,
    ScoreAccumulators,
    Scores,
    Tensor,
    refused,
)
from sim.reference.graph import Node
from sim.reference.operations import BiasAdd
from sim.reference.rescale import Rescale
from sim.reference.rounding import IntArray
from sim.reference.shiftmax import Shiftmax

__all__ = ["attention_layer", "biased_scores", "head_outputs", "merged_heads", "probabilities", "score_product"]

QUERY, KEY, VALUE = range(3)  # parts of the tensor of Q, K and V

Inputs = Sequence[Tensor]


def score_product(node: Node, inputs: Inputs) -> ScoreAccumulators:
    """Q K^T."""
    match inputs:
        case [Head() as query, Head() as key]:
            if query.source != key.source or (query.split.part, key.split.part) != (QUERY, KEY):
                raise CompileError(f"{node.name}: scores must be Q K^T of one tensor of Q, K and V.")
            return ScoreAccumulators(query)
        case [Head(), _]:
            raise refused(node, inputs, "heads of K", 1)
        case _:
            raise refused(node, inputs, "heads of Q")


def head_outputs(node: Node, inputs: Inputs) -> HeadOutputs:
    """Probabilities times V."""
    match inputs:
        case [Probabilities() as found, Head() as value]:
            if found.scores.query.source != value.source or value.split.part != VALUE:
                raise CompileError(
                    f"{node.name}: the product with V must take V from the tensor that Q and K come from."
                )
            return HeadOutputs(found)
        case [Probabilities(), _]:
            raise refused(node, inputs, "heads of V", 1)
        case _:
            raise refused(node, inputs, "probabilities")


def biased_scores(node: Node, inputs: Inputs, add: BiasAdd) -> Scores:
    """Scores with a relative-position bias, whose table is a constant."""
    match inputs:
        case [Scores(bias=None) as scores, ConstantRows(table)]:
            terms = add.table.apply(table[add.index.reshape(-1)]).reshape(*add.index.shape, -1)
            bias = ScoreBias(node.name, add.scores, terms.transpose(2, 0, 1))
            return Scores(scores.name, scores.query, scores.rescale, bias)
        case [Scores(bias=None), _]:
            raise refused(node, inputs, "a constant", 1)
        case _:
            raise refused(node, inputs, "scores without a bias")


def probabilities(node: Node, inputs: Inputs, softmax: Shiftmax, regions: IntArray | None = None) -> Probabilities:
    """Shiftmax of scores."""
    match inputs:
        case [Scores() as scores]:
            return Probabilities(node.name, scores, softmax, regions)
        case _:
            raise refused(node, inputs, "scores")


def merged_heads(node: Node, inputs: Inputs) -> HeadOutputs:
    """The outputs of all heads, side by side."""
    match inputs:
        case [HeadOutputs(found, merged=False)]:
            return HeadOutputs(found, merged=True)
        case _:
            raise refused(node, inputs, "probabilities times V")


def attention_layer(node: Node, found: Probabilities, rescale: Rescale) -> Attention:
    """The whole layer, whose result is requantised by `rescale`."""
    scores = found.scores
    return Attention(
        name=node.name,
        source=scores.query.source,
        heads=scores.query.split.heads,
        scores=scores.rescale,
        softmax=found.softmax,
        rescale=rescale,
        scores_name=scores.name,
        softmax_name=found.name,
        windows=scores.query.windows,
        bias=scores.bias,
        regions=found.regions,
    )
