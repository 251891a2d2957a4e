"""Faults of an emulated board in a process of its own, on a port: the operating system's part of the way."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from firmware.program.file import save_program
from host.command.errors import HostError
from host.devices.base import Device
from host.devices.linked import ConnectedDevice
from host.devices.registry import open_device
from host.devices.serial_port import TCP_TIMEOUT
from host.faults.bench import Bench, Row
from host.link.connection import Connection
from host.link.exchange import ATTEMPTS
from host.link.transport import SocketTransport

__all__ = ["REFUSED_SECONDS", "UPLOAD_SECONDS", "exact", "reopened", "served", "served_rows"]

ROOT = Path(__file__).resolve().parents[2]
REFUSED_SECONDS = ATTEMPTS * TCP_TIMEOUT + 1.0  # without an answer, and the way there
UPLOAD_SECONDS = 60.0  # until the cut, with the emulated board as slow as the computer makes it
END_SECONDS = 30.0
RETRY_SECONDS = 0.1


@contextmanager
def served(bench: Bench, option: str) -> Iterator[str]:
    """The device's name of such a process, which listens as the option (`--tcp`, `--udp`) says.

    Raises
    ------
    HostError : it does not start
    """
    machine = bench.machine
    command = [sys.executable, "-m", "sim.emulator.serve", option, "0"]
    command += ["--board", machine.name, "--arithmetic", machine.arithmetic.name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        spec = process.stdout.readline().partition("--device ")[2].strip()
        try:
            if not spec:
                raise HostError("The emulated board's process did not start: see its message.")
            yield spec
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def exact(bench: Bench, device: Device, number: int) -> bool:
    """Whether a picture's logits are the reference's."""
    answer = device.run(bench.images[number : number + 1])[0]
    return bool(np.array_equal(answer.logits, bench.wanted[number]))


def served_rows(bench: Bench) -> Iterator[Row]:
    """Two clients at once; a connection that is cut in mid-upload. Seconds are those of a clock on the wall."""
    with tempfile.TemporaryDirectory() as folder, served(bench, "--tcp") as spec:
        path = Path(folder) / "program"
        save_program(bench.program, path)
        yield two_clients(bench, spec, path)
        yield cut_in_mid_upload(bench, spec, path)


def two_clients(bench: Bench, spec: str, path: Path) -> Row:
    """A second client while the first works: it is turned away, the first goes on, and afterwards it is let in."""
    row = Row("two clients at once, over TCP", faults=1, limit=REFUSED_SECONDS)
    try:
        with open_device(spec) as first:
            first.load(path)
            begun = time.monotonic()
            try:
                open_device(spec).close()
                row.require(False, "the second client was not turned away")
            except HostError as error:
                row.heard(str(error))
            row.took(time.monotonic() - begun, REFUSED_SECONDS)
            for number in range(2):
                right = exact(bench, first, number)
                row.exact, row.wrong = row.exact + right, row.wrong + (not right)
        reopened(bench, row, spec, path)
    except HostError as error:
        row.problems.append(str(error))
    return row


def cut_in_mid_upload(bench: Bench, spec: str, path: Path) -> Row:
    """The connection goes in the middle of a packet of the program."""
    row = Row("connection cut in mid-upload, over TCP", faults=1)
    try:
        host, _, port = spec.removeprefix("tcp:").rpartition(":")
        begun = time.monotonic()
        try:
            cut = _Cut(host, int(port), bench.program.memory.size // 2)
            with ConnectedDevice(spec, Connection(cut, TCP_TIMEOUT)) as device:
                device.load(path)
            row.require(False, "the cut was not noticed")
        except HostError as error:
            row.heard(str(error))
        row.took(time.monotonic() - begun, UPLOAD_SECONDS)
        reopened(bench, row, spec, path)
    except HostError as error:
        row.problems.append(str(error))
    return row


class _Cut(SocketTransport):
    """A connection that goes after so many bytes."""

    def __init__(self, host: str, port: int, after: int) -> None:
        super().__init__(host, port)
        self._left = after

    def write(self, content: bytes) -> None:
        kept, self._left = content[: max(0, self._left)], self._left - len(content)
        super().write(kept)
        if self._left < 0:
            self._socket.shutdown(socket.SHUT_RDWR)
            super().write(content[len(kept) :])


def reopened(bench: Bench, row: Row, spec: str, path: Path) -> None:
    """A new client, loaded anew, must be exact; it is turned away until the board has noticed that the last is gone."""
    end = time.monotonic() + END_SECONDS
    while True:
        try:
            device = open_device(spec)
            break
        except HostError:
            if time.monotonic() > end:
                raise
            time.sleep(RETRY_SECONDS)
    with device:
        device.load(path)
        right = exact(bench, device, 2)
    row.recovered, row.not_recovered = row.recovered + right, row.not_recovered + (not right)
