"""Finds the fused layers of a graph."""

from __future__ import annotations

import dataclasses

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse import attention, pooling, tensors
from firmware.compiler.fuse.identity import UNCHANGED, rescaled_mean, rescaled_norm
from firmware.compiler.fuse.known import Known
from firmware.compiler.fuse.layers import (
    Gelu,
    Joined,
    Map,
    Matmul,
    Norm,
    Operand,
    Patches,
    Plan,
    Residual,
    Rows,
    Sequence,
    Stored,
    Windows,
)
from firmware.compiler.fuse.pooling import norm_in_memory
from sim.reference import operations
from sim.reference.graph import Graph, Node
from sim.reference.layernorm import ILayerNorm
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Rescale, ResidualAdd
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["fuse"]


def fuse(graph: Graph) -> Plan:
    """The layers of a ViT, DeiT or Swin.

    Raises
    ------
    CompileError : a node fits no layer of this machine
    """
    return _Fusion(graph).plan()


class _Fusion:
    """One walk along a graph.

    Attributes
    ----------
    known : of every tensor so far; the layers
    tokens, patch : of the plan
    side : of the map that the tensors belong to; None for a sequence
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known = Known(graph.source)
        self.tokens = self.patch = 0
        sides = [node.operation.side for node in graph.nodes if isinstance(node.operation, operations.WindowMerge)]
        self.last_side: int | None = sides[-1] if sides else None
        self.side: int | None = sides[0] if sides else None

    def plan(self) -> Plan:
        for node in self.graph.nodes:
            self.known.tensors[node.name] = self._tensor(node)
            if node.name in self.graph.outputs:
                self._put_out(node.name)
        missing = [name for name in self.graph.outputs if name not in self.known.layers]
        if missing or (self.last_side is None and not self.tokens):
            raise CompileError(
                f"{(missing or self.graph.outputs)[0]}: the model is neither a ViT, with positions added to its "
                "tokens, nor a Swin, with windows, that ends with a matmul; only those can be compiled."
            )
        layers = tuple(self.known.layers.values())
        return Plan(layers, self.graph.source, self.graph.outputs, self.tokens, self.patch, self.last_side)

    def _put_out(self, name: str) -> None:
        """Stores a tensor for the host. A norm is computed again for each reader: that is one row, or few."""
        match self.known.tensors[name]:
            case tensors.Result(layer) | tensors.Accumulators(layer):
                self.known.store(layer)
            case tensors.RescaledNorm(norm):
                summed = any(
                    name in node.inputs and isinstance(node.operation, operations.TokenSum | operations.TokenMean)
                    for node in self.graph.nodes
                )
                stored = rescaled_norm(name, norm, UNCHANGED, self._rows)
                self.known.store(dataclasses.replace(stored, widened=summed))

    def _tensor(self, node: Node) -> tensors.Tensor:
        """The tensor that a node makes from its inputs."""
        match node.operation:
            case operations.Patches() as patches:
                return self._patches(node, patches)
            case operations.Linear() as linear:
                return self._linear(node, linear)
            case Rescale() as rescale:
                return self._rescale(node, rescale)
            case ILayerNorm() as norm:
                return self._norm(node, norm)
            case ShiftGELU() | PolynomialGELU() as gelu:
                return tensors.GeluOutput(self.known.stored(node), gelu)
            case operations.SelectToken() as select:
                return self._select(node, select)
            case operations.FirstTokens() as first:
                return dataclasses.replace(self.known.norm_output(node), first_rows=first.count)
            case operations.Concatenate():
                return self._side_by_side(node)
            case operations.Constant() as constant:
                return tensors.ConstantRows(constant.value)
            case operations.PrependToken() as prepend:
                return self._prepend(node, prepend)
            case ResidualAdd() as add:
                return self._residual(node, add)
            case operations.WindowSplit() as split:
                return self._windows(node, split)
            case operations.WindowMerge():
                return self._windows_joined(node)
            case operations.PatchMerge():
                return self._merged_patches(node)
            case operations.TokenMean():
                rows, self.side = self._rows, None
                return pooling.token_mean(self.known, node, rows)
            case operations.TokenSum(first):
                rows, self.side = self._rows, None
                return pooling.token_sum(self.known, node, first, rows)
            case operations.HeadSplit() as heads:
                return self._head(node, heads)
            case operations.MatMul() as product:
                fused = attention.score_product if product.transposed else attention.head_outputs
                return fused(node, self.known.inputs(node))
            case operations.BiasAdd() as bias:
                return attention.biased_scores(node, self.known.inputs(node), bias)
            case operations.AttentionMask(softmax=Shiftmax() as softmax, regions=regions):
                return attention.probabilities(node, self.known.inputs(node), softmax, regions)
            case Shiftmax() as softmax:
                return attention.probabilities(node, self.known.inputs(node), softmax)
            case operations.HeadMerge():
                return attention.merged_heads(node, self.known.inputs(node))
            case other:
                raise CompileError(
                    f"{node.name}: the machine has no {type(other).__name__}; only ViT, DeiT and Swin models can be "
                    "compiled."
                )

    @property
    def _rows(self) -> Rows:
        """The rows of the tensors at this point."""
        return Sequence() if self.side is None else Map(self.side)

    # Products with weights, and what is done while their operands are loaded.

    def _patches(self, node: Node, patches: operations.Patches) -> tensors.ImagePatches:
        if not isinstance(self.known.input(node), tensors.Image):
            raise self.known.refused(node, "the image")
        self.patch = patches.side
        return tensors.ImagePatches()

    def _linear(self, node: Node, linear: operations.Linear) -> tensors.Accumulators:
        windows: Windows | None = None
        match self.known.input(node):
            case tensors.ImagePatches():
                operand: Operand = Patches(self.graph.source)
            case tensors.Result(before, windows):
                operand = Stored(self.known.store(before))
            case tensors.RescaledNorm(norm, windows):
                operand = norm
            case tensors.RescaledGelu(gelu):
                operand = gelu
            case tensors.SideBySide(tensor):
                operand = Joined(tensor)
            case _:
                raise self.known.refused(node, "patches, a norm, a GELU, a stored tensor or its tokens side by side")
        rows = self._rows
        if isinstance(rows, Map):
            rows = Map(rows.side, isinstance(operand, Patches), windows if isinstance(operand, Norm) else None)
        widened = isinstance(operand, Norm) and operand.merged_side is not None
        layer = Matmul(node.name, operand, linear.weight, linear.bias, rows, widened=widened)
        return tensors.Accumulators(layer, windows)

    def _rescale(self, node: Node, rescale: Rescale) -> tensors.Tensor:
        match self.known.input(node):
            case tensors.Accumulators(layer, windows):
                return tensors.Result(dataclasses.replace(layer, name=node.name, rescale=rescale), windows)
            case tensors.ScoreAccumulators(query):
                return tensors.Scores(node.name, query, rescale)
            case tensors.HeadOutputs(probabilities, merged=True):
                return tensors.Result(attention.attention_layer(node, probabilities, rescale), probabilities.windows)
            case tensors.NormOutput(tensor, norm, merged_side, first_rows):
                return tensors.RescaledNorm(Norm(node.name, tensor, norm.bias, rescale, first_rows, merged_side))
            case tensors.GeluOutput(tensor, gelu):
                return tensors.RescaledGelu(Gelu(node.name, tensor, gelu, rescale))
            case tensors.RescaledNorm(norm):
                return tensors.Result(rescaled_norm(node.name, norm, rescale, self._rows))
            case tensors.TokenAverage(tensor, channels):
                return tensors.Result(rescaled_mean(node.name, tensor, channels, rescale))
            case tensors.TokenTotal() as total:
                return pooling.rescaled_sum(self.known, node, total, rescale)
            case _:
                raise self.known.refused(
                    node, "what a matmul, attention, a norm, a GELU, a mean or a sum over tokens gives"
                )

    def _norm(self, node: Node, norm: ILayerNorm) -> tensors.NormOutput:
        match self.known.input(node):
            case tensors.MergedPatches(tensor, side):
                return tensors.NormOutput(tensor, norm, merged_side=side)
            case _:
                return tensors.NormOutput(self.known.stored(node), norm)

    def _select(self, node: Node, select: operations.SelectToken) -> tensors.NormOutput:
        if select.token:
            raise CompileError(f"{node.name}: only the first token can be selected, not token {select.token}.")
        return dataclasses.replace(self.known.norm_output(node), first_rows=1)

    def _side_by_side(self, node: Node) -> tensors.SideBySide:
        return tensors.SideBySide(self.known.store(norm_in_memory(self.known, node, self._rows)))

    def _merged_patches(self, node: Node) -> tensors.MergedPatches:
        match self.known.input(node):
            case tensors.Result(Matmul(rows=Map() as rows) as layer) if layer.name not in self.known.layers:
                self.side = rows.side // 2
                merged = dataclasses.replace(layer, rows=dataclasses.replace(rows, merges=True))
                return tensors.MergedPatches(self.known.store(merged), self.side)
            case _:
                raise CompileError(
                    f"{node.name}: patch merging needs a map of tokens that a matmul makes and nobody else reads."
                )

    # Residual additions, and the tokens in front of the patches.

    def _prepend(self, node: Node, prepend: operations.PrependToken) -> tensors.Prepended:
        match self.known.input(node):
            case tensors.Result(Matmul() as layer):
                return tensors.Prepended(layer, prepend.token)
            case _:
                raise self.known.refused(node, "a matmul's result")

    def _residual(self, node: Node, add: ResidualAdd) -> tensors.Result:
        match self.known.input(node):
            case tensors.Prepended(layer, tokens):
                constant, count = self.known.constant(node, 1)[0], tokens.shape[1]
                rows: Rows = Sequence(front=add.apply(tokens[0], constant[:count]))
                self.tokens = len(constant)
                residual = Residual(add, layer.name, constant[count:])
            case tensors.Result(Matmul() as layer) if isinstance(self.known.input(node, 1), tensors.ConstantRows):
                rows, constant = layer.rows, self.known.constant(node, 1)[0]
                self.tokens = len(constant)
                residual = Residual(add, layer.name, constant)
            case tensors.Result(Matmul() as layer):
                rows, skip = layer.rows, self.known.stored(node, 1)
                before = self.known.layers[skip]
                bits = 8 if isinstance(before, Matmul) and before.widened else 16
                residual = Residual(add, layer.name, skip, bits, self._windows_of(layer.name))
            case tensors.Result():
                raise self._no_branch(node)
            case _:
                raise self.known.refused(node, "a stored tensor or tokens in front of one")
        if layer.rescale is None or layer.rescale.bits != add.bits or layer.residual or layer.name in self.known.layers:
            raise self._no_branch(node)
        narrow = add.bits == 8
        return tensors.Result(dataclasses.replace(layer, name=node.name, rows=rows, residual=residual, widened=narrow))

    def _no_branch(self, node: Node) -> CompileError:
        return CompileError(
            f"{node.name}: the branch of a residual addition must be a matmul's result of as many bits as the sum, one "
            "that nothing else reads."
        )

    # Windows and attention.

    def _windows(self, node: Node, split: operations.WindowSplit) -> tensors.RescaledNorm:
        match self.known.input(node):
            case tensors.RescaledNorm(norm) if self.side is not None:
                return tensors.RescaledNorm(norm, Windows(self.side, split.window, split.shift))
            case _:
                raise self.known.refused(node, "the norm of a map")

    def _windows_of(self, name: str) -> Windows | None:
        """The windows of a layer's result, before they are joined."""
        result = self.known.tensors[name]
        return result.windows if isinstance(result, tensors.Result) else None

    def _windows_joined(self, node: Node) -> tensors.Result:
        match self.known.input(node):
            case tensors.Result(layer):
                return tensors.Result(layer)
            case _:
                raise self.known.refused(node, "a stored tensor")

    def _head(self, node: Node, split: operations.HeadSplit) -> tensors.Head:
        match self.known.input(node):
            case tensors.Result(layer, windows):
                return tensors.Head(self.known.store(layer), split, windows)
            case _:
                raise self.known.refused(node, "a stored tensor")
