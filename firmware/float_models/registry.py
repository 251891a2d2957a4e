"""The float model of any architecture."""

from __future__ import annotations

from collections.abc import Mapping

from firmware.float_models.blocks import FloatArray, FloatModel
from firmware.float_models.swin import FloatSwin
from firmware.float_models.vit import FloatVit
from sim.reference.model_shape import ModelShape
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import VitShape

__all__ = ["float_model"]


def float_model(shape: ModelShape, weights: Mapping[str, FloatArray]) -> FloatModel:
    """The float model of these dimensions and weights (`ModelShape.weight_shapes`)."""
    if isinstance(shape, SwinShape):
        return FloatSwin(shape, weights)
    if isinstance(shape, VitShape):
        return FloatVit(shape, weights)
    raise TypeError(f"there is no float model of {type(shape).__name__}")
