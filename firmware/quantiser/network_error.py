"""How far the integer model is from the float one at every quantised tensor, the errors of all before it included."""

from __future__ import annotations

import numpy as np

from firmware.float_models.blocks import FloatArray, FloatModel
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel

__all__ = ["network_errors"]


def network_errors(float_model: FloatModel, model: IntegerModel, images: FloatArray) -> dict[str, float]:
    """Root mean square of integer less float, relative to the float tensor's own, by tensor in order of execution.

    The difference between a tensor and the one before it is what the operation between them adds.

    Parameters
    ----------
    images : preprocessed (batch, 3, H, W); a handful is plenty
    """
    exact: dict[str, FloatArray] = {}
    float_model.forward(images, exact.__setitem__)
    vit = IntegerVit(model)
    names = [name for name in exact if f"{name}.act_scaling_factor" in model.tensors]
    found = vit.run(vit.quantised(images), capture=names)
    errors = {}
    for name in names:
        scale = float(model.tensors[f"{name}.act_scaling_factor"])
        noise = np.sqrt(np.mean(np.square(found[name] * scale - exact[name].reshape(found[name].shape))))
        errors[name] = float(noise / max(float(np.sqrt(np.mean(np.square(exact[name])))), 1e-12))
    return errors
