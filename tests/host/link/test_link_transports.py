"""The link's transports: a pseudo-terminal as the serial port, a socket, and a line whose time is counted."""

import os
import random
import select
import socket
import threading
import tty
from collections import deque
from collections.abc import Callable

import pytest

from gateware.link.packets import MAX_PAYLOAD
from host.link.connection import Connection
from host.link.errors import TransportError
from host.link.transport import BAUD, SerialTransport, SocketTransport, Transport
from tests.host.devices.link_devices import DeviceModel

BYTE_SECONDS = 10 / BAUD


class Served:
    """A model of the device behind a file descriptor, in a thread, until the descriptor closes."""

    def __init__(self, descriptor: int) -> None:
        self.model, self._descriptor, self._stop = DeviceModel(), descriptor, threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if select.select([self._descriptor], [], [], 0.05)[0]:
                try:
                    content = os.read(self._descriptor, 65536)
                except OSError:
                    return
                if not content:
                    return
                answer = self.model.exchange(content, 0)
                while answer:
                    answer = answer[os.write(self._descriptor, answer) :]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def roundtrip(transport: Transport, served: Served) -> None:
    with Connection(transport, timeout=2) as connection:
        content = random.Random(1).randbytes(20_000)
        connection.write(3, content)
        assert connection.read(3, len(content)) == content
        assert served.model.peek(3, len(content)) == content


def test_serial():
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    served = Served(ours)
    try:
        roundtrip(SerialTransport(os.ttyname(theirs)), served)
    finally:
        served.stop()
        os.close(ours)
        os.close(theirs)


def test_a_serial_port_that_goes():
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    transport = SerialTransport(os.ttyname(theirs), 115_200)
    assert transport.read(0.01) == b""
    os.close(ours)
    with pytest.raises(TransportError, match="The serial port /dev/pts/.* fails .*: check the cable"):
        for _ in range(3):
            transport.write(b"x")
            transport.read(0.01)
    transport.close()
    os.close(theirs)


def test_no_serial_port():
    with pytest.raises(TransportError, match="The serial port /dev/nothing cannot be opened at 12000000 baud"):
        SerialTransport("/dev/nothing")


def test_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SocketTransport("127.0.0.1", server.getsockname()[1])
        accepted, _ = server.accept()
        with accepted:
            served = Served(accepted.fileno())
            roundtrip(transport, served)
            served.stop()


def test_a_socket_that_closes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        transport = SocketTransport("127.0.0.1", port)
        accepted, _ = server.accept()
        assert transport.read(0.01) == b""
        accepted.close()
        with pytest.raises(TransportError, match=f"127.0.0.1:{port} has closed the connection"):
            transport.read(1)
        transport.close()
    with pytest.raises(TransportError, match=f"Nothing answers at 127.0.0.1:{port}"):
        SocketTransport("127.0.0.1", port)


class Line(Transport):
    """A UART of 12 Mbaud each way behind USB: `buffer` bytes wait to be sent, and answers come `latency` late."""

    def __init__(self, exchange: Callable[[bytes, float], bytes], latency: float, buffer: int = 4096) -> None:
        self._device, self._latency, self._buffer = exchange, latency, buffer
        self._now = self._free = self._free_back = 0.0
        self._coming: deque[tuple[float, bytes]] = deque()
        self.written = 0

    def write(self, content: bytes) -> None:
        self.written += len(content)
        self._free = max(self._free, self._now) + BYTE_SECONDS * len(content)
        answer = self._device(content, 0)
        if answer:
            self._free_back = max(self._free, self._free_back) + BYTE_SECONDS * len(answer)
            self._coming.append((self._free_back + self._latency, answer))
        self._now = max(self._now, self._free - BYTE_SECONDS * self._buffer)

    def read(self, seconds: float) -> bytes:
        if not self._coming or self._coming[0][0] > self._now + seconds:
            self._now += seconds
            return b""
        when, content = self._coming.popleft()
        self._now = max(self._now, when)
        return content

    def now(self) -> float:
        return self._now

    def pause(self, seconds: float) -> None:
        self._now += seconds


@pytest.mark.parametrize("latency", [0.001, 0.016])
def test_an_upload_fills_the_line(latency: float):
    model = DeviceModel()
    model.memory = bytearray(1 << 20)
    line = Line(model.exchange, latency)
    connection = Connection(line)
    connection.identity = connection.identity.__class__(**{**connection.identity.__dict__, "memory_beats": 1 << 16})
    content = random.Random(1).randbytes(1 << 20)
    begin, before = line.now(), line.written
    connection.write(0, content)
    seconds, written = line.now() - begin, line.written - before
    assert model.peek(0, 1 << 20) == content
    # The last answer comes late once; until then the line has no gap, and carries 98 % payload.
    assert seconds - latency == pytest.approx(BYTE_SECONDS * written, rel=0.002)
    assert len(content) * BYTE_SECONDS / seconds > 0.95
    assert written / len(content) < (MAX_PAYLOAD + 20) / MAX_PAYLOAD + 0.0001
    assert connection.statistics.resent == 0
