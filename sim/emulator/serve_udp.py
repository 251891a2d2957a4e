"""The emulated board on a UDP port, as a board on Ethernet: each datagram is a frame, from a peer and to one."""

from __future__ import annotations

import select
import socket
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gateware.link.datagrams import HOST_BITS, LONGEST, PORT_BITS, whole
from sim.emulator.emulation import Emulation
from sim.reference.errors import UserError

__all__ = ["UdpLine", "serve_datagrams"]

Address = tuple[str, int]
STEP = 500  # cycles between two looks at whether the board wants another datagram
AWAKE = 10_000  # cycles in which a request has its answer, but for one that waits for memory
IDLE_CYCLES = 5_000  # that pass while nobody wants anything
IDLE_SECONDS = 0.05
BUFFER_BYTES = 1 << 20
MOST_PEERS = 4096  # whose addresses are known; who was silent for longest is forgotten


class UdpLine:
    """A UDP socket, and the addresses of the peers behind it.

    Raises UserError if nobody can listen there.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        try:
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise UserError(f"--udp: nobody can listen at {host}:{port} ({error}); choose another port.") from error
        self.name = "{}:{}".format(*self._socket.getsockname())
        self._addresses: OrderedDict[int, Address] = OrderedDict()

    def receive(self, seconds: float) -> tuple[int, bytes] | None:
        """From whom, and what; None where nothing comes in time."""
        try:
            if not select.select([self._socket], [], [], seconds)[0]:
                return None
            content, (host, port) = self._socket.recvfrom(LONGEST)
        except ConnectionError:  # somebody to whom an answer went has gone
            return None
        # As the gateware has it: the port, and the last byte of the address.
        peer = port | (socket.inet_aton(host)[3] % (1 << HOST_BITS)) << PORT_BITS
        self._addresses[peer] = (host, port)
        self._addresses.move_to_end(peer)
        if len(self._addresses) > MOST_PEERS:
            self._addresses.popitem(last=False)
        return peer, whole(content)

    def send(self, peer: int, content: bytes) -> None:
        """A datagram, which is lost where nobody takes it."""
        address = self._addresses.get(peer)
        if address is not None:
            try:
                self._socket.sendto(content, address)
            except OSError:
                return

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Answers:
    """The board's answers one by one, each with whom it is for."""

    def __init__(self, emulation: Emulation, send: Callable[[int, bytes], None]) -> None:
        self._emulation, self._send = emulation, send
        self._peer = self._missing = 0

    def run(self, cycles: int) -> None:
        """So many cycles; answers that end in them are sent."""
        end = self._emulation.cycles + cycles
        while self._emulation.cycles < end:
            self._emulation.run(end - self._emulation.cycles, self._missing or 1)
            if not self._missing and (first := self._emulation.receive(1)):
                self._peer = self._emulation.output("peers__receiver")
                self._missing, self._begun = self._emulation.output("peers__length") - 1, first
            if self._missing and len(rest := self._emulation.receive(self._missing)):
                self._begun, self._missing = self._begun + rest, self._missing - len(rest)
                if not self._missing:
                    self._send(self._peer, self._begun)


def serve_datagrams(emulation: Emulation, line: UdpLine) -> None:
    """Runs the board, in no more time than it needs, until it is interrupted."""
    answers = _Answers(emulation, line.send)
    awake = 0
    while True:
        busy = emulation.busy or emulation.unsent or emulation.cycles < awake
        if not emulation.unsent and (datagram := line.receive(0.0 if busy else IDLE_SECONDS)) is not None:
            peer, content = datagram
            emulation.set_input("peers__sender", peer)
            emulation.send(content)
            awake = emulation.cycles + AWAKE
            answers.run(min(STEP, len(content)))
        else:
            answers.run(STEP if busy else IDLE_CYCLES)
