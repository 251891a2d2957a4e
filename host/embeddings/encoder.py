"""A device that gives embeddings: whatever the commands ask vectors of."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from host.devices.base import Device
from host.devices.embedding import Embedding
from host.devices.registry import DEFAULT_DEVICE, DEVICES, open_device
from sim.reference.outputs import CLASSES, EMBEDDING, OUTPUTS

__all__ = ["Encoder", "add_encoder_options", "add_output_option", "open_encoder"]


class Encoder:
    """A device with a program that gives embeddings.

    Members
    -------
    model : what is loaded
    kind : of its outputs the one that is taken
    """

    def __init__(self, device: Device, kind: str | None) -> None:
        self._device, self.model = device, device.model
        self.kind = self.model.features(kind)

    @property
    def fingerprint(self) -> str:
        """What embeddings are told by that can be compared: the model, and which of its outputs."""
        return f"{self.model.fingerprint}:{self.kind}"

    def embed(self, pictures: Iterable[Image.Image]) -> Iterator[Embedding]:
        """As `Device.embed`."""
        return self._device.embed(pictures, self.kind)


@contextmanager
def open_encoder(device: str, program: Path, kind: str | None) -> Iterator[Encoder]:
    """An encoder, whose device is closed behind it.

    Parameters
    ----------
    device : as `open_device` takes it
    program : a program file, which gives what it was compiled for, or a model file, which gives what is asked for
    kind : of output; None for whatever a program file has, and for a model file's embedding

    Raises
    ------
    HostError : as `open_device` and `Device.load`, or the program has no such output
    """
    with open_device(device) as opened:
        opened.load(program, (kind or EMBEDDING,))
        yield Encoder(opened, kind)


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """`--output KIND`."""
    kinds = [kind for kind in OUTPUTS if kind != CLASSES]
    parser.add_argument(
        "--output", choices=kinds, metavar="KIND", help=f"which vectors: {', '.join(kinds)} (default: what there is)"
    )


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    """What every command that asks for vectors takes: `--device`, `--output` and PROGRAM."""
    parser.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    add_output_option(parser)
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
