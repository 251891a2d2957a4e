"""An integer model file as the host uses it, whatever device then runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError, safe_open

from host.command.errors import HostError
from host.devices.base import LoadedModel
from sim.reference.architecture import spelled_out
from sim.reference.errors import UserError
from sim.reference.model_file import FORMAT as MODEL_FORMAT
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.scales import quantise

__all__ = ["MODEL_FORMAT", "kind_of", "read_model"]


def kind_of(path: Path) -> str | None:
    """The format that a file says it has: `MODEL_FORMAT`, a program's, another; None where it says nothing readable."""
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("format")
    except (SafetensorError, OSError, ValueError):
        return None


def read_model(path: Path) -> tuple[IntegerModel, LoadedModel]:
    """The model and what the host must know of it; classes without a name are called by their number.

    Raises
    ------
    HostError : the file is missing, damaged, or no integer model
    """
    try:
        model = load_model(path)
    except UserError as error:
        raise HostError(str(error)) from error

    def prepare(picture: Image.Image) -> npt.NDArray[np.int8]:
        return quantise(model.preprocessing.apply(picture), model.image_scale, 8).astype(np.int8)

    names = model.class_names or tuple(str(index) for index in range(model.shape.classes))
    return model, LoadedModel(
        architecture=spelled_out(model.shape),
        arithmetic=model.arithmetic,
        class_names=names,
        logit_scales=model.logit_scales.astype(np.float64),
        prepare=prepare,
    )
