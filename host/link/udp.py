"""The link over UDP: a frame a datagram, and which boards answer on the own network."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateware.link.datagrams import LONGEST, UDP_PORT, datagrams, whole
from gateware.link.framing import frame
from gateware.link.packets import NO_SESSION, PROTOCOL_VERSION, Command, Identity, PacketError, Request, Status
from host.command.errors import reason
from host.link.deframer import Deframer
from host.link.errors import TransportError
from host.link.transport import Transport

__all__ = ["FoundBoard", "UdpTransport", "found_boards"]

BUFFER_BYTES = 1 << 20  # what the system keeps for the socket: many windows
AT_ONCE = 64  # datagrams that one read takes
MOST_BOARDS = 256  # that are listed; whoever sends more answers is no network of boards
MOST_ANSWERS = 4096  # that are looked at
THIS_COMPUTER = "127.0.0.1"
EVERYBODY = "255.255.255.255"
SIOCGIFBRDADDR = 0x8919  # of Linux: an interface's broadcast address
NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


class UdpTransport(Transport):
    """A board's UDP port. Datagrams from anywhere else never arrive here.

    Parameters
    ----------
    host, port : a name or an IPv4 address, and where it listens

    Raises TransportError where there is no such host, or no way to it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._name = f"{host}:{port}"
        self.advice = (
            f"check that it has power, the cable, that `ping {host}` is answered, and that its gateware was built "
            "with this address"
        )
        try:
            address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
        except (OSError, UnicodeError, OverflowError) as error:
            raise TransportError(f"There is no host {host!r} ({reason(error)}): give a board's address.") from error
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            self._socket.connect(address)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise self._gone(error) from error

    def write(self, content: bytes) -> None:
        try:
            for datagram in datagrams(content):
                self._socket.send(datagram)
        except OSError as error:
            raise self._gone(error) from error

    def read(self, seconds: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], seconds)[0]:
                return b""
            found = [self._socket.recv(LONGEST)]
            with contextlib.suppress(BlockingIOError):
                while len(found) < AT_ONCE:
                    found.append(self._socket.recv(LONGEST, socket.MSG_DONTWAIT))
        except OSError as error:
            raise self._gone(error) from error
        return b"".join(map(whole, found))

    def close(self) -> None:
        self._socket.close()

    def _gone(self, error: BaseException) -> TransportError:
        number = getattr(error, "errno", None)
        if number in NO_ROUTE:
            return TransportError(
                f"There is no way to {self._name} ({reason(error)}): check the cable, and that this computer has an "
                "address on the board's network."
            )
        if number == errno.ECONNREFUSED:
            return TransportError(f"Nothing listens at {self._name} ({reason(error)}): start the device first.")
        return TransportError(f"Datagrams to {self._name} fail ({reason(error)}): check the address and the network.")


@dataclass(frozen=True)
class FoundBoard:
    """A board that answered: its address, and what it says of itself; None where it speaks another version."""

    host: str
    identity: Identity | None


def found_boards(seconds: float, addresses: Sequence[str] | None = None, port: int = UDP_PORT) -> list[FoundBoard]:
    """Who answers within so many seconds to the question what it is, which takes no session from anybody.

    Parameters
    ----------
    seconds : how long answers are waited for
    addresses : who is asked; by default all of the own networks, and this computer
    port : where
    """
    question = frame(Request(NO_SESSION, 0, Command.IDENTIFY).to_bytes())
    found: dict[str, FoundBoard] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for address in broadcast_addresses() if addresses is None else addresses:
            with contextlib.suppress(OSError):  # a network that is down has no boards
                asking.sendto(question, (address, port))
        end = time.monotonic() + seconds
        for _ in range(MOST_ANSWERS):
            left = end - time.monotonic()
            if left <= 0 or len(found) >= MOST_BOARDS or not select.select([asking], [], [], left)[0]:
                break
            with contextlib.suppress(OSError):
                content, (host, from_port) = asking.recvfrom(LONGEST)
                if from_port == port and (board := _board(host, content)) is not None:
                    found.setdefault(host, board)
    return sorted(found.values(), key=lambda board: socket.inet_aton(board.host))


def _board(host: str, content: bytes) -> FoundBoard | None:
    """What an answer says; None where it is none."""
    for answer in Deframer().feed(whole(content)):
        if answer.sequence or answer.status != Status.DONE or len(answer.payload) < 2:
            continue
        if int.from_bytes(answer.payload[:2], "little") != PROTOCOL_VERSION:
            return FoundBoard(host, None)
        with contextlib.suppress(PacketError):
            return FoundBoard(host, Identity.from_bytes(answer.payload))
    return None


def broadcast_addresses() -> list[str]:
    """Everybody, everybody on each interface's network where the system says so, and this computer."""
    found = [EVERYBODY]
    with contextlib.suppress(OSError, ImportError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        import fcntl  # not every system has it

        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                answer = fcntl.ioctl(any_socket, SIOCGIFBRDADDR, struct.pack("256s", name.encode()[:15]))
                found.append(socket.inet_ntoa(answer[20:24]))
    return [*dict.fromkeys(address for address in found if address != "0.0.0.0"), THIS_COMPUTER]
