"""What carries the link's bytes: a serial port, a socket, or anything in this process."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

import serial

from gateware.link.uart import BOARD_BAUD
from host.command.errors import reason
from host.link.errors import TransportError

__all__ = ["BAUD", "InProcessTransport", "SerialTransport", "SocketTransport", "Transport"]

BAUD = max(BOARD_BAUD.values())
"""What the FT2232 of the Arty A7 and the gateware's UART agree on by default."""
READ_SIZE = 1 << 16
WRITE_SECONDS = 5.0
STEP_SECONDS = 1e-4
"""A device in this process is looked at so often while the host waits for it."""


class Transport(ABC):
    """Bytes each way, with possible losses; a context manager that closes it.

    Time is the transport's: a simulated one may count its own.

    Members
    -------
    advice : what to look at when nothing answers
    """

    advice = "check the cable, the baud rate and that its gateware is loaded"

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Sends all of it. Raises TransportError."""

    @abstractmethod
    def read(self, seconds: float) -> bytes:
        """What has come, at least a byte, or nothing after so many seconds. Raises TransportError."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Lets so many seconds pass."""
        time.sleep(seconds)

    def close(self) -> None:  # noqa: B027 - one in this process holds nothing
        """Gives back what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SerialTransport(Transport):
    """A serial port, or a pseudo-terminal: eight bits, no parity, one stop bit, no flow control.

    Parameters
    ----------
    port : such as `/dev/ttyUSB1`
    baud : bits a second

    Raises TransportError if it cannot be opened.
    """

    def __init__(self, port: str, baud: int = BAUD) -> None:
        self._name = port
        try:
            self._port = serial.Serial(port, baud, timeout=0, write_timeout=WRITE_SECONDS, exclusive=True)
            # A USB bridge would hold short answers back for 16 ms. Not every port and system knows this.
            with contextlib.suppress(AttributeError, NotImplementedError, ValueError, OSError):
                self._port.set_low_latency_mode(True)
        except (serial.SerialException, ValueError, OSError) as error:
            raise TransportError(
                f"The serial port {port} cannot be opened at {baud} baud ({reason(error)}): check its name, its "
                "permissions, and that no other program has it."
            ) from error

    def write(self, content: bytes) -> None:
        try:
            self._port.write(content)
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def read(self, seconds: float) -> bytes:
        try:
            self._port.timeout = seconds
            first = bytes(self._port.read(1))
            return first + bytes(self._port.read(self._port.in_waiting)) if first else b""
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def close(self) -> None:
        self._port.close()

    def _gone(self, error: BaseException) -> TransportError:
        return TransportError(f"The serial port {self._name} fails ({reason(error)}): check the cable.")


class SocketTransport(Transport):
    """A TCP connection, as to an emulated board.

    Parameters
    ----------
    host, port : where it listens

    Raises TransportError if nobody does.
    """

    def __init__(self, host: str, port: int) -> None:
        self._name = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=WRITE_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, OverflowError) as error:
            raise TransportError(
                f"Nothing answers at {self._name} ({reason(error)}): start the device first."
            ) from error

    def write(self, content: bytes) -> None:
        try:
            self._socket.sendall(content)
        except OSError as error:
            raise TransportError(f"The connection to {self._name} fails ({reason(error)}): open it again.") from error

    def read(self, seconds: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], seconds)[0]:
                return b""
            content = self._socket.recv(READ_SIZE)
        except OSError as error:
            raise TransportError(f"The connection to {self._name} fails ({reason(error)}): open it again.") from error
        if not content:
            raise TransportError(f"{self._name} has closed the connection: open it again.")
        return content

    def close(self) -> None:
        self._socket.close()


class InProcessTransport(Transport):
    """A device in this process, which answers bytes with bytes at once; time passes only while somebody waits.

    Parameters
    ----------
    exchange : takes what the host sends and how many seconds pass, and gives back what the device has sent since
    """

    def __init__(self, exchange: Callable[[bytes, float], bytes]) -> None:
        self._exchange, self._now = exchange, 0.0
        self._received = bytearray()

    def write(self, content: bytes) -> None:
        self._received += self._exchange(content, 0.0)

    def read(self, seconds: float) -> bytes:
        end = self._now + seconds
        while not self._received and self._now < end:
            self.pause(min(STEP_SECONDS, max(end - self._now, 1e-9)))
        content = bytes(self._received)
        self._received.clear()
        return content

    def now(self) -> float:
        return self._now

    def pause(self, seconds: float) -> None:
        self._now += seconds
        self._received += self._exchange(b"", seconds)
