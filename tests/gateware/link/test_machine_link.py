"""The whole machine over its link: a network is loaded, images go in while others are worked on, errors are mended."""

import numpy as np
import pytest

from firmware.compiler.compiled import program_of
from firmware.compiler.compiler import compile_graph
from firmware.program.layout import pack_matrix
from firmware.program.program import Program
from gateware.config import BEAT_BYTES, config
from gateware.counters import COUNTERS
from gateware.isa import ErrorCode
from gateware.machine import identity
from host.link.connection import Connection
from host.link.errors import MachineStopped
from host.link.transport import InProcessTransport
from sim.emulator.machine import emulated_machine
from sim.reference.addressing import patches
from sim.studies.performance.workloads import Workload, shipped

TINY = config("tiny")
SIZE = BEAT_BYTES << TINY.address_bits
CLOCK_HZ = 1_000_000  # slow, so that the host's time-outs are few cycles
CYCLES = COUNTERS.index("cycles")


@pytest.fixture(scope="module")
def workload() -> Workload:
    return shipped(None, None, 1)


@pytest.fixture(scope="module")
def program(workload: Workload) -> Program:
    compiled = compile_graph(workload.model.graph, TINY, workload.model.model.shape.image)
    return program_of(workload.model, compiled, TINY)


class Wired:
    """The emulated machine, with nothing but its link for the host."""

    def __init__(self) -> None:
        # With the ports that other tests' boards have too: built once for all.
        self.emulation = emulated_machine(TINY)
        self.connection = Connection(InProcessTransport(self._exchange), timeout=5)

    def _exchange(self, content: bytes, seconds: float) -> bytes:
        board = self.emulation
        board.send(content)
        while board.unsent:
            board.run(100)
        end = board.cycles + int(seconds * CLOCK_HZ) + 100
        while board.cycles < end:  # a run also ends where a program does
            board.run(end - board.cycles)
        return board.receive()


@pytest.fixture(scope="module")
def wired(program: Program):
    made = Wired()
    for base, content in program.pieces():
        made.connection.write(base * BEAT_BYTES, content)
    yield made
    made.emulation.close()


def image_bytes(program: Program, image: np.ndarray) -> bytes:
    return pack_matrix(patches(image[None].astype(np.int64), program.patch)[0], program.image_allocation.size).tobytes()


def logits(program: Program, connection: Connection) -> np.ndarray:
    allocation = program.output_allocation("classes")
    content = connection.read(allocation.base * BEAT_BYTES, allocation.beats * BEAT_BYTES)
    return allocation.unpack(np.frombuffer(content, np.uint8))[0]


def expected(workload: Workload, image: np.ndarray) -> np.ndarray:
    return workload.model.run(image[None].astype(np.int64))[workload.model.graph.output][0]


def test_identity(wired: Wired, program: Program):
    said = wired.connection.identity
    assert said == identity(TINY, SIZE)
    assert said.memory_bytes >= program.beats * BEAT_BYTES


def test_images_go_in_while_others_are_worked_on(wired: Wired, program: Program, workload: Workload):
    rng = np.random.default_rng(1)
    images = [workload.image, *rng.integers(-128, 128, (3, *workload.image.shape), np.int8)]
    places = [(program.start, program.image_allocation.base), (program.alternate_start, program.alternate_image)]
    connection = wired.connection
    connection.write(places[0][1] * BEAT_BYTES, image_bytes(program, images[0]))
    cycles = []
    for index, image in enumerate(images):
        connection.run(places[index % 2][0] * BEAT_BYTES)
        if index + 1 < len(images):
            connection.write(places[(index + 1) % 2][1] * BEAT_BYTES, image_bytes(program, images[index + 1]))
            assert connection.status().busy
        connection.wait(10)
        found, right = logits(program, connection), expected(workload, image)
        np.testing.assert_array_equal(found[: len(right)], right)
        cycles.append(connection.counters()[CYCLES])
    print("cycles of a frame, the last one without an upload beside it:", cycles)
    # Here the link brings a byte a cycle, 80 times what a UART does, and still takes little from the machine.
    assert max(cycles) < 1.05 * cycles[-1]


def test_an_error_is_mended(wired: Wired, program: Program, workload: Workload):
    connection = wired.connection
    spare = program.image_allocation.base * BEAT_BYTES
    connection.write(spare, b"\xff" * 64)
    connection.run(spare)
    with pytest.raises(MachineStopped, match="the program was compiled for another machine") as stopped:
        connection.wait(1)
    assert stopped.value.state.error == ErrorCode.WRONG_CONFIG
    connection.reset()
    assert connection.status().error == ErrorCode.NONE
    connection.write(spare, image_bytes(program, workload.image))
    connection.run(program.start * BEAT_BYTES)
    connection.stop()
    assert not connection.status().busy
    connection.run(program.start * BEAT_BYTES)
    connection.wait(10)
    right = expected(workload, workload.image)
    np.testing.assert_array_equal(logits(program, connection)[: len(right)], right)
