"""A model in fine-tuning: float weights, of which every forward makes the integer model and runs its graph exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from firmware.float_models.blocks import FloatArray
from firmware.quantiser.post_training import integer_tensors
from firmware.training.exact import exact, matmul
from firmware.training.surrogates import Moved, StraightThrough, factor_of, normalised, surrogate
from sim.reference.arithmetic import preset
from sim.reference.float_operations import FloatLayerNorm
from sim.reference.graph import Graph, Node
from sim.reference.integer_vit import model_graph
from sim.reference.layernorm import ILayerNorm
from sim.reference.model_file import IntegerModel
from sim.reference.operations import (
    Constant,
    HeadMerge,
    HeadSplit,
    Linear,
    MatMul,
    Patches,
    PatchMerge,
    PrependToken,
    SelectToken,
    WindowMerge,
    WindowSplit,
)
from sim.reference.rescale import Rescale
from sim.reference.scales import norm_unit, quantise, raised_gamma

__all__ = ["IntegerNetwork", "MismatchError", "starting_weights", "weights_of"]

ADDRESSING = (Patches, HeadSplit, HeadMerge, SelectToken, WindowSplit, WindowMerge, PatchMerge)


class MismatchError(AssertionError):
    """A tensor of a forward differs from the reference's; the message names it."""


def weights_of(model: IntegerModel) -> dict[str, FloatArray]:
    """Float weights that quantise to an integer model: where its fine-tuning starts when the original is gone."""
    shape = model.shape
    tensors: dict[str, npt.NDArray[Any]] = dict(model.tensors)
    found: dict[str, FloatArray] = {}
    for layer in shape.linears():
        scale = np.asarray(tensors[layer.scale], np.float32)
        integers = tensors[f"{layer.name}.weight_integer"].astype(np.float32)
        found[f"{layer.name}.weight"] = integers * scale.reshape(-1, *[1] * (len(layer.weight) - 1))
        if layer.bias:
            source = np.float32(tensors[f"{layer.source}.act_scaling_factor"])
            found[f"{layer.name}.bias"] = (tensors[f"{layer.name}.bias_integer"] * (scale * source)).astype(np.float32)
    for norm in shape.norms():
        scale = np.asarray(tensors[f"{norm.name}.norm_scaling_factor"], np.float32)
        found[f"{norm.name}.weight"] = (scale / norm_unit(norm.channels)).astype(np.float32)
        # Half a unit, because quantising floors.
        bias = (tensors[f"{norm.name}.bias_integer"] + 0.5) * scale.astype(np.float64)
        found[f"{norm.name}.bias"] = bias.astype(np.float32)
    for embedding in shape.embeddings():
        scale = np.asarray(tensors[f"{embedding.target}.act_scaling_factor"], np.float32)
        found[embedding.name] = (tensors[embedding.integer] * scale).astype(np.float32)
    return found


