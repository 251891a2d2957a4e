"""A model file as a program: what a device that only knows programs does with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from firmware.compiler.compiled import program_of
from firmware.compiler.compiler import compile_graph
from firmware.program.file import load_program
from firmware.program.program import Program
from gateware.config import AcceleratorConfig
from host.command.errors import HostError
from host.devices.model_file import MODEL_FORMAT, kind_of
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

__all__ = ["program_of_file"]


def program_of_file(path: Path, machine: Callable[[str], AcceleratorConfig], outputs: Sequence[str] = ()) -> Program:
    """A program file's content, or that of a model file compiled for `machine` of the model's arithmetic, with some
    outputs or its own.

    Raises
    ------
    HostError : the file is neither, or is damaged, or has no such output; or as `machine`
    """
    try:
        if kind_of(path) != MODEL_FORMAT:
            return load_program(path)
        model = IntegerVit(load_model(path), outputs)
        configuration = machine(model.model.arithmetic).with_probabilities(model.model.shape.softmax_bits)
        return program_of(model, compile_graph(model.graph, configuration, model.model.shape.image), configuration)
    except UserError as error:
        raise HostError(str(error)) from error
