"""Faults of an emulated board on a UDP port, as a board on Ethernet: several hosts, one that vanishes, strangers."""

from __future__ import annotations

import random
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware.program.file import save_program
from gateware.link.framing import frame
from gateware.link.packets import NO_SESSION, Command, Request
from host.command.errors import HostError
from host.devices.linked import ConnectedDevice
from host.devices.registry import open_device
from host.devices.udp import UDP_TIMEOUT
from host.faults.bench import PICTURES, Bench, Row
from host.faults.served import UPLOAD_SECONDS, exact, reopened, served
from host.link.connection import Connection
from host.link.errors import TransportError
from host.link.exchange import ATTEMPTS
from host.link.udp import UdpTransport

__all__ = ["served_udp_rows"]

LOST_SECONDS = ATTEMPTS * UDP_TIMEOUT + 1.0
BURST, REST_SECONDS = 4, 0.05  # of strangers: no more than an emulated board takes, which is a thousandth of a board
FLOOD_SECONDS = 60.0


def served_udp_rows(bench: Bench) -> Iterator[Row]:
    """Seconds are those of a clock on the wall."""
    with tempfile.TemporaryDirectory() as folder, served(bench, "--udp") as spec:
        path = Path(folder) / "program"
        save_program(bench.program, path)
        for row, tried in (
            (Row("two hosts, over UDP", faults=1, limit=LOST_SECONDS), two_hosts),
            (Row("host that vanishes in mid-upload, over UDP", faults=1), vanishing_host),
            (Row("strangers' datagrams, over UDP"), strangers),
        ):
            try:
                tried(bench, row, spec, path)
            except HostError as error:
                row.problems.append(str(error))
            yield row


def two_hosts(bench: Bench, row: Row, spec: str, path: Path) -> None:
    """The second takes the device; the first reads so at once, and has it back when it loads again."""
    with open_device(spec) as first:
        first.load(path)
        with open_device(spec) as second:
            for loser, winner in ((first, second), (second, first)):
                winner.load(path)
                begun = time.monotonic()
                try:
                    exact(bench, loser, 0)
                    row.require(False, "the device answered a host whose session is over")
                except HostError as error:
                    row.heard(str(error))
                row.took(time.monotonic() - begun, LOST_SECONDS)
                right = exact(bench, winner, 1)
                row.exact, row.wrong = row.exact + right, row.wrong + (not right)
    row.require(row.sentences != [] and "another program has opened it" in row.sentences[0], "another sentence")
    reopened(bench, row, spec, path)


class _Vanishing(UdpTransport):
    """A host that is gone after so many bytes, without a word."""

    def __init__(self, host: str, port: int, after: int) -> None:
        super().__init__(host, port)
        self._left = after

    def write(self, content: bytes) -> None:
        self._left -= len(content)
        if self._left < 0:
            raise TransportError("The host has vanished: this is its own test.")
        super().write(content)


def vanishing_host(bench: Bench, row: Row, spec: str, path: Path) -> None:
    """The next host finds a working device, whatever the one before had begun."""
    begun = time.monotonic()
    try:
        gone = _Vanishing(*address(spec), bench.program.memory.size // 2)
        with ConnectedDevice(spec, Connection(gone, UDP_TIMEOUT)) as device:
            device.load(path)
        row.require(False, "the host did not vanish")
    except TransportError as error:
        row.heard(str(error))
    reopened(bench, row, spec, path)
    row.took(time.monotonic() - begun, UPLOAD_SECONDS)


def strangers(bench: Bench, row: Row, spec: str, path: Path) -> None:
    """Noise, spoiled packets and whole ones of other sessions from elsewhere, while frames run."""
    begun = time.monotonic()
    with open_device(spec) as device:
        device.load(path)
        with _Strangers(address(spec), random.Random(bench.rng.getrandbits(32))) as crowd:
            number = 0
            while number < 3 or (crowd.sent <= BURST and time.monotonic() - begun < FLOOD_SECONDS):
                right = exact(bench, device, number % PICTURES)
                row.exact, row.wrong = row.exact + right, row.wrong + (not right)
                number += 1
        row.faults = crowd.sent
    row.took(time.monotonic() - begun, FLOOD_SECONDS)
    row.require(row.faults > BURST, "nobody disturbed")
    reopened(bench, row, spec, path)


class _Strangers:
    """Datagrams from other ports, in a thread, until the end of the context."""

    def __init__(self, to: tuple[str, int], rng: random.Random) -> None:
        self._to, self._rng, self._over, self.sent = to, rng, threading.Event(), 0
        self._thread = threading.Thread(target=self._disturb, daemon=True)

    def _disturb(self) -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            while not self._over.wait(REST_SECONDS):
                for _ in range(BURST):
                    self._rng.choice([one, other]).sendto(self._datagram(), self._to)
                    self.sent += 1

    def _datagram(self) -> bytes:
        rng = self._rng
        kind = rng.randrange(4)
        if kind == 0:
            return rng.randbytes(rng.choice([0, 1, 30, 1400]))
        # Any command but OPEN, which would rightly take the device.
        session = NO_SESSION if kind == 1 else rng.getrandbits(16)
        packet = frame(Request(session, rng.randrange(256), rng.choice([*Command][1:])).to_bytes())
        return packet[: rng.randrange(len(packet))] if kind == 2 else packet

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def address(spec: str) -> tuple[str, int]:
    """Of `udp:HOST:PORT`."""
    host, _, port = spec.removeprefix("udp:").rpartition(":")
    return host, int(port)
