"""Ten thousand packets, right, wrong and spoiled, to the gateware: it answers what docs/link.md says, byte for byte."""

import random
import struct
import zlib

from gateware.link.framing import frame
from gateware.link.packets import MAX_PAYLOAD, NO_SESSION, Command, Request
from tests.gateware.link.link_board import ADDRESS_BITS, REGISTERS, Counter
from tests.host.devices.link_devices import CLOCK_HZ, DeviceModel, EmulatedDevice
from tests.host.faults.faulty_channel import spoiled

PACKETS = 10_000
BATCH = 50
DRAIN = 12_000 / CLOCK_HZ  # seconds in which a batch's last answers have come
SESSION = 0xC0B5


def payload_length(rng: random.Random) -> int:
    return rng.choice([0, 0, 1, 4, 4, 16, 17, rng.randrange(300), MAX_PAYLOAD - 1, MAX_PAYLOAD])


def request(rng: random.Random, following: int) -> bytes:
    """A packet with a right CRC, and fields that are often right."""
    command = rng.choice([*Command, *[Command.READ, Command.WRITE] * 3, rng.randrange(256)])
    payload = b""
    if command in (Command.WRITE, Command.CONTROL_WRITE) or rng.random() < 0.05:
        payload = rng.choice([rng.randbytes(4), rng.randbytes(payload_length(rng)), bytes(payload_length(rng))])
    length = len(payload) if command != Command.READ else rng.choice([1, 7, 64, rng.randrange(1, 400)])
    if rng.random() < 0.05:
        length = rng.choice([0, 1, 4, len(payload) + 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 0xFFFF])
    memory = 16 << ADDRESS_BITS
    if command in (Command.CONTROL_READ, Command.CONTROL_WRITE):
        address = rng.choice([4 * rng.randrange(REGISTERS), 0x100, rng.randrange(8)])
    elif command == Command.RUN:
        address = 16 * rng.randrange(memory // 8)
    else:
        inside = memory - min(length, memory)
        address = rng.choice([*[rng.randrange(inside)] * 5, inside, inside + 1, rng.getrandbits(32)])
    session = SESSION if rng.random() < 0.97 else rng.choice([NO_SESSION, rng.getrandbits(16)])
    if command == Command.OPEN and rng.random() < 0.8:
        session = SESSION
    number = (following + rng.choice([0] * 25 + [-1, -2, -20, -32, -33, 1, rng.randrange(256)])) % 256
    return Request(session, number, command, address % (1 << 32), payload, length).to_bytes()


def any_packet(rng: random.Random) -> bytes:
    """Right CRC, wrong length."""
    body = rng.randbytes(rng.choice([0, 1, 4, 9, 10, 11, MAX_PAYLOAD + 10, MAX_PAYLOAD + 11, MAX_PAYLOAD + 200]))
    return body + struct.pack("<I", zlib.crc32(body))


def line(rng: random.Random, following: int) -> bytes:
    """What goes over the line for one packet."""
    kind = rng.random()
    if kind < 0.7:
        return frame(request(rng, following))
    if kind < 0.75:
        return frame(any_packet(rng))
    if kind < 0.95:
        return spoiled(frame(request(rng, following)), rng)
    return rng.randbytes(rng.choice([1, 10, 1500]))


def test_ten_thousand_packets():
    seed = 1
    print(f"seed {seed}")
    rng = random.Random(seed)
    model, gateware = DeviceModel(), EmulatedDevice()
    opening = frame(Request(SESSION, 0, Command.OPEN).to_bytes())
    model.exchange(opening, 0)
    gateware.exchange(opening, DRAIN)
    answers = 0
    for begin in range(0, PACKETS, BATCH):
        sent, expected = b"", b""
        for _ in range(BATCH):
            content = line(rng, model.following)
            sent += content
            expected += model.exchange(content, 0)
        if model.session != SESSION:
            content = b"\0" + frame(Request(SESSION, model.following, Command.OPEN).to_bytes())
            sent, expected = sent + content, expected + model.exchange(content, 0)
        expected += model.exchange(b"\0", 0)
        got = gateware.exchange(sent + b"\0", DRAIN)
        assert got == expected, f"packets {begin} to {begin + BATCH}"
        answers += expected.count(b"\0")
    assert answers > PACKETS // 2
    assert gateware.peek(0, 16 << ADDRESS_BITS) == model.peek(0, 16 << ADDRESS_BITS)
    assert model.counters[Counter.STARTS] > 50 and model.counters[Counter.CONTROL_WRITES] > 50
    gateware.close()
