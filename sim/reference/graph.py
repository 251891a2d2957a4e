"""A whole model as data: named tensors and the operations between them, in an order of execution."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.reference.rounding import IntArray

__all__ = ["Graph", "GraphError", "Node"]


class GraphError(ValueError):
    """A graph that cannot be run; the message names the tensor."""


@dataclass(frozen=True)
class Node:
    """One tensor and how it comes about.

    Parameters
    ----------
    name : the tensor's name, the authors' module (`blocks.0.attn.qact1`)
    operation : see `sim.reference.operations`
    inputs : names of the tensors it reads
    """

    name: str
    operation: Any
    inputs: tuple[str, ...]


@dataclass
class Graph:
    """Nodes in order; `source` names the int8 image batch that it starts from, `outputs` the tensors of interest."""

    source: str
    outputs: tuple[str, ...]
    nodes: list[Node] = field(default_factory=list)

    @property
    def output(self) -> str:
        """The first tensor of interest, and of most graphs the only one."""
        return self.outputs[0]

    def add(self, name: str, operation: Any, *inputs: str) -> str:
        """Appends a node and returns its name. Raises GraphError for a name in use or an unknown input."""
        known = {self.source, *(node.name for node in self.nodes)}
        if name in known:
            raise GraphError(f"the tensor '{name}' exists already; every tensor needs its own name")
        for wanted in inputs:
            if wanted not in known:
                raise GraphError(f"the tensor '{name}' reads '{wanted}', which no earlier node makes")
        self.nodes.append(Node(name, operation, inputs))
        return name

    def without_unused(self) -> Graph:
        """The same without the nodes that no output needs."""
        needed = set(self.outputs)
        for node in reversed(self.nodes):
            if node.name in needed:
                needed |= set(node.inputs)
        return Graph(self.source, self.outputs, [node for node in self.nodes if node.name in needed])

    def run(self, images: IntArray, capture: Collection[str] | None = None) -> dict[str, IntArray]:
        """The captured tensors of an int8 image batch (batch, 3, H, W), by name; all when `capture` is None.

        A tensor that nobody reads any more and that is not captured is dropped at once.

        Raises
        ------
        GraphError : a captured name is none of the graph's
        """
        names = [self.source, *(node.name for node in self.nodes)]
        for name in capture or ():
            if name not in names:
                raise GraphError(f"'{name}' is no tensor of this model; one of {names[1]} ... {names[-1]} is expected")
        last_use = {read: index for index, node in enumerate(self.nodes) for read in node.inputs}
        tensors: dict[str, IntArray] = {self.source: images}
        for index, node in enumerate(self.nodes):
            tensors[node.name] = node.operation.apply(*(tensors[read] for read in node.inputs))
            if capture is not None:
                _drop(tensors, capture, node, last_use, index)
        return tensors if capture is None else {name: tensors[name] for name in capture}


def _drop(
    tensors: dict[str, IntArray], capture: Collection[str], node: Node, last_use: Mapping[str, int], index: int
) -> None:
    for read in set(node.inputs):
        if last_use[read] == index and read not in capture:
            del tensors[read]
