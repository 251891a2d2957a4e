"""What a device is: whatever takes an image and answers with integers: logits, an embedding, a feature map.

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
from host.devices.embedding import Embedding
from host.devices.prediction import Prediction
from host.link.connection import Connection
from host.link.device_info import DeviceInfo
from sim.reference.outputs import CLASSES, EMBEDDING


@dataclass(frozen=True)
class LoadedModel:
    """What the host must know of a model that a device has loaded.

    Members
    -------
    architecture : as `firmware.quantize` takes it
    arithmetic : `official`, `lean` or the name of another variant
    class_names : (classes,); none where it gives no classes
    scales : of each of its outputs, by the kinds of `sim.reference.outputs.OUTPUTS`, float64, (channels,)
    fingerprint : of the model; equal ones give equal integers
    prepare : from a decoded picture to the integers that enter the network, int8, (3, height, width); made from the
        model's metadata by `sim.reference.preprocess` and the same for every device
    """

    architecture: str
    arithmetic: str
    class_names: tuple[str, ...]
    scales: Mapping[str, npt.NDArray[np.float64]]
    fingerprint: str
    prepare: Callable[[Image.Image], npt.NDArray[np.int8]]

    def features(self, kind: str | None = None) -> str:
        """The output that is no classes; `kind`, where there may be several.

        Raises
        ------
        HostError : there is none, or not that one
        """
        found = [one for one in self.scales if one != CLASSES]
        if kind in found or (kind is None and found):
            return kind or found[0]
        raise HostError(
            f"The program gives {', '.join(self.scales)}, and {kind or 'an embedding'} is asked for: compile the model "
            f"with --output {kind or EMBEDDING}."
        )


@dataclass(frozen=True)
class Answer:
    """One image's integers as they leave a device: each output's, int64, (rows, channels), and cycles and counters if
    it counts.
    """

    outputs: Mapping[str, npt.NDArray[np.int64]]
    cycles: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def logits(self) -> npt.NDArray[np.int64]:
        """(classes,)."""
        return np.asarray(self.outputs[CLASSES][0])

    def under(self, model: LoadedModel) -> Prediction:
        """What its logits mean for a model."""
        scores = self.logits * model.scales[CLASSES]
        return Prediction(scores, model.class_names, self.logits, self.cycles, self.counters)

    def embedding(self, model: LoadedModel, kind: str) -> Embedding:
        """What another output means for a model."""
        return Embedding(self.outputs[kind], model.scales[kind], self.cycles, self.counters)


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

    def load(self, program: Path, outputs: Sequence[str] = ()) -> LoadedModel:
        """Loads a model or program file and makes it the one that runs.

        Parameters
        ----------
        program : the file
        outputs : what a model file is to give (`sim.reference.outputs.OUTPUTS`), where it is not what it gives by
            itself; a program file gives what it was compiled for

        Raises
        ------
        HostError : the file is missing, damaged, or not for this device, or the model has no such output
        """
        self._model = self.load_file(program, outputs)
        return self._model

    @abstractmethod
    def load_file(self, program: Path, outputs: Sequence[str] = ()) -> LoadedModel:
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
        """The classes of decoded pictures, in order, as they come; reads `batch` pictures ahead at most.

        Raises
        ------
        HostError : the loaded program gives no classes
        """
        model = self.model
        if CLASSES not in model.scales:
            raise HostError(
                f"The program gives {', '.join(model.scales)} and no classes: ask for --embeddings, or for --classes "
                "or --texts of your own."
            )
        return (answer.under(model) for answer in self.answered(images))

    def embed(self, images: Iterable[Image.Image], kind: str | None = None) -> Iterator[Embedding]:
        """The embeddings of decoded pictures, or what `kind` of output is asked for, as `stream` gives classes.

        Raises
        ------
        HostError : the loaded program gives none
        """
        model = self.model
        chosen = model.features(kind)
        return (answer.embedding(model, chosen) for answer in self.answered(images))

    def answered(self, images: Iterable[Image.Image]) -> Iterator[Answer]:
        """The integers of decoded pictures, in order, as they come."""
        model, pending = self.model, iter(images)
        while pictures := list(islice(pending, self.batch)):
            yield from self.run(np.stack([model.prepare(picture) for picture in pictures]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
