"""What rounding a layer's weights takes from the mean of its outputs, given back by its bias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware.float_models.blocks import FloatArray
from sim.reference.addressing import patches
from sim.reference.model_shape import LinearLayer, ModelShape

__all__ = ["BiasCorrection"]


class BiasCorrection:
    """Observes a float model's activations (pass `observe` to its forward) and knows the mean input of each layer.

    A weight is rounded by up to half a step. Where an input's mean is not 0, these errors add up to an offset that is
    the same for every image: (W - S W_int) E[x]. The bias takes it up, so it costs the machine nothing (Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2, with measured means).

    Parameters
    ----------
    shape : the model's dimensions, which say what its linear layers read
    """

    def __init__(self, shape: ModelShape) -> None:
        self._layers = {layer.source: layer for layer in shape.linears()}
        self._counts = dict.fromkeys(self._layers, 0)
        self._sums: dict[str, npt.NDArray[np.float64]] = {}

    def observe(self, name: str, x: FloatArray) -> None:
        """Takes in one tensor of one batch."""
        layer = self._layers.get(name)
        if layer is None:
            return
        if len(layer.weight) == 4:
            x = patches(x, layer.weight[-1])
        rows = x.reshape(-1, int(np.prod(layer.weight[1:])))
        self._counts[name] += len(rows)
        self._sums[name] = self._sums.get(name, 0) + rows.sum(axis=0, dtype=np.float64)

    def mean_input(self, layer: LinearLayer) -> npt.NDArray[np.float64]:
        """Of all vectors that the layer has multiplied: float64 (input channels,)."""
        return self._sums[layer.source] / self._counts[layer.source]

    def offset(
        self, layer: LinearLayer, weight: FloatArray, integers: npt.NDArray[np.int64], scale: FloatArray
    ) -> FloatArray:
        """What to add to the float bias (output channels,), for weights of the layer's shape that were rounded to
        `integers` with one `scale` an output channel.
        """
        steps = integers.reshape(len(weight), -1) * scale.astype(np.float64)[:, None]
        lost = weight.reshape(len(weight), -1).astype(np.float64) - steps
        result: FloatArray = (lost @ self.mean_input(layer)).astype(np.float32)
        return result
