"""The device `reference`: the integer model in numpy, the definition of what every other device must answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from host.command.errors import HostError
from host.devices.base import Answer, Device, LoadedModel
from host.devices.model_file import read_model


class ReferenceDevice(Device):
    """Runs a model file in exact integers on this computer; counts no cycles.

    Raises
    ------
    HostError : an argument was given
    """

    batch = 16

    def __init__(self, argument: str) -> None:
        if argument:
            raise HostError(f"The device `reference` takes no argument, not {argument!r}: write `reference`.")
        super().__init__("reference")

    def load_file(self, program: Path, outputs: Sequence[str] = ()) -> LoadedModel:
        self._network, loaded = read_model(program, outputs)
        return loaded

    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        network = self._network
        tensors = network.run(images.astype(np.int64), capture=network.graph.outputs)
        return [
            Answer({kind: np.atleast_2d(tensors[one.tensor][index]) for kind, one in network.outputs.items()})
            for index in range(len(images))
        ]
