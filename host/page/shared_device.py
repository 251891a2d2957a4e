"""One device for several askers: frames run one after another, in the order in which they came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from PIL import Image

from host.command.errors import HostError
from host.devices.base import Device, LoadedModel
from host.devices.prediction import Prediction
from host.devices.registry import open_device

__all__ = ["Labelled", "SharedDevice"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Labelled:
    """An answer, and the seconds of this computer's clock that the frame took and that it waited before."""

    prediction: Prediction
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

    async def label(self, picture: Image.Image) -> Labelled:
        """The answer to a picture. Raises HostError; the next picture then begins with loading the program anew."""
        asked = time.monotonic()
        return await self._run(lambda: self._label(picture, asked))

    async def _run(self, action: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action)

    def _open(self) -> None:
        self._device = open_device(self.spec)
        self.model = self._device.load(self._program)
        self.clock_mhz, self._sound = self._device.clock_mhz, True

    def _label(self, picture: Image.Image, asked: float) -> Labelled:
        begun = time.monotonic()
        assert self._device is not None, "entered and not left"
        try:
            if not self._sound:
                self._device.load(self._program)
            prediction, self._sound = self._device.infer(picture), True
        except HostError:
            self._sound = False
            raise
        return Labelled(prediction, time.monotonic() - begun, begun - asked)

    def _close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None
