"""An integer model file as the host uses it, whatever device then runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError, safe_open

from host.command.errors import HostError
from host.devices.base import LoadedModel
from sim.reference.architecture import spelled_out
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import FORMAT as MODEL_FORMAT
from sim.reference.model_file import load_model
from sim.reference.outputs import CLASSES
from sim.reference.scales import quantise

__all__ = ["MODEL_FORMAT", "kind_of", "named_classes", "offered_outputs", "read_model"]


def kind_of(path: Path) -> str | None:
    """The format that a file says it has: `MODEL_FORMAT`, a program's, another; None where it says nothing readable."""
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("format")
    except (SafetensorError, OSError, ValueError):
        return None


def read_model(path: Path, outputs: Sequence[str] = ()) -> tuple[IntegerVit, LoadedModel]:
    """The network, with some outputs or its own, and what the host must know of it.

    Raises
    ------
    HostError : the file is missing, damaged, or no integer model, or has no such output
    """
    try:
        model = load_model(path)
        network = IntegerVit(model, outputs)
    except UserError as error:
        raise HostError(str(error)) from error

    def prepare(picture: Image.Image) -> npt.NDArray[np.int8]:
        return quantise(model.preprocessing.apply(picture), model.image_scale, 8).astype(np.int8)

    scales = {kind: model.scales(output).astype(np.float64) for kind, output in network.outputs.items()}
    return network, LoadedModel(
        architecture=spelled_out(model.shape),
        arithmetic=model.arithmetic,
        class_names=named_classes(model.class_names, scales),
        scales=scales,
        fingerprint=model.fingerprint(),
        prepare=prepare,
    )


def offered_outputs(path: Path) -> tuple[str, ...]:
    """The kinds of output that a model file can give; none of a program file, which has its own.

    Raises
    ------
    HostError : it is a damaged model file
    """
    if kind_of(path) != MODEL_FORMAT:
        return ()
    try:
        return tuple(load_model(path).shape.outputs())
    except UserError as error:
        raise HostError(str(error)) from error


def named_classes(names: Sequence[str], scales: Mapping[str, npt.NDArray[np.float64]]) -> tuple[str, ...]:
    """The names of the classes that a model with these outputs gives; those without are called by their number."""
    if CLASSES not in scales:
        return ()
    return tuple(names) or tuple(str(index) for index in range(len(scales[CLASSES])))
