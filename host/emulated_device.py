"""The device `sim`: the emulated board, cycle for cycle what the gateware does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError, safe_open

from firmware.compiler.compiler import compile_graph
from firmware.program_file import FORMAT, Program, load_program, program_of
from gateware.config import ConfigError, config
from host.device import Answer, Device, LoadedModel
from host.errors import HostError
from sim.emulator.board import Board, BoardError
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

DEFAULT_BOARD = "arty_a7"


class EmulatedDevice(Device):
    """Runs programs, and models by compiling them first, on an emulated board.

    Raises
    ------
    HostError : the argument names no board
    """

    def __init__(self, argument: str) -> None:
        super().__init__(f"sim:{argument}" if argument else "sim")
        try:
            self._name = config(argument or DEFAULT_BOARD).name
        except ConfigError as error:
            raise HostError(f"{error}.") from error
        self._chosen = bool(argument)
        self._board: Board | None = None

    def load_file(self, program: Path) -> LoadedModel:
        try:
            compiled = self._program(program)
        except UserError as error:
            raise HostError(str(error)) from error
        if self._chosen and compiled.board != self._name:
            raise HostError(
                f"{program} was compiled for {compiled.board}, and the device is {self.spec}: use --device "
                f"sim:{compiled.board}, or compile it for {self._name}."
            )
        self.close()
        self.clock_mhz = compiled.config.clock_mhz
        self._board = Board(compiled)

        def prepare(picture: Image.Image) -> npt.NDArray[np.int8]:
            return compiled.quantised(compiled.preprocessing.apply(picture))

        scales = compiled.logit_scales.astype(np.float64)
        names = compiled.class_names or tuple(str(index) for index in range(len(scales)))
        return LoadedModel(compiled.architecture, compiled.arithmetic, names, scales, prepare)

    def _program(self, path: Path) -> Program:
        """The program of a file, or of a model compiled for this board."""
        kind = None
        if path.is_file():
            try:
                with safe_open(path, framework="numpy") as file:
                    kind = (file.metadata() or {}).get("format")
            except (SafetensorError, OSError):
                kind = FORMAT  # its reader says what is wrong with it
        if kind in (FORMAT, None):
            return load_program(path)
        model = IntegerVit(load_model(path))
        machine = config(self._name, model.model.arithmetic)
        return program_of(model, compile_graph(model.graph, machine, model.model.shape.image), machine)

    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        if self._board is None:
            raise HostError(f"The device {self.spec} has no program yet: load one first.")
        answers = []
        for image in images:
            try:
                frame = self._board.run(image)
            except BoardError as error:
                raise HostError(str(error)) from error
            answers.append(Answer(frame.logits, frame.cycles))
        return answers

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
            self._board = None
