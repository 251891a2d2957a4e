"""An ONNX graph, run once: what depends on the picture, and the constants that it meets, as events in order.

Nothing in the file is executed but the operations that are listed here, by the `onnx` package's own evaluator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError

__all__ = ["Event", "OnnxRun", "run_graph"]

Array = npt.NDArray[Any]
MOST_BYTES = 2 << 30
MOST_ELEMENTS = 1 << 27  # of a tensor: a hidden layer of 1,370 tokens has 8 million
PLUMBING = {
    *("Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Gather"),
    *(
        "Identity",
        "IsNaN",
        "MatMul",
        "Mul",
        "Pow",
        "Reshape",
        "Shape",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
    ),
    *("Unsqueeze", "Where"),
}
"""Operations that only move numbers, or whose constants decide what they are."""
ACTIVATIONS = {"Erf": "gelu", "Gelu": "gelu", "Sigmoid": "quick_gelu", "Tanh": "gelu_tanh"}
KNOWN = PLUMBING | set(ACTIVATIONS) | {"Conv", "Gemm", "LayerNormalization", "ReduceMean", "Softmax"}


@dataclass
class Event:
    """A step of the model.

    Members
    -------
    kind : patches, tokens, positions, norm, linear, scale (LayerScale), scores, activation, mean
    node : its name, for messages
    constants : weights by what they are
    about : of an activation its name, of scores the number of heads, of a norm its epsilon
    """

    kind: str
    node: str
    constants: dict[str, Array] = field(default_factory=dict)
    about: Any = None


@dataclass(frozen=True)
class OnnxRun:
    """The events of a graph; the picture that it was run on, and what it made of it.

    `products` are pairs of linear events: what is multiplied with what by attention.
    """

    events: list[Event]
    products: list[tuple[int | None, int | None]]
    image: Array
    output: Array


def run_graph(path: Path) -> OnnxRun:
    """Reads a file and runs its graph on one random picture.

    Raises
    ------
    UserError : the file is damaged or too large, an operation of it is not understood, or the package is absent
    """
    try:
        import onnx
        from onnx.reference import ReferenceEvaluator
    except ImportError as error:
        raise UserError(
            f"{path} is an ONNX file and onnx is not installed; get it with `pip install onnx==1.23.2`."
        ) from error
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} has more than {MOST_BYTES:,} bytes, which no ONNX file has.")
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
        _bring_in(model, path)
        _check_operations(model, path)
        _check_sizes(onnx.shape_inference.infer_shapes(model, data_prop=True), path)
        image = _image(model, path)
        values = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: image}, intermediate=True)
        return _Walk(model.graph, values, path).run(image)
    except UserError:
        raise
    # The package answers damaged and hostile files with nearly anything; all of it means the same to the user.
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:120].rstrip(".")
        raise UserError(
            f"{path} is damaged or no ONNX file that can be run ({type(error).__name__}: {reason})."
        ) from error


def _bring_in(model: Any, path: Path) -> None:
    """Puts weights that lie in a file beside it into the model."""
    import onnx

    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        about = {entry.key: entry.value for entry in tensor.external_data}
        name, offset, length = about.get("location", ""), int(about.get("offset", 0)), int(about.get("length", -1))
        beside = path.parent / name
        if not name or Path(name).name != name or not beside.is_file():
            raise UserError(f"{path}: the weights of {tensor.name!r} lie in {name!r}, which is no file beside it.")
        size = beside.stat().st_size
        if not 0 <= offset <= size or not 0 <= length <= size - offset:
            raise UserError(f"{path}: the weights of {tensor.name!r} go beyond the end of {name}.")
        with beside.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _check_operations(model: Any, path: Path) -> None:
    if model.functions or len(model.graph.output) < 1:
        raise UserError(f"{path}: the graph has functions of its own, or no output; export the plain model.")
    for node in model.graph.node:
        if node.op_type not in KNOWN or node.domain not in ("", "ai.onnx"):
            raise UserError(f"{path}: the node {_name(node)!r}, a {node.op_type}, is not understood.")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise UserError(f"{path}: the node {_name(node)!r} has a graph inside, which is not understood.")


def _check_sizes(inferred: Any, path: Path) -> None:
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        count = 1
        for axis in value.type.tensor_type.shape.dim:
            count *= max(axis.dim_value, 1)
        if count > MOST_ELEMENTS:
            raise UserError(f"{path}: {value.name!r} has {count:,} numbers, more than {MOST_ELEMENTS:,}.")


def _image(model: Any, path: Path) -> Array:
    """A random picture of the size that the graph takes."""
    known = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in known]
    sides = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(sides) != 4 or sides[1] != 3 or sides[2] != sides[3] or not 0 < sides[2] <= 2048:
        raise UserError(f"{path}: the graph must have one input, pictures (batch, 3, side, side) of a fixed side.")
    return np.random.default_rng(0).standard_normal((1, *sides[1:])).astype(np.float32)


def _name(node: Any) -> str:
    return str(node.name or node.output[0])


class _Walk:
    """Along the nodes that depend on the picture.

    Attributes
    ----------
    moving : names of what depends on the picture
    origin : of those the linear event that they come from, if it is one
    """

    def __init__(self, graph: Any, values: dict[str, Any], path: Path) -> None:
        self.graph, self.path = graph, path
        self.values: dict[str, Any] = dict(values)
        import onnx

        self.values |= {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
        self.moving = {graph.input[0].name}
        self.origin: dict[str, int | None] = {}
        self.events: list[Event] = []
        self.products: list[tuple[int | None, int | None]] = []

    def run(self, image: Array) -> OnnxRun:
        for node in self.graph.node:
            moved = [name for name in node.input if name in self.moving]
            if moved:
                self.moving |= set(node.output)
                origin = self._step(node, moved)
                self.origin |= dict.fromkeys(node.output, origin)
        return OnnxRun(self.events, self.products, image, np.asarray(self.values[self.graph.output[0].name]))

    def _step(self, node: Any, moved: list[str]) -> int | None:
        """Notes what a node does; the linear event that its result comes from."""
        kind = node.op_type
        constants = [np.asarray(self.values[name]) for name in node.input if name and name not in self.moving]
        attributes = {one.name: one for one in node.attribute}
        if kind == "Conv":
            self._add("patches", node, weight=constants[0], **({"bias": constants[1]} if len(constants) > 1 else {}))
            return None
        if kind == "LayerNormalization":
            bias = constants[1] if len(constants) > 1 else np.zeros_like(constants[0])
            self._add("norm", node, weight=constants[0], bias=bias)
            self.events[-1].about = attributes["epsilon"].f if "epsilon" in attributes else 1e-5
            return None
        if kind == "Gemm":
            weight = constants[0] if "transB" in attributes and attributes["transB"].i else constants[0].T
            added = {"bias": constants[1].reshape(-1)} if len(constants) > 1 else {}
            return self._add("linear", node, weight=weight, **added)
        if kind == "MatMul" and len(moved) == 2:
            self.products.append((self.origin.get(node.input[0]), self.origin.get(node.input[1])))
            return None
        if kind == "MatMul":
            return self._add("linear", node, weight=constants[0].T)
        if kind == "Softmax":
            self._add("scores", node)
            self.events[-1].about = int(np.asarray(self.values[node.output[0]]).shape[1])
            return None
        if kind in ACTIVATIONS:
            self._add("activation", node)
            tanh = kind == "Gelu" and "approximate" in attributes and attributes["approximate"].s == b"tanh"
            self.events[-1].about = "gelu_tanh" if tanh else ACTIVATIONS[kind]
            return None
        if kind == "ReduceMean":
            self._add("mean", node)
            return None
        return self._plumbing(node, moved, constants)

    def _plumbing(self, node: Any, moved: list[str], constants: list[Array]) -> int | None:
        origins = {self.origin.get(name) for name in moved}
        origin = origins.pop() if len(origins) == 1 else None
        result = np.asarray(self.values[node.output[0]])
        whole = [one for one in constants if one.size > 1 and one.shape[-1:] == result.shape[-1:]]
        if node.op_type == "Concat" and whole:
            self._add("tokens", node, **{f"token {index}": one for index, one in enumerate(whole)})
        elif node.op_type == "Add" and whole and whole[0].any() and len(moved) == 1:  # a mask may mask nothing
            if origin is not None and whole[0].size == result.shape[-1]:
                self.events[origin].constants.setdefault("bias", whole[0].reshape(-1))
            else:
                self._add("positions", node, value=whole[0])
                return None
        elif node.op_type == "Mul" and whole and len(moved) == 1:
            self._add("scale", node, gamma=whole[0].reshape(-1))
        return origin

    def _add(self, kind: str, node: Any, **constants: Array) -> int:
        self.events.append(Event(kind, _name(node), constants))
        return len(self.events) - 1
