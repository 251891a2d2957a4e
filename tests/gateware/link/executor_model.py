"""What the executor does with a request, by docs/link.md, and requests of all kinds for it."""

import random
from dataclasses import dataclass
from typing import Any

from gateware.counters import COUNTERS
from gateware.link import framing
from gateware.link.packets import CRC_BYTES, MAX_PAYLOAD, NO_SESSION, Command, Identity, Request, Status
from tests.gateware.link.link_board import IDENTITY
from tests.host.devices.link_devices import DeviceModel

__all__ = ["PEER_BITS", "Around", "ExecutorModel", "any_around", "any_request", "identity_of"]

PEER_BITS = 2


def identity_of(memory_beats: int) -> Identity:
    """Of a board with that much memory, and with as many counters as the accelerator has."""
    return Identity(**{**IDENTITY.__dict__, "memory_beats": memory_beats, "counters": len(COUNTERS)})


@dataclass
class Around:
    """What the executor's neighbours do during a request.

    Attributes
    ----------
    peer : from whom the request is
    busy, error, counters : the machine's
    stops_after : beats that memory moves before it moves none any more
    bus : "ack", "err", or "" for silence, after ``bus_cycles`` more cycles
    register : what is read from the control bus
    content : what is read from memory
    """

    peer: int
    busy: bool
    error: int
    counters: list[int]
    bus_cycles: int
    stops_after: int = MAX_PAYLOAD
    bus: str = "ack"
    register: int = 0
    content: bytes = b""


