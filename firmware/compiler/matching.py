"""Finds the fused layers of a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.layers import Attention, Gelu, Layer, Matmul, Norm, Plan, Residual
from sim.reference.graph import Graph, Node
from sim.reference.layernorm import ILayerNorm
from sim.reference.operations import (
    Constant,
    HeadMerge,
    HeadSplit,
    Linear,
    MatMul,
    Patches,
    PrependToken,
    SelectToken,
)
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Rescale, ResidualAdd
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["match"]


@dataclass
class _Tensor:
    """What is known of a tensor that is not in memory as it stands."""

    kind: str
    value: Any
    token: int | None = None


def match(graph: Graph) -> Plan:
    """The layers of a ViT or DeiT.

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

    def plan(self) -> Plan:
        for node in self.graph.nodes:
            handler = self._HANDLERS.get(type(node.operation))
            if handler is None:
                raise CompileError(
                    f"{node.name}: the machine has no {type(node.operation).__name__}; only ViT and DeiT models can be "
                    "compiled so far."
                )
            handler(self, node)
        first = self.layers[0]
        assert isinstance(first, Matmul) and first.residual is not None
        assert isinstance(first.residual.skip, np.ndarray)
        return Plan(self.layers, self.graph.source, self.graph.output, first.residual.skip.shape[0] + 1, self.patch)

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
        source = self._of(node, "stored patches norm gelu token")
        operation: Linear = node.operation
        layer = Matmul(node.name, node.inputs[0], operation.weight, operation.bias)
        if source.kind in ("norm", "gelu"):
            layer.source = source.value
            layer.only_token = source.token
        layer.patches = source.kind == "patches"
        self.layers.append(layer)
        self.known[node.name] = _Tensor("accumulator", layer)

    def _rescale(self, node: Node) -> None:
        tensor = self._of(node, "accumulator scores_accumulator attention raw_norm raw_gelu")
        operation: Rescale = node.operation
        if tensor.kind == "accumulator":
            layer: Matmul = tensor.value
            layer.name, layer.rescale = node.name, operation
            self.known[node.name] = _Tensor("stored", layer)
        elif tensor.kind == "scores_accumulator":
            self.known[node.name] = _Tensor("scores", (*tensor.value, operation, node.name))
        elif tensor.kind == "attention":
            q, scores, scores_name, softmax, softmax_name = tensor.value
            self.layers.append(
                Attention(node.name, q[0], q[1].heads, scores, softmax, operation, scores_name, softmax_name)
            )
            self.known[node.name] = _Tensor("stored", None)
        elif tensor.kind == "raw_norm":
            source, norm = tensor.value
            view: Norm | Gelu = Norm(node.name, source, norm.bias, operation)
            self.known[node.name] = _Tensor("norm", view, tensor.token)
        else:
            source, gelu = tensor.value
            self.known[node.name] = _Tensor("gelu", Gelu(node.name, source, gelu, operation))

    def _norm(self, node: Node) -> None:
        self._of(node, "stored")
        self.known[node.name] = _Tensor("raw_norm", (node.inputs[0], node.operation))

    def _gelu(self, node: Node) -> None:
        self._of(node, "stored")
        self.known[node.name] = _Tensor("raw_gelu", (node.inputs[0], node.operation))

    def _select(self, node: Node) -> None:
        tensor = self._of(node, "raw_norm")
        self.known[node.name] = _Tensor("raw_norm", tensor.value, node.operation.token)

    def _constant(self, node: Node) -> None:
        self.known[node.name] = _Tensor("constant", node.operation.value)

    def _prepend(self, node: Node) -> None:
        tensor = self._of(node, "stored")
        self.known[node.name] = _Tensor("prepended", (tensor.value, node.operation.token))

    def _residual(self, node: Node) -> None:
        tensor = self._of(node, "stored prepended")
        operation: ResidualAdd = node.operation
        if tensor.kind == "prepended":
            layer, token = tensor.value
            constant: IntArray = self._of(node, "constant", 1).value[0]
            layer.token = operation.apply(token.reshape(1, -1), constant[:1])[0]
            skip: str | IntArray = constant[1:]
        else:
            layer, skip = tensor.value, node.inputs[1]
            self._of(node, "stored", 1)
        if not isinstance(layer, Matmul) or layer.rescale is None or layer.rescale.bits != 16:
            raise CompileError(f"{node.name}: a residual addition needs a 16-bit result of a matmul as its branch.")
        layer.inner, layer.name = layer.name, node.name
        layer.residual = Residual(operation, skip)
        self.known[node.name] = _Tensor("stored", layer)

    def _split(self, node: Node) -> None:
        self._of(node, "stored")
        self.known[node.name] = _Tensor("head", (node.inputs[0], node.operation))

    def _matmul(self, node: Node) -> None:
        if node.operation.transposed:
            left, right = self._of(node, "head"), self._of(node, "head", 1)
            if left.value[0] != right.value[0] or left.value[1].part != 0 or right.value[1].part != 1:
                raise CompileError(f"{node.name}: scores must be Q K^T of one tensor of Q, K and V.")
            self.known[node.name] = _Tensor("scores_accumulator", (left.value,))
        else:
            left, right = self._of(node, "probabilities"), self._of(node, "head", 1)
            if left.value[0][0] != right.value[0] or right.value[1].part != 2:
                raise CompileError(
                    f"{node.name}: probabilities must meet the V of the tensor that their scores are of."
                )
            self.known[node.name] = _Tensor("heads", left.value)

    def _softmax(self, node: Node) -> None:
        q, scores, name = self._of(node, "scores").value
        self.known[node.name] = _Tensor("probabilities", (q, scores, name, node.operation, node.name))

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
        Constant: _constant,
        PrependToken: _prepend,
        ResidualAdd: _residual,
        HeadSplit: _split,
        MatMul: _matmul,
        Shiftmax: _softmax,
        HeadMerge: _merge,
    }
