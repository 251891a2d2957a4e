"""The link with several partners: whose a session is, and for whom an answer is."""

import random

from gateware.link.datagrams import PEER_BITS
from gateware.link.framing import frame
from gateware.link.packets import MAX_PAYLOAD, NO_SESSION, Answer, Command, Identity, Request, Status
from host.link.deframer import Deframer
from tests.gateware.link.link_board import IDENTITY
from tests.host.devices.link_devices import DeviceModel, EmulatedDevice

LONG = 20_000  # cycles in which any answer has come
SESSIONS = (0x0A0A, 0x0B0B)


def asked(device: EmulatedDevice, peer: int, request: bytes) -> tuple[bytes, int]:
    """The answer, and for whom it is; its length is the one that was said when its first byte came."""
    board = device.emulation
    board.set_input("peers__sender", peer)
    board.send(request)
    board.run(LONG, 1)
    receiver, length = board.output("peers__receiver"), board.output("peers__length")
    board.run(LONG, length)
    content = board.receive()
    assert len(content) == length and content.index(0) == length - 1
    return content, receiver


def a_request(rng: random.Random, following: int) -> Request:
    kind = rng.random()
    if kind < 0.15:
        return Request(rng.choice(SESSIONS), rng.randrange(256), Command.OPEN)
    if kind < 0.3:
        return Request(NO_SESSION, rng.randrange(256), Command.IDENTIFY, length=rng.choice([0, 0, 0, 5]))
    number = (following + rng.choice([0, 0, 0, 0, 0, -1, -2, 1])) % 256
    session = rng.choice([*SESSIONS, *SESSIONS, NO_SESSION])
    if rng.random() < 0.5:
        return Request(session, number, rng.choice([Command.STATUS, Command.COUNTERS, Command.IDENTIFY]))
    if rng.random() < 0.5:
        return Request(session, number, Command.READ, rng.randrange(1000), length=rng.choice([1, 255, MAX_PAYLOAD]))
    return Request(session, number, Command.WRITE, rng.randrange(1000), rng.randbytes(rng.choice([1, 40, MAX_PAYLOAD])))


def test_each_answer_goes_to_whom_it_is_for():
    rng, model, gateware = random.Random(1), DeviceModel(), EmulatedDevice()
    opened = refused = greeted = 0
    for _ in range(600):
        peer = rng.choice([0, 0, 1, (1 << PEER_BITS) - 1])
        request = a_request(rng, model.following)
        model.peer = peer
        expected = model.exchange(frame(request.to_bytes()), 0)
        content, receiver = asked(gateware, peer, frame(request.to_bytes()))
        assert (content, receiver) == (expected, peer), request
        status = next(Deframer().feed(content)).status
        opened += request.command == Command.OPEN and status == Status.DONE
        refused += request.session == model.session and status == Status.WRONG_SESSION
        greeted += request.session == NO_SESSION and status == Status.DONE
    assert min(opened, refused, greeted) > 30, (opened, refused, greeted)
    gateware.close()


def test_who_is_there_is_answered_beside_a_session():
    device = EmulatedDevice()
    opening = frame(Request(SESSIONS[0], 0, Command.OPEN).to_bytes())
    first = frame(Request(SESSIONS[0], 1, Command.STATUS).to_bytes())
    asked(device, 1, opening)
    kept, _ = asked(device, 1, first)
    content, receiver = asked(device, 2, frame(Request(NO_SESSION, 77, Command.IDENTIFY).to_bytes()))
    (answer,) = Deframer().feed(content)
    assert isinstance(answer, Answer) and receiver == 2 and (answer.session, answer.sequence) == (SESSIONS[0], 77)
    assert Identity.from_bytes(answer.payload) == IDENTITY
    # The answer that the session may ask for again is still there.
    assert asked(device, 1, first) == (kept, 1)
    device.close()