class ExecutorModel(DeviceModel):
    """The device of docs/link.md with neighbours as they are told, and with what is asked of them.

    Attributes
    ----------
    kind : of the last answer: "kept", "short", or "again" for the one before
    asked : of the last request: what memory, control bus and machine were asked to do
    """

    def __init__(self, memory_beats: int) -> None:
        super().__init__()
        self.memory = bytearray(16 * memory_beats)
        self.around: Around | None = None
        self.kind, self.asked = "", list[tuple[Any, ...]]()

    def restart(self) -> None:
        super().restart()
        self.forgiven = False

    def answer(self, request: Request, around: Around) -> bytes:
        """An answer's header and payload."""
        self.around, self.peer, self.kind, self.asked = around, around.peer, "again", []
        self.cycles_left, self.error = int(around.busy), 0 if self.forgiven else around.error
        return framing.decode(self.reply(request)[:-1])[:-CRC_BYTES]

    def _answer(self, request: Request, status: int, payload: bytes) -> bytes:
        self.kind = "kept"
        assert self.around is not None
        self.error = 0 if self.forgiven else self.around.error
        return super()._answer(request, status, payload)

    def _identity(self) -> bytes:
        return identity_of(len(self.memory) // 16).to_bytes()

    def _short(self, request: Request, status: int, payload: bytes = b"") -> bytes:
        result = super()._short(request, status, payload)
        self.kind = "short"
        return result

    def _act(self, request: Request) -> tuple[Status, bytes]:
        address, command, around = request.address, Command(request.command), self.around
        assert around is not None
        if command == Command.IDENTIFY:
            return Status.DONE, self._identity()
        if command == Command.COUNTERS:
            return Status.DONE, b"".join(counter.to_bytes(4, "little") for counter in around.counters)
        if command in (Command.READ, Command.WRITE):
            return self._transfer(request, around)
        if command == Command.RUN:
            self.asked.append(("start", address >> 4))
        if command in (Command.STOP, Command.RESET):
            self.asked.append(("stop",))
        if command in (Command.RUN, Command.RESET):
            self.forgiven = command == Command.RESET
        if command in (Command.CONTROL_READ, Command.CONTROL_WRITE):
            written = int.from_bytes(request.payload, "little") if command == Command.CONTROL_WRITE else None
            self.asked.append(("bus", address >> 2, written))
            status = {"ack": Status.DONE, "err": Status.CONTROL_ERROR, "": Status.CONTROL_TIMEOUT}[around.bus]
            read = command == Command.CONTROL_READ and status == Status.DONE
            return status, around.register.to_bytes(4, "little") if read else b""
        return Status.DONE, b""

    def _transfer(self, request: Request, around: Around) -> tuple[Status, bytes]:
        address, length = request.address, request.length or 0
        # What is written is gathered a beat at a time, the one that memory does not take too.
        moved, given = (16 * (around.stops_after + more) - address % 16 for more in (0, 1))
        status = Status.DONE if moved >= length else Status.MEMORY_TIMEOUT
        if request.command == Command.WRITE:
            self.asked.append(("write", address, request.payload[:given]))
            return status, b""
        self.asked.append(("read", address))
        return status, b"" if status else around.content[:length]


def any_around(rng: random.Random, model: ExecutorModel, timeout: int) -> Around:
    """Neighbours that do anything, and bits that differ from each other."""
    return Around(
        peer=rng.choice([model.owner] * 20 + [0, rng.randrange(1 << PEER_BITS)]),
        busy=rng.random() < 0.3,
        error=rng.randrange(16),
        counters=[rng.getrandbits(32) for _ in COUNTERS],
        bus_cycles=rng.choice([1, 1, 2, rng.randrange(1, timeout), timeout - 1]),
        stops_after=rng.choice([0, 1, 3, *[MAX_PAYLOAD] * 7]),
        bus=rng.choice(["ack"] * 5 + ["err", ""]),
        register=rng.getrandbits(32),
        content=rng.randbytes(MAX_PAYLOAD),
    )


def one_bit(rng: random.Random, value: int, bits: int) -> int:
    """A value with one of its bits inverted."""
    return value ^ 1 << rng.randrange(bits)


def any_request(rng: random.Random, model: ExecutorModel) -> Request:
    """One whose fields are right, at a limit, or one bit off."""
    size = len(model.memory)
    command = rng.choice([*Command, *[Command.READ, Command.WRITE, Command.RUN] * 2])
    length = rng.choice([1, 3, rng.randrange(1, 20), rng.randrange(1, 60), 1 << rng.randrange(7)])
    if rng.random() < 0.02:
        length = rng.choice([MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1])
    own = {Command.WRITE: min(length, MAX_PAYLOAD), Command.CONTROL_WRITE: 4}.get(command, 0)
    if command != Command.READ:
        length = own
    address = rng.choice([rng.randrange(size), rng.getrandbits(32), size - 1, size, 1 << rng.randrange(32)])
    if rng.random() < 0.5:
        # At the end of memory, or of one of its pages: the last byte inside, or the first outside.
        page = rng.choice([size, size, 1024 * rng.randrange(1, size // 1024 + 2)])
        address = page - length + rng.choice([0, 0, 1, -1])
    grain = {Command.RUN: 16, Command.CONTROL_READ: 4, Command.CONTROL_WRITE: 4}.get(command, 1)
    if rng.random() < 0.9:
        address -= address % grain
    session, sequence = model.session or 0, model.following + rng.choice([0] * 30 + [-1, -1, -2, -32, -33, -34, 1, 128])
    if rng.random() < 0.1:
        sequence = rng.choice([one_bit(rng, model.following, 8), model.following - rng.randrange(64)])
    if rng.random() < 0.1:
        session = rng.choice([one_bit(rng, session, 16), rng.getrandbits(16)])
    if rng.random() < 0.04:
        session, command, length, own = NO_SESSION, Command.IDENTIFY, 0, 0
    if rng.random() < 0.05:
        command = rng.choice([one_bit(rng, command, 8), rng.randrange(256)])
    if rng.random() < 0.05:
        length = rng.choice([0, one_bit(rng, length, 16), one_bit(rng, length, 4)])
    if rng.random() < 0.1:
        own = min(MAX_PAYLOAD, rng.choice([0, 1, 4, one_bit(rng, own, 7), one_bit(rng, own, 7)]))
        length = rng.choice([length, own])
    return Request(session, sequence % 256, command, address % (1 << 32), rng.randbytes(own), length)
