"""What an evaluation runs: a device with a program, images, and a reference if asked for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware.program.file import load_program
from firmware.quantiser.labels import LabelledFile
from host.command.errors import HostError
from host.devices.base import Device, LoadedModel
from host.devices.linked import described
from host.devices.model_file import MODEL_FORMAT, kind_of, read_model
from host.devices.registry import open_device
from host.evaluation.metrics import Outcome
from sim.reference.picture import read_picture

__all__ = ["Evaluator", "Job", "class_names"]


@dataclass(frozen=True)
class Job:
    """What is opened.

    Members
    -------
    device : as `open_device` takes it
    program : the file that it runs
    images : the images' folder
    reference : model file for the integer reference, None: no reference runs
    """

    device: str
    program: Path
    images: Path
    reference: Path | None = None


class Evaluator:
    """A job's device, and its reference, with what they run; a context manager that closes them.

    Members
    -------
    class_names : of the program

    Raises
    ------
    HostError : a device or a file is not as it must be, or the reference has other classes
    """

    def __init__(self, job: Job) -> None:
        self._images = job.images
        self._device = open_device(job.device)
        self._reference: Device | None = None
        try:
            self.class_names = self._device.load(job.program).class_names
            if job.reference is not None:
                self._reference = open_device("reference")
                _check_classes(job, self.class_names, self._reference.load(job.reference).class_names)
        except BaseException:
            self.close()
            raise

    def outcome(self, row: LabelledFile) -> Outcome:
        """One image's. Raises HostError."""
        return next(self.outcomes([row]))

    def outcomes(self, rows: Sequence[LabelledFile]) -> Generator[Outcome, None, None]:
        """Those of the rows, in order; the images stream through in the devices' batches. Raises HostError."""
        mine, others = tee(read_picture(self._images / row.file) for row in rows)
        answers = self._device.stream(mine)
        if self._reference is None:
            for row, answer in zip(rows, answers, strict=True):
                yield Outcome.of(row, answer, None)
            return
        for row, answer, expected in zip(rows, answers, self._reference.stream(others), strict=True):
            yield Outcome.of(row, answer, expected)

    def close(self) -> None:
        """Gives the devices back."""
        if self._reference is not None:
            self._reference.close()
        self._device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def class_names(job: Job) -> tuple[str, ...]:
    """The program's, without a device.

    Raises
    ------
    UserError : a file is no program and no model, or the reference has other classes
    """
    names = _model_of(job.program).class_names
    if job.reference is not None:
        _check_classes(job, names, _model_of(job.reference).class_names)
    return names


def _model_of(file: Path) -> LoadedModel:
    return read_model(file)[1] if kind_of(file) == MODEL_FORMAT else described(load_program(file))


def _check_classes(job: Job, names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if len(expected) != len(names):
        raise HostError(f"{job.reference} has other classes than {job.program}: give the same model.")
