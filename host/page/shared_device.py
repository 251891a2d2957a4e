"""One device for several askers: frames run one after another, in the order in which they came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

from PIL import Image

from host.command.errors import HostError
from host.devices.base import Device, LoadedModel
from host.devices.embedding import Embedding
from host.devices.model_file import offered_outputs
from host.devices.prediction import Prediction
from host.devices.registry import open_device
from sim.reference.outputs import CLASSES, EMBEDDING

__all__ = ["SharedDevice", "Timed"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """An answer, and the seconds of this computer's clock that the frame took and that it waited before."""

    answer: Result
    seconds: float
    waited: float


class SharedDevice:
    """A device in a thread of its own, which only that thread touches; an asynchronous context manager.

    Parameters
    ----------
    spec : as `open_device` takes it
    program : what it runs

    Members
    -------
    spec, model, clock_mhz : of the device, once it is entered
    """

    model: LoadedModel
    clock_mhz: float | None

    def __init__(self, spec: str, program: Path) -> None:
        self.spec, self._program = spec, program
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._device: Device | None = None
        self._sound = False

    async def __aenter__(self) -> Self:
        """Opens the device and loads the program. Raises HostError."""
        try:
            await self._run(self._open)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._close)
        self._thread.shutdown()

    async def label(self, picture: Image.Image) -> Timed[Prediction]:
        """The classes of a picture. Raises HostError; the next picture then begins with loading the program anew."""
        asked = time.monotonic()
        return await self._run(lambda: self._answered(lambda device: next(device.stream([picture])), asked))

    async def embed(self, picture: Image.Image) -> Timed[Embedding]:
        """The embedding of a picture, likewise."""
        asked = time.monotonic()
        return await self._run(lambda: self._answered(lambda device: next(device.embed([picture])), asked))

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)

    def _open(self) -> None:
        self._device = open_device(self.spec)
        self._load(self._device)
        self.clock_mhz, self._sound = self._device.clock_mhz, True

    def _load(self, device: Device) -> None:
        offered = offered_outputs(self._program)
        self.model = device.load(self._program, [kind for kind in (CLASSES, EMBEDDING) if kind in offered])

    def _answered(self, ask: Callable[[Device], Result], asked: float) -> Timed[Result]:
        begun = time.monotonic()
        assert self._device is not None, "entered and not left"
        try:
            if not self._sound:
                self._load(self._device)
            answer, self._sound = ask(self._device), True
        except HostError:
            self._sound = False
            raise
        return Timed(answer, time.monotonic() - begun, begun - asked)

    def _close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None
