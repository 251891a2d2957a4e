"""Biases that correct the mean error of every product.

After Nagel et al. (2019), "Data-free quantization through weight equalization and bias correction", section 4.2; here
the errors of all layers before are among those that are taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from firmware.float_models.blocks import FloatArray, FloatModel
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel
from sim.reference.model_shape import LinearLayer
from sim.reference.rounding import IntArray

__all__ = ["corrected_biases"]

BATCH = 4  # images a batch
DOUBT = 2  # standard errors at which half of a difference is taken for chance
LIMITS = (-(2**31), 2**31 - 1)
Means = npt.NDArray[np.float64]


def corrected_biases(
    float_model: FloatModel, model: IntegerModel, images: Sequence[Path], tell: Callable[[int, int], None]
) -> dict[str, npt.NDArray[np.int32]]:
    """New integers for every bias of `model`, by the names of its tensors.

    All images go through the integer model together, operation by operation. Behind each product with a bias, the mean
    of every output channel over all tokens is compared with the float model's, and the bias takes up the difference
    before the next operation runs. A difference that is small beside how much it varies from image to image is chance;
    so each is shrunk by d^2 / (d^2 + (2 s)^2), d being the difference and s its standard error.

    The tensors of all images are in memory together, in as few bits as they need: some 300 MB for 100 images of DeiT-T.

    Parameters
    ----------
    images : the calibration images' files, at least two
    tell : called with how many operations are done, and of how many
    """
    vit = IntegerVit(model)
    nodes = vit.graph.nodes
    layers = {layer.name: layer for layer in model.shape.layers() if isinstance(layer, LinearLayer) and layer.bias}
    # What rescales a product has the name under which the float model shows it.
    reader = {read: node.name for node in reversed(nodes) for read in node.inputs}
    shown = {name: reader.get(name, name) for name in layers}
    wanted, batches = _float_means(float_model, vit, images, set(shown.values()))
    last_use = {read: index for index, node in enumerate(nodes) for read in node.inputs}
    biases: dict[str, npt.NDArray[np.int32]] = {}
    for index, node in enumerate(nodes):
        results = [node.operation.apply(*(batch[read].astype(np.int64) for read in node.inputs)) for batch in batches]
        layer = layers.get(node.name)
        if layer is not None:
            old = model.tensors[f"{layer.name}.bias_integer"].astype(np.int64)
            scale = _accumulator_scale(model, layer)
            new = np.clip(old + _change(results, wanted[shown[layer.name]], scale), *LIMITS)
            biases[f"{layer.name}.bias_integer"] = new.astype(np.int32)
            results = [result + (new - old) for result in results]
        for batch, result in zip(batches, results, strict=True):
            batch[node.name] = _narrow(result)
            for read in {read for read in node.inputs if last_use[read] == index}:
                del batch[read]
        tell(index + 1, len(nodes))
    return biases


def _float_means(
    float_model: FloatModel, vit: IntegerVit, images: Sequence[Path], names: Collection[str]
) -> tuple[dict[str, Means], list[dict[str, IntArray]]]:
    """Of the named float tensors the mean over the tokens, (images, channels) by name; and the integer images."""
    means: dict[str, list[Means]] = {}
    batches: list[dict[str, IntArray]] = []

    def see(name: str, x: FloatArray) -> None:
        if name in names:
            means.setdefault(name, []).append(_over_tokens(x, len(loaded)))

    for start in range(0, len(images), BATCH):
        loaded = vit.model.preprocessing.load_batch(list(images[start : start + BATCH]))
        float_model.forward(loaded, see)
        batches.append({vit.graph.source: _narrow(vit.quantised(loaded))})
    return {name: np.concatenate(found) for name, found in means.items()}, batches


def _over_tokens(x: npt.NDArray[np.generic], images: int) -> Means:
    """(images, channels): the mean over all of an image's tokens, in windows or not."""
    return np.asarray(x.reshape(images, -1, x.shape[-1]).mean(axis=1, dtype=np.float64))


def _accumulator_scale(model: IntegerModel, layer: LinearLayer) -> Means:
    weights = np.asarray(model.tensors[layer.scale], np.float64)
    return weights * float(model.tensors[f"{layer.source}.act_scaling_factor"])


def _change(results: Sequence[IntArray], means: Means, scale: Means) -> IntArray:
    """The correction of a product's bias, in units of the accumulator."""
    counts = [min(BATCH, len(means) - start) for start in range(0, len(means), BATCH)]
    found = np.concatenate([_over_tokens(result, count) for result, count in zip(results, counts, strict=True)])
    error = found * scale - means
    difference, variance = error.mean(axis=0), error.var(axis=0, ddof=1) / len(error)
    certain = difference**2 / np.maximum(difference**2 + DOUBT**2 * variance, np.finfo(np.float64).tiny)
    return np.asarray(np.rint(-difference * certain / scale), np.int64)


def _narrow(x: IntArray) -> IntArray:
    """The same integers in as few bits as they need."""
    low, high = int(x.min(initial=0)), int(x.max(initial=0))
    return x.astype(np.min_scalar_type(min(low, -high - 1)))
