"""Devices at the other end of a link: programs and images go over, logits and counters come back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware.program.allocation import Allocation
from firmware.program.layout import pack_matrix
from firmware.program.log import Layer, layers_of, log_bytes
from firmware.program.program import Program
from gateware.config import BEAT_BYTES, AcceleratorConfig
from gateware.counters import COUNTERS
from host.command.errors import HostError
from host.command.terminal import transfer
from host.devices.base import Answer, Device, LoadedModel
from host.devices.compiled import program_of_file
from host.devices.model_file import named_classes
from host.dram.constants import awake
from host.link.connection import Connection
from host.link.device_info import DeviceInfo, configuration
from sim.reference.addressing import patches

__all__ = ["ConnectedDevice", "LinkedDevice", "described"]

FRAME_SECONDS = 600.0
"""A program that runs longer is given up. On a board a frame takes far less, and the machine has a watchdog of its own;
an emulated board in another process may need minutes."""
SHOWN_BYTES = 1 << 20
"""Of a program between two looks at how far it is; between two the line waits for an answer once."""


HASTE = 2
"""The next frame starts before a frame's outputs are read only where it takes so many times longer than reading."""


@dataclass(frozen=True)
class _Slot:
    """Where an image goes (beat address), and the program (beat address) that reads it there."""

    image: int
    program: int


class LinkedDevice(Device):
    """Runs programs on a machine behind a connection.

    While a frame is computed the next image goes over to another place, and the machine starts on it as soon as the
    first is done; the logits are read meanwhile.

    A subclass says what it is connected to, and closes that.
    """

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        self._program: Program | None = None
        self._seconds_a_byte = 0.0  # of the last image's way over

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """An open one."""

    def load_file(self, program: Path, outputs: Sequence[str] = ()) -> LoadedModel:
        return self.load_program(program_of_file(program, self.machine, outputs), str(program))

    @abstractmethod
    def machine(self, arithmetic: str) -> AcceleratorConfig:
        """The configuration of the machine, which computes in that arithmetic: a model is compiled for it.

        Raises
        ------
        HostError : it computes in another, or its fingerprint is no preset's
        """

    def load_program(self, program: Program, name: str) -> LoadedModel:
        """The same for a program in memory; `name` is for messages.

        Begins a session anew where the last one failed, and brings memory up where it has not been since power-on.
        """
        identity = self.connection.identity
        if program.config.fingerprint != identity.fingerprint:
            raise HostError(
                f"{name} was compiled for {program.board} in {program.arithmetic} arithmetic (fingerprint "
                f"{program.config.fingerprint:08x}), and the device {self.spec} has the fingerprint "
                f"{identity.fingerprint:08x}: compile it for that board, or build the device again."
            )
        if program.beats > identity.memory_beats:
            raise HostError(
                f"{name} takes {program.beats * BEAT_BYTES} bytes of memory, and the device {self.spec} has "
                f"{identity.memory_bytes}: it does not fit."
            )
        self._program = None
        if not self.connection.is_open:
            self.connection.open()
        self.connection.reset()
        awake(self.connection)
        self.upload(program)
        self._program, self._model = program, described(program)
        return self._model

    def upload(self, program: Program) -> None:
        """Everything that stands in memory beforehand; on a terminal one sees how far it is, and its rate."""
        pieces = program.pieces()
        with transfer("loading", sum(len(content) for _, content in pieces)) as moved:
            for base, content in pieces:
                for first in range(0, len(content), SHOWN_BYTES):
                    piece = content[first : first + SHOWN_BYTES]
                    self.connection.write(base * BEAT_BYTES + first, piece)
                    moved(len(piece))

    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        return list(self.answers(iter(images)))

    def answered(self, images: Iterable[Image.Image]) -> Iterator[Answer]:
        """The integers of decoded pictures, in order; reads one picture ahead."""
        model = self.model
        return self.answers(model.prepare(picture) for picture in images)

    def answers(self, images: Iterator[npt.NDArray[np.int8]]) -> Iterator[Answer]:
        """The answers to prepared images, in order; reads one ahead."""
        if self._program is None:
            raise HostError(f"The device {self.spec} has no program yet: load one first.")
        program, link = self._program, self.connection
        slots = (
            _Slot(program.image_allocation.base, program.start),
            _Slot(program.alternate_image, program.alternate_start),
        )
        turn = 0
        image = next(images, None)
        if image is not None:
            self._put(program, image, slots[turn])
            link.run(slots[turn].program * BEAT_BYTES)
        while image is not None:
            image = next(images, None)
            turn = 1 - turn
            if image is not None:
                self._put(program, image, slots[turn])
            counters = dict(zip(COUNTERS, link.wait(FRAME_SECONDS), strict=True))
            # What a frame gave stays until the next one's last layers write theirs.
            early = HASTE * self._reading_seconds(program) < counters["cycles"] / (1000 * link.identity.clock_khz)
            if image is not None and early:
                link.run(slots[turn].program * BEAT_BYTES)
            outputs = {kind: self._read(program.output_allocation(kind)) for kind in program.outputs}
            if image is not None and not early:
                link.run(slots[turn].program * BEAT_BYTES)
            yield Answer(outputs, counters["cycles"], counters)

    def _reading_seconds(self, program: Program) -> float:
        """How long reading all outputs takes, by the last image's way over."""
        return self._seconds_a_byte * BEAT_BYTES * sum(program.output_allocation(one).beats for one in program.outputs)

    def _read(self, output: Allocation) -> npt.NDArray[np.int64]:
        content = self.connection.read(output.base * BEAT_BYTES, output.beats * BEAT_BYTES)
        return output.unpack(np.frombuffer(content, np.uint8))

    def send_beside_a_frame(self, image: npt.NDArray[np.int8]) -> int:
        """Starts a frame on what is there and sends an image for the next one beside it: so many bytes."""
        if self._program is None:
            raise HostError(f"The device {self.spec} has no program yet: load one first.")
        program = self._program
        self.connection.run(program.start * BEAT_BYTES)
        return self._put(program, image, _Slot(program.alternate_image, program.alternate_start))

    def _put(self, program: Program, image: npt.NDArray[np.int8], slot: _Slot) -> int:
        rows = patches(image[None].astype(np.int64), program.patch)[0]
        content = pack_matrix(rows, program.image_allocation.size).tobytes()
        begun = self.connection.now()
        self.connection.write(slot.image * BEAT_BYTES, content)
        self._seconds_a_byte = (self.connection.now() - begun) / len(content)
        return len(content)

    def info(self) -> DeviceInfo:
        return DeviceInfo(self.connection.identity, self.connection.status())

    def link(self) -> Connection:
        return self.connection

    def layers(self) -> list[Layer]:
        if self._program is None:
            raise HostError(f"The device {self.spec} has no program yet: load one first.")
        marks, log = self._program.marks, self._program.log
        return layers_of(marks, self.connection.read(log * BEAT_BYTES, log_bytes(len(marks))))


