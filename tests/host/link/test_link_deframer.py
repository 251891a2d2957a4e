"""What the host makes of bytes that may be anything: only answers that were sent, and never too much kept."""

import random

import pytest

from gateware.link.framing import frame
from gateware.link.packets import MAX_PAYLOAD, Answer, MachineState
from host.link.deframer import LONGEST, Deframer
from tests.host.faults.faulty_channel import spoiled

PACKETS = 10_000


def answer(rng: random.Random) -> Answer:
    payload = rng.randbytes(rng.choice([0, 0, 4, 60, rng.randrange(MAX_PAYLOAD + 1), MAX_PAYLOAD]))
    state = MachineState(rng.random() < 0.5, rng.randrange(16))
    return Answer(rng.getrandbits(16), rng.randrange(256), rng.randrange(256), rng.randrange(256), state, payload)


def in_pieces(content: bytes, rng: random.Random):
    place = 0
    while place < len(content):
        size = rng.choice([1, 2, 100, 5000])
        yield content[place : place + size]
        place += size


def test_ten_thousand_packets():
    rng = random.Random(1)
    print("seed 1")
    deframer, content, sent, whole = Deframer(), bytearray(), [], 0
    for _ in range(PACKETS):
        one = answer(rng)
        sent.append(one)
        line = frame(one.to_bytes())
        if rng.random() < 0.5:
            line = spoiled(line, rng)
        elif content.endswith(b"\0"):
            whole += 1
        content += line
    got = [found for piece in in_pieces(bytes(content), rng) for found in deframer.feed(piece)]
    assert set(got) <= set(sent)
    assert len(got) >= whole
    assert deframer.damaged > PACKETS // 4


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_it_keeps_no_more_than_a_frame(size: int):
    deframer = Deframer()
    for _ in range(200_000 // size):
        assert list(deframer.feed(b"\x01" * size)) == []
        assert len(deframer._begun) <= LONGEST
    one = answer(random.Random(1))
    assert list(deframer.feed(b"\0" + frame(one.to_bytes()))) == [one]
    assert deframer.damaged == 1


def test_the_longest_answer_is_no_longer():
    longest = Answer(0xFFFF, 255, 255, 255, MachineState(True, 15), b"\xff" * MAX_PAYLOAD)
    line = frame(longest.to_bytes())
    assert len(line) - 1 == LONGEST
    assert list(Deframer().feed(line)) == [longest]
