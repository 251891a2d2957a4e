"""A device at the other end of a link, with the link's commands as methods."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from gateware.config import BEAT_BYTES
from gateware.link.packets import (
    PROTOCOL_VERSION,
    WINDOW,
    Answer,
    Command,
    Identity,
    MachineState,
    PacketError,
    Status,
)
from host.link.errors import LinkError, MachineStopped, RequestRefused
from host.link.exchange import ATTEMPTS, TIMEOUT, Exchange, Statistics
from host.link.transport import Transport
from host.link.window import Order

__all__ = ["Connection"]

WORD_BYTES = 4
POLL_SECONDS = 0.0002
READS_AHEAD = 2
"""Reads under way: as many requests as wait in the device while it answers. A UART cannot make the line wait, so a
third one is lost, and asked for again only after the time-out."""


class Connection:
    """An open session with a device; a context manager that closes its transport.

    Every method either returns what the device did, once, or raises a `LinkError`; after one that is no refusal only
    `open` helps. None takes longer than `attempts` times `timeout` without news from the device.

    Parameters
    ----------
    transport : what carries the bytes; closed with the connection
    timeout : seconds without an answer until a request goes out again
    attempts : how often in a row
    window : requests under way at most

    Members
    -------
    identity : what the device said of itself

    Raises LinkError, and closes the transport, if the device does not answer or speaks another version.
    """

    identity: Identity

    def __init__(
        self, transport: Transport, timeout: float = TIMEOUT, attempts: int = ATTEMPTS, window: int = WINDOW
    ) -> None:
        self._transport = transport
        self._exchange = Exchange(transport, timeout, attempts, window)
        try:
            self.open()
        except BaseException:
            transport.close()
            raise

    def open(self) -> None:
        """Begins a new session, also after an error; what runs on the device runs on."""
        self._exchange.open()
        self.identity = self.identify()

    @property
    def is_open(self) -> bool:
        """Whether a session is open, as far as the host knows: none is after an error that is no refusal."""
        return self._exchange.is_open

    @property
    def patience(self) -> float:
        """Seconds without news from the device until a method gives up."""
        return self._exchange.patience

    def now(self) -> float:
        """Seconds, as the transport counts them."""
        return self._transport.now()

    def pause(self, seconds: float) -> None:
        """Lets so many of them pass."""
        self._transport.pause(seconds)

    def close(self) -> None:
        """Closes the transport."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def statistics(self) -> Statistics:
        """How often something had to be sent again."""
        return self._exchange.statistics

    def identify(self) -> Identity:
        """Version, configuration and memory of the device."""
        payload = self._one(Order(Command.IDENTIFY, expected=None), "say what it is").payload
        version = int.from_bytes(payload[:2], "little")
        try:
            if version != PROTOCOL_VERSION:
                raise LinkError(
                    f"The device speaks version {version} of the link's protocol, and this program version "
                    f"{PROTOCOL_VERSION}: use the gateware and the program of one release."
                )
            return Identity.from_bytes(payload)
        except PacketError as error:
            raise LinkError(f"The device does not say what it is: {error}") from error

    def read(self, address: int, length: int) -> bytes:
        """Memory, from any byte on."""
        self._require_inside(address, length)
        found = bytearray()
        while len(found) < length:
            pieces = self._pieces(address + len(found), length - len(found), READS_AHEAD)
            orders = [Order(Command.READ, begin, length=size, expected=size) for begin, size in pieces]
            for answer in self._all(orders, f"read memory at {address:#x}", divisible=True):
                found += answer.payload
        return bytes(found)

    def write(self, address: int, content: bytes) -> None:
        """Memory, from any byte on. The device's program sees it if it is started, or reads there, afterwards."""
        content = bytes(content)
        self._require_inside(address, len(content))
        done = 0
        while done < len(content):
            pieces = self._pieces(address + done, len(content) - done)
            orders = [Order(Command.WRITE, at, content[at - address : at - address + size]) for at, size in pieces]
            answers = self._all(orders, f"write memory at {address:#x}", divisible=True)
            done += sum(size for _, size in pieces[: len(answers)])

    def run(self, program: int) -> None:
        """Starts the program at that byte, a multiple of 16; see `wait`."""
        self._require_inside(program, 1)
        self._one(Order(Command.RUN, program), f"run the program at {program:#x}")

    def stop(self) -> None:
        """Abandons the program that runs, if one does."""
        self._one(Order(Command.STOP), "stop")

    def reset(self) -> None:
        """Abandons the program that runs and clears the machine's error. Memory stays, and so does the session."""
        self._one(Order(Command.RESET), "reset")

    def status(self) -> MachineState:
        """Whether a program runs, and why the last one stopped."""
        return self._one(Order(Command.STATUS), "say its state").state

    def wait(self, timeout: float) -> tuple[int, ...]:
        """Returns when no program runs any more: the counters, which end with the program.

        Raises
        ------
        MachineStopped : the last one came to an early end
        LinkError : one still runs after `timeout` seconds; it is not stopped
        """
        deadline = self._transport.now() + timeout
        while (answer := self._counters()).state.busy:
            if self._transport.now() >= deadline:
                raise LinkError(f"The program still runs after {timeout} s: wait longer, or stop it.")
            self._transport.pause(POLL_SECONDS)
        if answer.state.error:
            raise MachineStopped(answer.state)
        return self._words(answer.payload)

    def counters(self) -> tuple[int, ...]:
        """The machine's counters, in the order of `gateware.counters.COUNTERS`."""
        return self._words(self._counters().payload)

    def _counters(self) -> Answer:
        """The state in an answer is of a moment before the counters in it."""
        size = WORD_BYTES * self.identity.counters
        return self._one(Order(Command.COUNTERS, expected=size), "give its counters")

    def _words(self, payload: bytes) -> tuple[int, ...]:
        return tuple(
            int.from_bytes(payload[at : at + WORD_BYTES], "little") for at in range(0, len(payload), WORD_BYTES)
        )

    def control_read(self, address: int) -> int:
        """A register of 32 bits on the control bus, at a multiple of 4."""
        return self.control_read_all([address])[0]

    def control_write(self, address: int, value: int) -> None:
        """The same, written."""
        self.control_write_all([(address, value)])

    def control_read_all(self, addresses: Sequence[int]) -> list[int]:
        """Registers, in that order, each once; a read whose answer was lost is made again, after the others."""
        orders = [Order(Command.CONTROL_READ, self._register(at), expected=WORD_BYTES) for at in addresses]
        what = f"read the register {addresses[0]:#x}" if len(addresses) == 1 else "read registers"
        return [int.from_bytes(answer.payload, "little") for answer in self._all(orders, what)]

    def control_write_all(self, writes: Sequence[tuple[int, int]]) -> None:
        """Registers and their values, written in that order; the line does not wait for each answer."""
        orders = [
            Order(Command.CONTROL_WRITE, self._register(at), self._word(value).to_bytes(WORD_BYTES, "little"))
            for at, value in writes
        ]
        what = f"write the register {writes[0][0]:#x}" if len(writes) == 1 else "write registers"
        self._all(orders, what)

    def _one(self, order: Order, what: str) -> Answer:
        return self._all([order], what)[0]

    def _all(self, orders: Sequence[Order], what: str, divisible: bool = False) -> list[Answer]:
        """The answers; of divisible orders perhaps only the first ones, see `Exchange.carry_out`."""
        answers = self._exchange.carry_out(orders, divisible)
        for answer in answers:
            if answer.status != Status.DONE:
                raise RequestRefused(what, answer.status)
        return answers

    def _pieces(self, address: int, length: int, most: int | None = None) -> list[tuple[int, int]]:
        """(address, length) of the requests, at most so many; all but the first begin with a beat."""
        pieces: list[tuple[int, int]] = []
        end, longest = address + length, min(self._exchange.piece, self.identity.max_payload // BEAT_BYTES * BEAT_BYTES)
        while address < end and (most is None or len(pieces) < most):
            size = min(end - address, longest - address % BEAT_BYTES)
            pieces.append((address, size))
            address += size
        return pieces

    def _require_inside(self, address: int, length: int) -> None:
        size = self.identity.memory_bytes
        if address < 0 or length < 0 or address + length > size:
            raise LinkError(
                f"{length} bytes from address {address} on are not all inside the device's memory of {size} bytes."
            )

    def _register(self, address: int) -> int:
        if not 0 <= address < 1 << 32:
            raise LinkError(f"A register's address has 32 bits, and {address} does not fit.")
        return address

    def _word(self, value: int) -> int:
        if not 0 <= value < 1 << 32:
            raise LinkError(f"A register has 32 bits, and {value} does not fit: give 0 to {(1 << 32) - 1}.")
        return value
