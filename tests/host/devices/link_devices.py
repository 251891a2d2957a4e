"""Devices behind the link for tests of the host: one in Python, by docs/link.md, and the gateware itself."""

from __future__ import annotations

from typing import Protocol

from gateware.link import framing
from gateware.link.packets import (
    MAX_PAYLOAD,
    NO_SESSION,
    WINDOW,
    Answer,
    Command,
    MachineState,
    PacketError,
    Request,
    Status,
)
from sim.emulator.emulation import Emulation
from sim.reference.rounding import ceil_div
from tests.gateware.link.link_board import ADDRESS_BITS, BUS_ERROR, CONSTANT, IDENTITY, REGISTERS, Counter, LinkBoard

CLOCK_HZ = 1_000_000  # slow, so that time-outs are few cycles


class Device(Protocol):
    """What the tests need of either."""

    def exchange(self, content: bytes, seconds: float) -> bytes:
        """Gets bytes, lets time pass, gives back what the device has sent."""

    def peek(self, address: int, length: int) -> bytes:
        """Memory."""

    def set_program(self, duration: int, outcome: int) -> None:
        """How many cycles the next program lasts, and its error code."""

    def restart(self) -> None:
        """As after power-on; memory may stay."""

    def close(self) -> None:
        """The end."""


class DeviceModel:
    """The link of docs/link.md with the small machine of `tests.gateware.link.link_board`."""

    def __init__(self) -> None:
        self.memory = bytearray(16 << ADDRESS_BITS)
        self.registers = [0] * REGISTERS
        self.duration, self.outcome = 0, 0
        self.history = [0] * WINDOW  # statuses by number modulo 32
        self.restart()

    def restart(self) -> None:
        self.session: int | None = None
        self.peer = self.owner = 0  # who sends, and whose the session is
        self.following = 0
        self.last = b""
        self.counters = [0] * len(Counter)
        self.counters[Counter.CONSTANT] = CONSTANT
        self.cycles_left, self.error = 0, 0
        self.begun = bytearray()

    def peek(self, address: int, length: int) -> bytes:
        return bytes(self.memory[address : address + length])

    def set_program(self, duration: int, outcome: int) -> None:
        self.duration, self.outcome = duration, outcome

    def close(self) -> None:
        pass

    def exchange(self, content: bytes, seconds: float) -> bytes:
        if self.cycles_left:
            self.cycles_left = max(0, self.cycles_left - int(seconds * CLOCK_HZ) - len(content))
            self.error = self.outcome if not self.cycles_left else 0
        *ends, rest = content.split(b"\0")
        sent = b""
        for end in ends:
            self.begun += end
            sent += self._frame(bytes(self.begun))
            self.begun.clear()
        self.begun += rest
        return sent

    def _frame(self, stuffed: bytes) -> bytes:
        try:
            packet = framing.decode(stuffed)
            request = Request.from_bytes(packet)
        except (framing.FramingError, PacketError):
            return b""
        return self.reply(request)

    def reply(self, request: Request) -> bytes:
        """The frame with the answer to a packet that is right."""
        same = (request.session, self.peer) == (self.session, self.owner)
        verdict = self._verdict(request)
        if not same and (request.session, request.command, verdict) == (NO_SESSION, Command.IDENTIFY, Status.DONE):
            return self._short(request, Status.DONE, self._identity())
        if not same and (request.command != Command.OPEN or verdict != Status.DONE):
            return self._short(request, Status.WRONG_SESSION)
        behind = (self.following - request.sequence) % 256 if same else 0
        if behind == 1 and self.last:
            return self.last
        if 2 <= behind <= WINDOW:
            return self._short(request, self.history[request.sequence % WINDOW])
        if behind:
            return self._short(request, Status.OUT_OF_ORDER)
        self.session, self.owner, self.following = request.session, self.peer, (request.sequence + 1) % 256
        status, payload = (verdict, b"") if verdict else self._act(request)
        self.history[request.sequence % WINDOW] = status
        self.last = self._answer(request, status, payload)
        return self.last

    def _verdict(self, request: Request) -> Status:
        address, length = request.address, request.length or 0
        if request.command not in Command.__members__.values():
            return Status.UNKNOWN_COMMAND
        own = len(request.payload)
        right = own == length == {Command.CONTROL_WRITE: 4}.get(Command(request.command), 0)
        if request.command == Command.WRITE:
            right = own == length and 1 <= own <= MAX_PAYLOAD
        if request.command == Command.READ:
            right = own == 0 and 1 <= length <= MAX_PAYLOAD
        if not right:
            return Status.WRONG_LENGTH
        grain = {Command.RUN: 16, Command.CONTROL_READ: 4, Command.CONTROL_WRITE: 4}.get(Command(request.command), 1)
        if address % grain:
            return Status.MISALIGNED
        if request.command in (Command.READ, Command.WRITE, Command.RUN):
            size = max(length, 1)
            if address + size > len(self.memory):
                return Status.ADDRESS_RANGE
        if request.command == Command.RUN and self.cycles_left:
            return Status.BUSY
        return Status.DONE

    def _act(self, request: Request) -> tuple[Status, bytes]:
        address, command = request.address, Command(request.command)
        if command == Command.IDENTIFY:
            return Status.DONE, self._identity()
        if command == Command.COUNTERS:
            return Status.DONE, b"".join(counter.to_bytes(4, "little") for counter in self.counters)
        if command == Command.READ:
            return Status.DONE, self.peek(address, request.length or 0)
        if command == Command.WRITE:
            self.memory[address : address + len(request.payload)] = request.payload
        if command == Command.RUN:
            self.cycles_left, self.error = self.duration, 0
            self.counters[Counter.STARTS] += 1
            self.counters[Counter.PROGRAM] = address >> 4
        if command in (Command.STOP, Command.RESET):
            self.cycles_left = 0
            self.counters[Counter.STOPS] += 1
            self.error = 0 if command == Command.RESET else self.error
        if command in (Command.CONTROL_READ, Command.CONTROL_WRITE):
            return self._bus(command, address, request.payload)
        return Status.DONE, b""

    def _bus(self, command: Command, address: int, payload: bytes) -> tuple[Status, bytes]:
        if address == BUS_ERROR:
            return Status.CONTROL_ERROR, b""
        if address >> 2 >= REGISTERS:
            return Status.CONTROL_TIMEOUT, b""
        if command == Command.CONTROL_READ:
            return Status.DONE, self.registers[address >> 2].to_bytes(4, "little")
        self.registers[address >> 2] = int.from_bytes(payload, "little")
        self.counters[Counter.CONTROL_WRITES] += 1
        return Status.DONE, b""

    def _identity(self) -> bytes:
        return IDENTITY.to_bytes()

    def _short(self, request: Request, status: int, payload: bytes = b"") -> bytes:
        return self._answer(request, status, payload)

    def _answer(self, request: Request, status: int, payload: bytes) -> bytes:
        state = MachineState(self.cycles_left > 0, self.error)
        session = self.session or 0
        return framing.frame(Answer(session, request.sequence, status, self.following, state, payload).to_bytes())


class EmulatedDevice:
    """The gateware, Verilated, with memory as on an Arty A7."""

    def __init__(self) -> None:
        self.emulation = Emulation(LinkBoard(), 16 << ADDRESS_BITS)

    def exchange(self, content: bytes, seconds: float) -> bytes:
        self.emulation.send(content)
        while self.emulation.unsent:
            self.emulation.run(100)
        end = self.emulation.cycles + int(seconds * CLOCK_HZ) + 100
        while self.emulation.cycles < end:  # a run also ends where a program does
            self.emulation.run(end - self.emulation.cycles)
        return self.emulation.receive()

    def peek(self, address: int, length: int) -> bytes:
        self.emulation.run(1000)  # words on their way arrive
        first, end = address // 16, ceil_div(address + length, 16)
        return self.emulation.read_memory(first, 16 * (end - first))[address % 16 :][:length]

    def set_program(self, duration: int, outcome: int) -> None:
        self.emulation.set_input("duration", duration)
        self.emulation.set_input("outcome", outcome)

    def restart(self) -> None:
        self.emulation.reset()

    def close(self) -> None:
        self.emulation.close()
