"""Images go over while others are computed: where computing takes longer than the link, the machine hardly waits."""

from pathlib import Path

import numpy as np

from firmware.compiler.compiled import program_of
from firmware.compiler.compiler import compile_graph
from gateware.config import config
from host.devices.emulated import through_the_back_door
from host.devices.emulated_link import EmulatedLink
from host.devices.linked import ConnectedDevice
from host.link.connection import Connection
from sim.emulator.machine import emulated_machine
from sim.reference.vit_shape import VitShape
from tests.firmware.compiler.compiled_model import random_model

TINY = config("tiny")
BAUD = 12_000_000
SHAPE = VitShape(image=32, patch=8, dim=128, depth=10, heads=2, classes=10)
FRAMES = 4
MOST_IDLE = 0.05


class Uploaded(ConnectedDevice):
    """Its program is in memory already."""

    def upload(self, program) -> None:
        pass


def test_the_machine_hardly_waits_at_12_mbaud(rng: np.random.Generator, tmp_path: Path):
    model = random_model(SHAPE, "lean", rng)
    program = program_of(model, compile_graph(model.graph, TINY, SHAPE.image), TINY)
    images = rng.integers(-128, 128, (FRAMES, 3, SHAPE.image, SHAPE.image)).astype(np.int8)
    expected = model.run(images.astype(np.int64))[model.graph.output]
    with emulated_machine(TINY) as emulation:
        through_the_back_door(emulation, program)
        link = EmulatedLink(emulation, TINY.clock_mhz, BAUD)
        with Uploaded("emulated", Connection(link)) as device:
            device.load_program(program, "a random model")
            frames: list[tuple[int, int]] = []  # cycles of each, and when its answer was there
            for index, answer in enumerate(device.answers(iter(images))):
                np.testing.assert_array_equal(answer.logits[: SHAPE.classes], expected[index])
                assert answer.cycles is not None
                frames.append((answer.cycles, emulation.cycles))
    upload = 1.2 * SHAPE.image**2 * 3 * 10 * TINY.clock_mhz * 1e6 / BAUD
    assert frames[0][0] > upload, "the link takes longer than computing: this shows nothing"
    # From the answer to the first image, when the second is under way, to that before the last one.
    busy = sum(cycles for cycles, _ in frames[1:-1])
    idle = 1 - busy / (frames[-2][1] - frames[0][1])
    print(f"idle {idle:.1%}")
    assert idle < MOST_IDLE
