"""An integer model ready to run: from the model file to logits."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from sim.reference.arithmetic import preset
from sim.reference.model_file import IntegerModel
from sim.reference.rounding import IntArray
from sim.reference.scales import quantise
from sim.reference.vit import input_scale, logit_scales, vit_graph

__all__ = ["IntegerVit"]


class IntegerVit:
    """Runs a model in exact integers; every tensor can be had by name.

    Parameters
    ----------
    model : as read from a model file
    """

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self.graph = vit_graph(model.shape, model.tensors, preset(model.arithmetic))

    def quantised(self, images: npt.NDArray[np.float32]) -> IntArray:
        """Preprocessed float images (batch, 3, H, W) as the int8 values that the machine receives."""
        return quantise(images, input_scale(self.model.tensors), 8)

    def run(self, images: IntArray, capture: Collection[str] | None = None) -> dict[str, IntArray]:
        """The captured tensors (all when None) of int8 images, by the authors' names."""
        return self.graph.run(images.astype(np.int64), capture)

    def logits(self, images: IntArray) -> npt.NDArray[np.float64]:
        """Class scores (batch, classes): the integers of `head` times their scales."""
        head = self.run(images, capture=("head",))["head"]
        return np.asarray(head * logit_scales(self.model.tensors).astype(np.float64))