def starting_weights(model: IntegerModel, weights: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The float weights that an integer model was made of, with the biases that it has: post-training quantisation lets
    these take up mean errors, and fine-tuning begins where it ended.
    """
    biases = {f"{layer.name}.bias" for layer in model.shape.linears() if layer.bias}
    return {**weights, **{name: value for name, value in weights_of(model).items() if name in biases}}


class IntegerNetwork:
    """Runs forward in exact integers and backward through the real functions that they approximate.

    The scales of the activations stay what calibration made of them; those of the weights follow the weights, by their
    largest magnitude, as in post-training quantisation. One definition of the graph: the reference's, built anew of
    the weights before every forward.

    Parameters
    ----------
    model : the integer model to start from; its activations' scales are kept
    weights : float weights, as `ModelShape.weight_shapes` lists them
    device : where tensors live
    """

    def __init__(self, model: IntegerModel, weights: Mapping[str, FloatArray], device: str = "cpu") -> None:
        self.model = model
        self.shape = model.shape
        self.arithmetic = preset(model.arithmetic)
        self.device = torch.device(device)
        self.scales = {one.name: np.float32(model.tensors[one.scale]) for one in self.shape.activations()}
        self.parameters = {
            name: torch.tensor(np.asarray(weights[name], np.float32), device=self.device, requires_grad=True)
            for name in self.shape.weight_shapes()
        }
        self.places: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def weights(self) -> dict[str, FloatArray]:
        """The float weights as they are now."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.parameters.items()}

    def tensors(self) -> dict[str, npt.NDArray[np.generic]]:
        """Every constant of the integer model that the weights have now."""
        return integer_tensors(self.shape, self.weights(), self.scales)

    def integer_model(self) -> IntegerModel:
        """The integer model that the weights have now: a model like any other."""
        return IntegerModel(
            self.shape, self.model.arithmetic, self.model.preprocessing, self.tensors(), self.model.class_names
        )

    def forward(self, images: npt.NDArray[np.float32], capture: dict[str, Tensor] | None = None) -> Tensor:
        """Logits (batch, classes), float64, of preprocessed images (batch, 3, H, W); differentiable.

        `capture`, when given, receives every tensor by name.
        """
        constants = self.tensors()
        graph = model_graph(self.shape, constants, self.arithmetic)
        run = _Forward(self, graph, constants)
        head = run(quantise(images, self.scales["qact_input"], 8), capture)
        source = self.scales[self.shape.head.source]
        logit_scales = (np.asarray(constants[self.shape.head.scale], np.float32) * source).astype(np.float64)
        return head * torch.from_numpy(logit_scales).to(self.device)

    def check(self, images: npt.NDArray[np.float32]) -> int:
        """Compares every tensor of a forward with the reference's; the number of integers compared.

        Raises
        ------
        MismatchError : one differs
        """
        captured: dict[str, Tensor] = {}
        with torch.no_grad():
            self.forward(images, captured)
        graph = model_graph(self.shape, self.tensors(), self.arithmetic)
        wanted = graph.run(quantise(images, self.scales["qact_input"], 8))
        count = 0
        for name, integers in wanted.items():
            found = captured[name].to(torch.int64).cpu().numpy()
            if found.shape != integers.shape or (found != integers).any():
                raise MismatchError(f"the tensor {name!r} of fine-tuning's forward differs from the reference's")
            count += integers.size
        return count


class _Forward:
    """One forward: the graph's nodes in order."""

    def __init__(self, network: IntegerNetwork, graph: Graph, constants: Mapping[str, npt.NDArray[Any]]) -> None:
        self.network = network
        self.graph = graph
        self.constants = constants
        shape = network.shape
        self.linears = {layer.name: layer for layer in shape.linears()}
        self.norms = {norm.name: norm for norm in shape.norms()}
        self.embeddings: dict[str, list[str]] = {}
        for embedding in shape.embeddings():
            self.embeddings.setdefault(embedding.target, []).append(embedding.name)
        self.norm_of = {name: name for name in self.norms}  # whose grid a tensor is on, where that is a LayerNorm's

    def __call__(self, images: npt.NDArray[np.int64], capture: dict[str, Tensor] | None) -> Tensor:
        images_here = torch.from_numpy(images).to(self.network.device, torch.float32)
        tensors: dict[str, Tensor] = {self.graph.source: images_here}
        last_use = {read: index for index, node in enumerate(self.graph.nodes) for read in node.inputs}
        for index, node in enumerate(self.graph.nodes):
            inputs = [tensors[read] for read in node.inputs]
            tensors[node.name] = self._node(node, inputs)
            for read in set(node.inputs):
                if last_use[read] == index and capture is None:
                    del tensors[read]
        if capture is not None:
            capture.update(tensors)
        return tensors[self.graph.output]

    def _node(self, node: Node, inputs: list[Tensor]) -> Tensor:
        operation = node.operation
        if isinstance(operation, ADDRESSING):
            if node.inputs[0] in self.norm_of:
                self.norm_of[node.name] = self.norm_of[node.inputs[0]]
            return self._moved(node, inputs[0])
        if isinstance(operation, Linear):
            return self._linear(node, inputs[0])
        if isinstance(operation, MatMul):
            return matmul(inputs[0], inputs[1].transpose(-1, -2) if operation.transposed else inputs[1])
        if isinstance(operation, PrependToken):
            token = self._embedding(node.inputs[0], operation.token)
            return torch.cat([token.expand(len(inputs[0]), -1, -1), inputs[0].to(token.dtype)], dim=1)
        if isinstance(operation, Constant):
            return self._embedding(node.name, operation.value)
        integers = exact(operation, *(one.detach().to(torch.int64) for one in inputs))
        inside = None
        if isinstance(operation, ILayerNorm | FloatLayerNorm):
            real, kind = self._norm(node, inputs[0]), torch.float64
        elif isinstance(operation, Rescale):
            real, kind = self._rescaled(node, inputs[0]), torch.float32
            top = 2 ** (operation.bits - 1) - 1
            inside = (real.detach() > -top - 2) & (real.detach() < top + 1)
        else:
            real, kind = surrogate(operation, *inputs), torch.float32
        return StraightThrough.apply(real, integers.to(kind), inside)

    def _moved(self, node: Node, x: Tensor) -> Tensor:
        """By the places that the reference's own operation takes elements from."""
        key = (node.name, tuple(x.shape))
        places = self.network.places
        if key not in places:
            moved = node.operation.apply(np.arange(x.numel()).reshape(x.shape))
            places[key] = torch.from_numpy(np.ascontiguousarray(moved)).to(x.device)
        return Moved.apply(x, places[key])

    def _linear(self, node: Node, x: Tensor) -> Tensor:
        layer, parameters = self.linears[node.name], self.network.parameters
        scale = torch.from_numpy(np.asarray(self.constants[layer.scale], np.float32)).to(x.device)
        weight = parameters[f"{layer.name}.weight"].reshape(len(scale), -1) / scale[:, None]
        integers = torch.from_numpy(node.operation.weight).to(x.device, torch.float32)
        product = matmul(x, StraightThrough.apply(weight, integers, None).T)
        if node.operation.bias is None:
            return product
        step = scale * float(self.network.scales[layer.source])
        bias = (parameters[f"{layer.name}.bias"] / step).to(torch.float64)
        return product + StraightThrough.apply(
            bias, torch.from_numpy(node.operation.bias).to(x.device, torch.float64), None
        )

    def _embedding(self, target: str, integers: npt.NDArray[np.int64]) -> Tensor:
        learnt = [self.network.parameters[name] for name in self.embeddings[target]]
        real = (torch.cat(learnt, dim=1) if len(learnt) > 1 else learnt[0]) / float(self.network.scales[target])
        values = torch.from_numpy(np.ascontiguousarray(integers)).to(real.device, torch.float64)
        return StraightThrough.apply(real.to(torch.float64), values, None)

    def _gamma(self, name: str) -> Tensor:
        """gamma as the integer model has it: raised where it was too near 0, with the gradient of what it was."""
        gamma, beta = (self.network.parameters[f"{name}.{part}"] for part in ("weight", "bias"))
        raised, _ = raised_gamma(gamma.detach().cpu().numpy(), beta.detach().cpu().numpy())
        return StraightThrough.apply(gamma, torch.from_numpy(raised).to(gamma.device), None).to(torch.float64)

    def _grid(self, name: str) -> float:
        """Scale of a LayerNorm's result less gamma."""
        channels = self.norms[name].channels
        l1 = self.network.arithmetic.layernorm == "l1"
        return float(norm_unit(channels)) * (ILayerNorm.l1_ratio(channels) if l1 else 1.0)

    def _norm(self, node: Node, x: Tensor) -> Tensor:
        beta = self.network.parameters[f"{node.name}.bias"].to(torch.float64)
        bias = beta / (self._gamma(node.name) * self._grid(node.name))
        return normalised(node.operation, x.to(torch.float64), bias)

    def _rescaled(self, node: Node, x: Tensor) -> Tensor:
        source = node.inputs[0]
        if source not in self.norm_of:
            return x.to(torch.float64) * factor_of(node.operation.factor, x)
        name = self.norm_of[source]
        factor = self._gamma(name) * (self._grid(name) / float(self.network.scales[node.name]))
        return x * factor
