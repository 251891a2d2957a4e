"""The pieces that every model's graph repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.reference.arithmetic import Arithmetic
from sim.reference.graph import Graph
from sim.reference.nonlinear import gelu_of, layernorm_of, norm_constants
from sim.reference.operations import HeadMerge, HeadSplit, Linear, MatMul
from sim.reference.outputs import Output
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import IntArray

__all__ = ["FloatArray", "GraphBuilder", "Tensors"]

FloatArray = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[Any]]
Probabilities = Callable[[np.float32], tuple[str, np.float32]]


class GraphBuilder:
    """Adds the recurring pieces: a linear layer or a norm with the requantisation that always follows it."""

    def __init__(self, tensors: Tensors, arithmetic: Arithmetic) -> None:
        self.tensors = tensors
        self.arithmetic = arithmetic
        self.graph = Graph("qact_input", ("head",))
        self._aliases: dict[str, str] = {}

    def outputs(self, outputs: Mapping[str, Output]) -> None:
        """Makes the tensors of these the graph's outputs."""
        self.graph.outputs = tuple(dict.fromkeys(output.tensor for output in outputs.values()))

    def alias(self, name: str, original: str) -> None:
        """Tensor `name` holds the values of `original` in another order, and so has its scale."""
        self._aliases[name] = original

    def scale(self, name: str) -> np.float32:
        """Scale of a requantised tensor."""
        return np.float32(self.tensors[f"{self._aliases.get(name, name)}.act_scaling_factor"])

    def integers(self, name: str) -> IntArray:
        return self.tensors[name].astype(np.int64)

    def dyadic(self, scale_in: FloatArray | np.float32, target: str) -> Dyadic:
        return Dyadic.from_ratio(scale_in, self.scale(target), self.arithmetic.multiplier_bits)

    def weights(self, name: str) -> Linear:
        weight = self.integers(f"{name}.weight_integer")
        bias = f"{name}.bias_integer"
        return Linear(weight.reshape(len(weight), -1), self.integers(bias) if bias in self.tensors else None)

    def accumulator_scale(self, name: str, source: str) -> FloatArray:
        kind = "conv" if name.startswith("patch_embed") else "fc"
        return (self.tensors[f"{name}.{kind}_scaling_factor"] * self.scale(source)).astype(np.float32)

    def linear(self, name: str, source: str, target: str, bits: int, low: IntArray | None = None) -> str:
        """Linear layer `name` on tensor `source`, requantised to `target`."""
        accumulator = self.graph.add(name, self.weights(name), source)
        rescale = Rescale(self.dyadic(self.accumulator_scale(name, source), target), bits, low)
        return self.graph.add(target, rescale, accumulator)

    def norm(self, name: str, source: str) -> str:
        bias, _ = self._norm_constants(name)
        return self.graph.add(name, layernorm_of(self.arithmetic, bias), source)

    def _norm_constants(self, name: str) -> tuple[IntArray, FloatArray]:
        bias, scale = self.integers(f"{name}.bias_integer"), self.tensors[f"{name}.norm_scaling_factor"]
        return norm_constants(self.arithmetic, bias, scale)

    def norm_rescale(self, name: str, target: str, bits: int = 8) -> Rescale:
        return Rescale(self.dyadic(self._norm_constants(name)[1], target), bits)

    def normalised(self, name: str, source: str, target: str, bits: int = 8) -> str:
        """LayerNorm `name` of tensor `source`, requantised to `target`."""
        norm = self.norm(name, source)
        return self.graph.add(target, self.norm_rescale(name, target, bits), norm)

    def mlp(self, name: str, source: str, bits: int) -> str:
        """The two layers of a block's MLP with ShiftGELU between, up to the branch of so many bits."""
        gelu_input = self.linear(f"{name}.fc1", source, f"{name}.qact_gelu", 8)
        scale = self.scale(gelu_input)
        gelu = gelu_of(self.arithmetic, scale)
        self.graph.add(f"{name}.act", gelu, gelu_input)
        factor = self.dyadic(np.float32(scale * gelu.scale_ratio), f"{name}.qact1")
        hidden = self.graph.add(f"{name}.qact1", Rescale(factor, 8), f"{name}.act")
        return self.linear(f"{name}.fc2", hidden, f"{name}.qact2", bits)

    def attention(
        self, name: str, source: str, heads: int, width: int, merged: str, projected: str, probabilities: Probabilities
    ) -> str:
        """Attention `name` on tensor `source`, up to the 16-bit branch.

        Parameters
        ----------
        width : channels of a head that are not padding, by whose root scores are divided
        merged, projected : the activations in front of and behind the projection, named within the attention
        probabilities : adds what lies between Q K^T, whose scale it is given, and A V; returns tensor and scale
        """
        channels = self.weights(f"{name}.proj").weight.shape[1]
        # K and V become the operands that share a multiplier in pairs, so the arithmetic may limit them; Q does not.
        low = np.repeat(np.array([-128, self.arithmetic.packed_min, self.arithmetic.packed_min]), channels)
        qkv = self.linear(f"{name}.qkv", source, f"{name}.qact1", 8, low)
        q, k, v = (self.graph.add(f"{name}.{part}", HeadSplit(i, heads), qkv) for i, part in enumerate("qkv"))
        scale = self.scale(qkv)
        self.graph.add(f"{name}.matmul_1", MatMul(transposed=True), q, k)
        attended, attended_scale = probabilities(np.float32(np.float32(scale * scale) * np.float32(width**-0.5)))
        self.graph.add(f"{name}.matmul_2", MatMul(transposed=False), attended, v)
        self.graph.add(f"{name}.merged", HeadMerge(), f"{name}.matmul_2")
        merged, merged_scale = f"{name}.{merged}", np.float32(attended_scale * scale)
        self.graph.add(merged, Rescale(self.dyadic(merged_scale, merged), 8), f"{name}.merged")
        return self.linear(f"{name}.proj", merged, f"{name}.{projected}", 16)

    def block(self, name: str, source: str, attention: Callable[[str], str], bits: int = 16) -> str:
        """A Transformer block, whose result has so many bits; `attention` adds its attention behind the tensor it is
        given and returns the branch.
        """
        branch = attention(self.normalised(f"{name}.norm1", source, f"{name}.qact1"))
        middle = self.residual(branch, source, f"{name}.qact2")
        self.normalised(f"{name}.norm2", middle, f"{name}.qact3")
        return self.residual(self.mlp(f"{name}.mlp", f"{name}.qact3", bits), middle, f"{name}.qact4", bits)

    def residual(self, branch: str, skip: str, target: str, bits: int = 16) -> str:
        add = ResidualAdd(self.dyadic(self.scale(branch), target), self.dyadic(self.scale(skip), target), bits)
        return self.graph.add(target, add, branch, skip)