class ConnectedDevice(LinkedDevice):
    """A machine that is there already.

    Parameters
    ----------
    spec : what it was opened as
    connection : an open one; closed with the device
    """

    def __init__(self, spec: str, connection: Connection) -> None:
        super().__init__(spec)
        self._connection = connection
        self.clock_mhz = connection.identity.clock_khz / 1000

    @property
    def connection(self) -> Connection:
        return self._connection

    def machine(self, arithmetic: str) -> AcceleratorConfig:
        found = configuration(self.connection.identity.fingerprint)
        if found is None or found.arithmetic.name != arithmetic:
            what = f"computes in {found.arithmetic.name} arithmetic" if found else "is no known board"
            raise HostError(
                f"A model in {arithmetic} arithmetic cannot be compiled for the device {self.spec}, which {what}: "
                "compile it for the configuration that the device was built from."
            )
        return found

    def close(self) -> None:
        self._connection.close()


def described(program: Program) -> LoadedModel:
    """What the host must know of a program's model."""

    def prepare(picture: Image.Image) -> npt.NDArray[np.int8]:
        return program.quantised(program.preprocessing.apply(picture))

    scales = {kind: output.scales.astype(np.float64) for kind, output in program.outputs.items()}
    names = named_classes(program.class_names, scales)
    return LoadedModel(program.architecture, program.arithmetic, names, scales, program.model, prepare)
