"""The tensors of a graph that fusion has seen, and the layers that are complete."""

from __future__ import annotations

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Layer
from firmware.compiler.fuse.tensors import ConstantRows, Image, NormOutput, Result, Tensor, refused
from sim.reference.graph import Node
from sim.reference.rounding import IntArray

__all__ = ["Known"]


class Known:
    """Gives the inputs of a node, and raises CompileError if they are not what the node needs.

    Parameters
    ----------
    source : the tensor that the graph starts from

    Attributes
    ----------
    tensors : by name
    layers : by the tensor that each writes, in the order in which they run
    """

    def __init__(self, source: str) -> None:
        self.tensors: dict[str, Tensor] = {source: Image()}
        self.layers: dict[str, Layer] = {}

    def inputs(self, node: Node) -> list[Tensor]:
        return [self.tensors[name] for name in node.inputs]

    def input(self, node: Node, index: int = 0) -> Tensor:
        return self.tensors[node.inputs[index]]

    def refused(self, node: Node, takes: str, index: int = 0) -> CompileError:
        """The error for an input that is not what the node `takes`."""
        return refused(node, self.inputs(node), takes, index)

    def store(self, layer: Layer) -> str:
        """Appends a layer, once; the tensor that it writes."""
        self.layers.setdefault(layer.name, layer)
        return layer.name

    def stored(self, node: Node, index: int = 0) -> str:
        """The name of an input that is in memory."""
        match self.input(node, index):
            case Result(layer):
                return self.store(layer)
            case _:
                raise self.refused(node, "a stored tensor", index)

    def norm_output(self, node: Node) -> NormOutput:
        match self.input(node):
            case NormOutput() as norm:
                return norm
            case _:
                raise self.refused(node, "a norm without rescale")

    def constant(self, node: Node, index: int) -> IntArray:
        match self.input(node, index):
            case ConstantRows(value):
                return value
            case _:
                raise self.refused(node, "a constant", index)
