"""An integer model ready to run: from the model file to logits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sim.reference.architecture import spelled_out
from sim.reference.arithmetic import Arithmetic, preset
from sim.reference.builder import Tensors
from sim.reference.graph import Graph
from sim.reference.model_file import IntegerModel
from sim.reference.model_shape import ModelShape
from sim.reference.outputs import Output, chosen_outputs
from sim.reference.rounding import IntArray
from sim.reference.scales import quantise
from sim.reference.swin import swin_graph
from sim.reference.swin_shape import SwinShape
from sim.reference.vit import vit_graph
from sim.reference.vit_shape import VitShape

__all__ = ["IntegerVit", "model_graph"]


def model_graph(
    shape: ModelShape, tensors: Tensors, arithmetic: Arithmetic, outputs: Mapping[str, Output] | None = None
) -> Graph:
    """The graph of a model of any shape from its tensors, as `ModelShape.layout` lists them, up to some of
    `shape.outputs`, or to the head's accumulators.
    """
    if isinstance(shape, SwinShape):
        return swin_graph(shape, tensors, arithmetic, outputs)
    if isinstance(shape, VitShape):
        return vit_graph(shape, tensors, arithmetic, outputs)
    raise TypeError(f"there is no graph of {type(shape).__name__}")


class IntegerVit:
    """Runs a model (ViT, DeiT or Swin) in exact integers; every tensor can be had by name.

    Parameters
    ----------
    model : as read from a model file
    outputs : kinds of `OUTPUTS`; the model's own where none is named

    Attributes
    ----------
    outputs : what the graph gives, by kind

    Raises
    ------
    UserError : the model has no such output
    """

    def __init__(self, model: IntegerModel, outputs: Sequence[str] = ()) -> None:
        self.model = model
        offered = model.shape.outputs()
        chosen = chosen_outputs(outputs, list(offered), spelled_out(model.shape))
        self.outputs: dict[str, Output] = {kind: offered[kind] for kind in chosen}
        self.graph = model_graph(model.shape, model.tensors, preset(model.arithmetic), self.outputs)

    def quantised(self, images: npt.NDArray[np.float32]) -> IntArray:
        """Preprocessed float images (batch, 3, H, W) as the int8 values that the machine receives."""
        return quantise(images, self.model.image_scale, 8)

    def run(self, images: IntArray, capture: Collection[str] | None = None) -> dict[str, IntArray]:
        """The captured tensors (all when None) of int8 images, by the authors' names."""
        return self.graph.run(images.astype(np.int64), capture)

    def logits(self, images: IntArray) -> npt.NDArray[np.float64]:
        """Class scores (batch, classes): the integers of `head` times their scales."""
        head = self.run(images, capture=("head",))["head"]
        return np.asarray(head * self.model.logit_scales.astype(np.float64))
