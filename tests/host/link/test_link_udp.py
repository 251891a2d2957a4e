"""The link over UDP: real sockets that spoil datagrams, who answers a broadcast, and a modelled line that is filled."""

import random
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateware.link.datagrams import LINE_BITS_A_SECOND, line_bytes, whole
from gateware.link.framing import frame, frame_bytes
from gateware.link.packets import (
    CRC_BYTES,
    MAX_PAYLOAD,
    NO_SESSION,
    PROTOCOL_VERSION,
    REQUEST,
    Answer,
    Command,
    Request,
    Status,
)
from host.devices.ethernet_link import EthernetLink
from host.link.connection import Connection
from host.link.errors import NoAnswer, TransportError
from host.link.udp import UdpTransport, broadcast_addresses, found_boards
from sim.emulator.emulation import Emulation
from tests.gateware.link.link_board import ADDRESS_BITS, IDENTITY, LinkBoard
from tests.host.devices.link_devices import DeviceModel

FAULTS = ("lose", "double", "reorder", "cut")
HERE = "127.0.0.1"
CLOCK_MHZ = 100.0


class Served:
    """A model of the device behind a UDP socket that spoils one in so many datagrams, each way."""

    def __init__(self, kind: str = "lose", one_in: int = 0) -> None:
        self.model, self.spoiled = DeviceModel(), 0
        self._kind, self._one_in, self._rng = kind, one_in, random.Random(1)
        self._held: dict[bool, list[bytes]] = {}

    def passed(self, datagram: bytes, back: bool) -> list[bytes]:
        late = self._held.pop(back, [])
        if not self._one_in or self._rng.randrange(self._one_in):
            return [datagram, *late]
        self.spoiled += 1
        if self._kind == "reorder":
            self._held[back] = [datagram]
        came = {"double": [datagram, datagram], "cut": [datagram[: self._rng.randrange(len(datagram))]]}
        return came.get(self._kind, []) + late

    def answers(self, datagram: bytes) -> list[bytes]:
        content = b"".join(self.model.exchange(whole(come), 0) for come in self.passed(datagram, False))
        frames = [part + b"\0" for part in content.split(b"\0")[:-1]]
        return [come for answer in frames for come in self.passed(answer, True)]


@contextmanager
def listening(served: Served) -> Iterator[int]:
    """Its port, while it is served in a thread."""
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind((HERE, 0))

        def serve() -> None:
            while not over.is_set():
                if select.select([port], [], [], 0.02)[0]:
                    content, address = port.recvfrom(4096)
                    for answer in served.answers(content):
                        port.sendto(answer, address)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield port.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("one_in", [100, 10])
@pytest.mark.parametrize("kind", FAULTS)
def test_what_was_written_is_there_whatever_happens_to_datagrams(kind: str, one_in: int):
    served = Served(kind, one_in)
    content = random.Random(2).randbytes(50_000)
    with listening(served) as port, Connection(UdpTransport(HERE, port), timeout=0.02) as connection:
        for _ in range(3):
            connection.write(3, content)
        assert connection.read(3, len(content)) == content
        assert served.model.peek(3, len(content)) == content
    assert served.spoiled > 0
    # A doubled datagram costs nothing; what is lost costs the rest of the window at most.
    assert connection.statistics.resent == 0 if kind == "double" else connection.statistics.resent > 0


def test_datagrams_from_elsewhere_never_arrive():
    with listening(Served()) as port, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((HERE, 0))
        transport = UdpTransport(HERE, port)
        own = transport._socket.getsockname()
        stranger.sendto(b"anything", own)
        assert transport.read(0.05) == b""
        transport.close()


def test_nobody_listens():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind((HERE, 0))
        port = gone.getsockname()[1]
    with pytest.raises(TransportError, match=f"Nothing listens at {HERE}:{port} .*: start the device first"):
        Connection(UdpTransport(HERE, port), timeout=0.05)


def test_nobody_answers():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HERE, 0))
        with pytest.raises(NoAnswer, match="check that it has power, the cable, that `ping 127.0.0.1` is answered"):
            Connection(UdpTransport(HERE, silent.getsockname()[1]), timeout=0.01)


def test_no_way_there(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(TransportError, match=f"There is no way to {HERE}:7 .Network is unreachable.: check the cable"):
        UdpTransport(HERE, 7)


def test_who_is_there():
    served = Served()
    session = 0xABCD
    served.model.exchange(frame(Request(session, 0, Command.OPEN).to_bytes()), 0)
    with listening(served) as port:
        (found,) = found_boards(0.2, [HERE], port)
    assert (found.host, found.identity) == (HERE, IDENTITY)
    assert served.model.session == session  # it is whose it was


def test_what_is_no_board_is_not_found():
    class Other(Served):
        def answers(self, datagram: bytes) -> list[bytes]:
            rng = random.Random(len(datagram))
            refused = Answer(1, 0, Status.WRONG_SESSION, 0).to_bytes()
            short = Answer(1, 0, Status.DONE, 0, payload=PROTOCOL_VERSION.to_bytes(2, "little")).to_bytes()
            return [b"", b"\0", rng.randbytes(2000), frame(refused), frame(short), frame(short)[:-3]]

    with listening(Other()) as port:
        assert found_boards(0.1, [HERE], port) == []


def test_a_board_of_another_version_is_told():
    class Newer(Served):
        def answers(self, datagram: bytes) -> list[bytes]:
            payload = (PROTOCOL_VERSION + 1).to_bytes(2, "little") + bytes(50)
            return [frame(Answer(NO_SESSION, 0, Status.DONE, 0, payload=payload).to_bytes())]

    with listening(Newer()) as port:
        (found,) = found_boards(0.2, [HERE], port)
    assert found.identity is None


def test_this_computer_is_asked_too():
    assert broadcast_addresses()[0] == "255.255.255.255" and broadcast_addresses()[-1] == HERE


def test_an_upload_fills_the_line_at_a_round_trip_of_a_millisecond():
    """docs/ethernet.md, "The window": in the board's time, the gateware at the other end."""
    round_trip = 0.001
    emulation = Emulation(LinkBoard(), 16 << ADDRESS_BITS)
    connection = Connection(EthernetLink(emulation, CLOCK_MHZ, round_trip))
    count = 60
    content = random.Random(3).randbytes(count * MAX_PAYLOAD)
    begun = connection.now()
    connection.write(0, content)
    seconds = connection.now() - begun
    emulation.run(1000)
    assert emulation.read_memory(0, len(content)) == content and connection.statistics.resent == 0
    longest = 8 * line_bytes(frame_bytes(REQUEST.size + MAX_PAYLOAD + CRC_BYTES)) / LINE_BITS_A_SECOND
    # The last answer comes late once; until then the line has no gap.
    assert seconds < count * longest + round_trip + 0.0002
    assert count * MAX_PAYLOAD / (seconds - round_trip) > 11.4e6
    connection.close()
    emulation.close()
