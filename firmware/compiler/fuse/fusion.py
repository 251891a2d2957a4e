"""Finds the fused layers of a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Attention, Gelu, Layer, Matmul, Mean, Norm, Plan, Residual, ScoreBias
from firmware.compiler.place.maps import Windows
from sim.reference.graph import Graph, Node
from sim.reference.layernorm import ILayerNorm
from sim.reference.operations import (
    AttentionMask,
    BiasAdd,
    Concatenate,
    Constant,
    FirstTokens,
    HeadMerge,
    HeadSplit,
    Linear,
    MatMul,
    Patches,
    PatchMerge,
    PrependToken,
    SelectToken,
    TokenMean,
    WindowMerge,
    WindowSplit,
)
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["match"]


@dataclass
class _Tensor:
    """What is known of a tensor that is not in memory as it stands."""

    kind: str
    value: Any
    first_rows: int | None = None
    windows: Windows | None = None


LOW_HALF_OFFSET = 128  # what the low byte of an operand in two halves lacks


def match(graph: Graph) -> Plan:
    """The layers of a ViT, DeiT or Swin.

    Raises
    ------
    CompileError : a node fits no layer of this machine
    """
    return _Matcher(graph).plan()


class _Matcher:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: list[Layer] = []
        self.known: dict[str, _Tensor] = {graph.source: _Tensor("image", None)}
        self.patch = 0
        sides = [node.operation.side for node in graph.nodes if isinstance(node.operation, WindowMerge)]
        self.last_side: int | None = sides[-1] if sides else None
        self.side: int | None = sides[0] if sides else None  # of the map that the tensors belong to

    def plan(self) -> Plan:
        for node in self.graph.nodes:
            handler = self._HANDLERS.get(type(node.operation))
            if handler is None:
                raise CompileError(
                    f"{node.name}: the machine has no {type(node.operation).__name__}; only ViT, DeiT and Swin models "
                    "can be compiled."
                )
            handler(self, node)
        first = self.layers[0]
        assert isinstance(first, Matmul)
        tokens = 0
        if self.last_side is None:
            assert first.residual is not None and isinstance(first.residual.skip, np.ndarray)
            assert first.tokens is not None
            tokens = len(first.tokens) + first.residual.skip.shape[0]
        return Plan(self.layers, self.graph.source, self.graph.output, tokens, self.patch, self.last_side)

    def _of(self, node: Node, kinds: str, index: int = 0) -> _Tensor:
        tensor = self.known.get(node.inputs[index])
        if tensor is None or tensor.kind not in kinds.split():
            found = "a stored tensor" if tensor is None else tensor.kind
            raise CompileError(
                f"{node.name}: {type(node.operation).__name__} of {node.inputs[index]} ({found}) is no layer that the "
                f"machine can fuse; it takes {kinds}."
            )
        return tensor

    def _patches(self, node: Node) -> None:
        self._of(node, "image")
        self.patch = node.operation.side
        self.known[node.name] = _Tensor("patches", None)

    def _linear(self, node: Node) -> None:
        source = self._of(node, "stored patches norm gelu joined")
        operation: Linear = node.operation
        layer = Matmul(node.name, node.inputs[0], operation.weight, operation.bias)
        if source.kind in ("norm", "gelu"):
            layer.source = source.value
            layer.first_rows = source.first_rows
        elif source.kind == "joined":
            layer.source, layer.joined = source.value, True
        layer.patches = source.kind == "patches"
        layer.side, layer.from_raster = self.side, layer.patches and self.side is not None
        if source.kind == "norm":
            layer.windows = source.windows
        else:
            layer.inner_windows = source.windows
        self.layers.append(layer)
        self.known[node.name] = _Tensor("accumulator", layer)

    def _rescale(self, node: Node) -> None:
        tensor = self._of(node, "accumulator scores_accumulator attention raw_norm raw_gelu norm mean")
        operation: Rescale = node.operation
        if tensor.kind == "accumulator":
            layer: Matmul = tensor.value
            layer.name, layer.rescale = node.name, operation
            windows = layer.windows or layer.inner_windows
            self.known[node.name] = _Tensor("stored", layer, windows=windows)
        elif tensor.kind == "scores_accumulator":
            source, split = tensor.value
            parts = {"source": source, "heads": split.heads, "scores": operation, "scores_name": node.name}
            self.known[node.name] = _Tensor("scores", {**parts, "windows": self.known[source].windows})
        elif tensor.kind == "attention":
            attention = Attention(name=node.name, rescale=operation, **tensor.value)
            self.layers.append(attention)
            self.known[node.name] = _Tensor("stored", attention, windows=attention.windows)
        elif tensor.kind == "raw_norm":
            source, norm, side = tensor.value
            view: Norm | Gelu = Norm(node.name, source, norm.bias, operation, side)
            self.known[node.name] = _Tensor("norm", view, tensor.first_rows)
        elif tensor.kind in ("norm", "mean"):
            self._unchanged(node.name, tensor.value, operation)
        else:
            source, gelu = tensor.value
            self.known[node.name] = _Tensor("gelu", Gelu(node.name, source, gelu, operation))

    def _unchanged(self, name: str, source: str | Norm, rescale: Rescale) -> Matmul:
        """A tensor that is only rescaled: a product with the identity. A norm of 16 bits comes in two bytes, of which
        the lower one is 128 too small.
        """
        channels = len(source.bias) if isinstance(source, Norm) else len(self._mean_of(source))
        wide = isinstance(source, Norm) and source.wide
        bias = np.full(channels, LOW_HALF_OFFSET, np.int64) if wide else None
        weight = np.eye(channels, dtype=np.int64)
        if not isinstance(source, Norm):  # of a mean's pairs the first
            weight = np.kron(weight, np.array([[1, 0]]))
        layer = Matmul(name, source, weight, bias, rescale, side=self.side)
        self.layers.append(layer)
        self.known[name] = _Tensor("stored", layer)
        return layer

    def _stored_norm(self, norm: _Tensor) -> Matmul:
        """What a norm gives, as the matmul that puts it into memory as it is."""
        layer = self._unchanged(norm.value.name, norm.value, Rescale(Dyadic(np.array(1), np.array(0)), 8))
        layer.first_rows = norm.first_rows
        return layer

    def _mean_of(self, name: str) -> IntArray:
        """The weights of the layer whose result is averaged."""
        mean = next(layer for layer in self.layers if isinstance(layer, Mean) and layer.name == name)
        source = next(layer for layer in self.layers if layer.name == mean.source)
        assert isinstance(source, Matmul)
        return source.weight

    def _mean(self, node: Node) -> None:
        source = self._stored_norm(self._of(node, "norm"))
        source.averaged = True
        self.layers.append(Mean(node.name, source.name))
        self.side = None
        self.known[node.name] = _Tensor("mean", node.name)

    def _windows(self, node: Node) -> None:
        tensor, operation = self._of(node, "norm"), node.operation
        assert self.side is not None and self.last_side is not None
        windows = Windows(self.side, operation.window, operation.shift, self.last_side)
        self.known[node.name] = _Tensor("norm", tensor.value, windows=windows)

    def _joined(self, node: Node) -> None:
        self.known[node.name] = _Tensor("stored", self._of(node, "stored").value)

    def _merge_patches(self, node: Node) -> None:
        layer = self._of(node, "stored").value
        if not isinstance(layer, Matmul) or self.side is None:
            raise CompileError(f"{node.name}: patch merging needs a map of tokens that a matmul makes.")
        layer.merges, self.side = True, self.side // 2
        self.known[node.name] = _Tensor("merged", layer.name)

    def _norm(self, node: Node) -> None:
        tensor = self._of(node, "stored merged")
        if tensor.kind == "merged":
            value = (tensor.value, node.operation, self.side)
        else:
            value = (node.inputs[0], node.operation, None)
        self.known[node.name] = _Tensor("raw_norm", value)

    def _gelu(self, node: Node) -> None:
        self._of(node, "stored")
        self.known[node.name] = _Tensor("raw_gelu", (node.inputs[0], node.operation))

    def _select(self, node: Node) -> None:
        tensor = self._of(node, "raw_norm")
        if node.operation.token:
            raise CompileError(f"{node.name}: only the first token can be selected, not token {node.operation.token}.")
        self.known[node.name] = _Tensor("raw_norm", tensor.value, first_rows=1)

    def _first_tokens(self, node: Node) -> None:
        tensor = self._of(node, "raw_norm")
        self.known[node.name] = _Tensor("raw_norm", tensor.value, node.operation.count)

    def _concatenate(self, node: Node) -> None:
        self.known[node.name] = _Tensor("joined", self._stored_norm(self._of(node, "norm")).name)

    def _constant(self, node: Node) -> None:
        self.known[node.name] = _Tensor("constant", node.operation.value)

    def _prepend(self, node: Node) -> None:
        tensor = self._of(node, "stored")
        self.known[node.name] = _Tensor("prepended", (tensor.value, node.operation.token))

    def _residual(self, node: Node) -> None:
        tensor = self._of(node, "stored prepended")
        operation: ResidualAdd = node.operation
        bits = 16
        if tensor.kind == "prepended":
            layer, tokens = tensor.value
            constant: IntArray = self._of(node, "constant", 1).value[0]
            count = tokens.shape[1]
            layer.tokens = operation.apply(tokens[0], constant[:count])
            skip: str | IntArray = constant[count:]
        else:
            layer, skip = tensor.value, node.inputs[1]
            before = self._of(node, "stored", 1).value
            bits = 8 if isinstance(before, Matmul) and before.widened else 16
        if not isinstance(layer, Matmul) or layer.rescale is None or layer.rescale.bits != 16:
            raise CompileError(f"{node.name}: a residual addition needs a 16-bit result of a matmul as its branch.")
        layer.inner, layer.name = layer.name, node.name
        layer.residual = Residual(operation, skip, bits)
        self.known[node.name] = _Tensor("stored", layer)

    def _split(self, node: Node) -> None:
        self._of(node, "stored")
        self.known[node.name] = _Tensor("head", (node.inputs[0], node.operation))

    def _matmul(self, node: Node) -> None:
        if node.operation.transposed:
            left, right = self._of(node, "head"), self._of(node, "head", 1)
            if left.value[0] != right.value[0] or left.value[1].part != 0 or right.value[1].part != 1:
                raise CompileError(f"{node.name}: scores must be Q K^T of one tensor of Q, K and V.")
            self.known[node.name] = _Tensor("scores_accumulator", left.value)
        else:
            left, right = self._of(node, "probabilities"), self._of(node, "head", 1)
            if left.value["source"] != right.value[0] or right.value[1].part != 2:
                raise CompileError(
                    f"{node.name}: probabilities must meet the V of the tensor that their scores are of."
                )
            self.known[node.name] = _Tensor("heads", left.value)

    def _bias(self, node: Node) -> None:
        parts, operation = self._of(node, "scores").value, node.operation
        table: IntArray = self._of(node, "constant", 1).value
        terms = operation.table.apply(table[operation.index.reshape(-1)]).reshape(*operation.index.shape, -1)
        bias = ScoreBias(node.name, operation.scores, terms.transpose(2, 0, 1))
        self.known[node.name] = _Tensor("scores", {**parts, "bias": bias})

    def _softmax(self, node: Node) -> None:
        parts = {**self._of(node, "scores").value, "softmax_name": node.name}
        if isinstance(node.operation, AttentionMask):
            parts |= {"softmax": node.operation.softmax, "regions": node.operation.regions}
        else:
            parts["softmax"] = node.operation
        self.known[node.name] = _Tensor("probabilities", parts)

    def _merge(self, node: Node) -> None:
        self.known[node.name] = _Tensor("attention", self._of(node, "heads").value)

    _HANDLERS = {
        Patches: _patches,
        Linear: _linear,
        Rescale: _rescale,
        ILayerNorm: _norm,
        ShiftGELU: _gelu,
        PolynomialGELU: _gelu,
        SelectToken: _select,
        FirstTokens: _first_tokens,
        Concatenate: _concatenate,
        Constant: _constant,
        PrependToken: _prepend,
        ResidualAdd: _residual,
        HeadSplit: _split,
        WindowSplit: _windows,
        WindowMerge: _joined,
        PatchMerge: _merge_patches,
        TokenMean: _mean,
        BiasAdd: _bias,
        AttentionMask: _softmax,
        MatMul: _matmul,
        Shiftmax: _softmax,
        HeadMerge: _merge,
    }
