"""A device that is slower than the host's time-outs expect, such as an emulated one on a crowded computer."""

from collections import deque

import pytest

from gateware.link.packets import MAX_PAYLOAD
from host.link.connection import Connection
from host.link.transport import Transport
from tests.host.devices.link_devices import DeviceModel

TIMEOUT, ATTEMPTS = 0.25, 16


class SlowDevice(Transport):
    """Takes so long for a full packet, and once much longer; packets wait for it. Time is its own."""

    def __init__(self, seconds: float, stops_at: int, stop: float) -> None:
        self.model, self.packets = DeviceModel(), 0
        self._seconds, self._stops_at, self._stop = seconds, stops_at, stop
        self._now = self._free = 0.0
        self._answers: deque[tuple[float, bytes]] = deque()

    def write(self, content: bytes) -> None:
        for packet in content.split(b"\0")[:-1]:
            if packet:
                self.packets += 1
                pause = self._stop if self.packets == self._stops_at else 0.0
                self._free = max(self._free, self._now) + self._seconds * len(packet) / MAX_PAYLOAD + pause
                self._answers.append((self._free, self.model.exchange(packet + b"\0", 0)))

    def read(self, seconds: float) -> bytes:
        came = self._answers[0][0] if self._answers else self._now + seconds
        if came > self._now + seconds or not self._answers:
            self._now += seconds
            return b""
        self._now = max(self._now, came)
        return self._answers.popleft()[1]

    def now(self) -> float:
        return self._now


@pytest.mark.parametrize(("seconds", "stop"), [(0.001, 1.0), (0.06, 0.0), (0.06, 0.5), (0.2, 3.0)])
def test_what_is_on_its_way_is_not_sent_again(seconds: float, stop: float):
    """Else each time-out would put a window's packets in front of those that it waits for, and the next one more."""
    device = SlowDevice(seconds, 50, stop)
    content = bytes(range(256)) * (len(device.model.memory) // 256)
    connection = Connection(device, TIMEOUT, ATTEMPTS)
    for _ in range(3):
        connection.write(0, content)
    assert device.model.memory == content
    assert connection.statistics.resent <= 2 + stop / TIMEOUT
