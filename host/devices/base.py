"""What a device is: whatever takes an image and answers with integer logits.

A kind of device derives from `Device` and gives `load_file` and `run`; `host.devices.registry` says which there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware.program.log import Layer
from host.command.errors import HostError
from host.devices.prediction import Prediction
from host.link.connection import Connection
from host.link.device_info import DeviceInfo


@dataclass(frozen=True)
class LoadedModel:
    """What the host must know of a model that a device has loaded.

    Members
    -------
    architecture : as `firmware.quantize` takes it
    arithmetic : `official`, `lean` or the name of another variant
    class_names : (classes,)
    logit_scales : float64, (classes,)
    prepare : from a decoded picture to the integers that enter the network, int8, (3, height, width); made from the
        model's metadata by `sim.reference.preprocess` and the same for every device
    """

    architecture: str
    arithmetic: str
    class_names: tuple[str, ...]
    logit_scales: npt.NDArray[np.float64]
    prepare: Callable[[Image.Image], npt.NDArray[np.int8]]


@dataclass(frozen=True)
class Answer:
    """One image's integers as they leave a device: int64 logits, (classes,), and cycles and counters if it counts."""

    logits: npt.NDArray[np.int64]
    cycles: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    def under(self, model: LoadedModel) -> Prediction:
        """What it means for a model."""
        return Prediction(self.logits, model.logit_scales, model.class_names, self.cycles, self.counters)


class Device(ABC):
    """A machine that runs one loaded model; a context manager that closes it.

    Members
    -------
    spec : what it was opened as
    batch : images that `stream` hands to `run` at a time
    clock_mhz : the machine's clock, where there is one
    """

    batch: int = 1
    clock_mhz: float | None = None

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._model: LoadedModel | None = None

    @property
    def model(self) -> LoadedModel:
        """The loaded model; a HostError before `load`."""
        if self._model is None:
            raise HostError(f"The device {self.spec} has no model yet: load one first.")
        return self._model

    def load(self, program: Path) -> LoadedModel:
        """Loads a model or program file and makes it the one that runs.

        Raises
        ------
        HostError : the file is missing, damaged, or not for this device
        """
        self._model = self.load_file(program)
        return self._model

    @abstractmethod
    def load_file(self, program: Path) -> LoadedModel:
        """What a kind of device does to load; raises as `load`."""

    @abstractmethod
    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        """The answers to prepared images, int8 (count, 3, height, width), count between 1 and `batch`, in order."""

    def info(self) -> DeviceInfo | None:
        """What the machine says of itself; None for a device that is none."""
        return None

    def link(self) -> Connection:
        """The link's commands, for what no program does: bringing memory up, testing it.

        Raises
        ------
        HostError : the device has no link
        """
        raise HostError(f"The device {self.spec} has no link: name an emulated board or a real one.")

    def layers(self) -> list[Layer]:
        """What the machine counted in each layer of the last frame.

        Raises
        ------
        HostError : it counts nothing
        """
        raise HostError(f"The device {self.spec} counts no cycles: profile on an emulated board or a real one.")

    def close(self) -> None:  # noqa: B027 - most devices hold nothing that must be given back
        """Gives back what the device holds; called once."""

    def infer(self, image: Image.Image) -> Prediction:
        """The answer to one decoded picture."""
        return next(self.stream([image]))

    def stream(self, images: Iterable[Image.Image]) -> Iterator[Prediction]:
        """The answers to decoded pictures, in order, as they come; reads `batch` pictures ahead at most."""
        model, pending = self.model, iter(images)
        while pictures := list(islice(pending, self.batch)):
            prepared = np.stack([model.prepare(picture) for picture in pictures])
            for answer in self.run(prepared):
                yield answer.under(model)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
