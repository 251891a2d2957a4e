"""Packets that no host and no device sends, to the parsers at both ends of the link."""

from __future__ import annotations

import random

from gateware.link.framing import DELIMITER, FramingError, decode, frame
from gateware.link.packets import Answer, MachineState, PacketError, Request, Status
from host.faults.bench import Bench, Row
from host.faults.channel import spoiled
from host.link.deframer import Deframer

__all__ = ["packets_to_the_device", "packets_to_the_host"]


def packets_to_the_device(bench: Bench, short: bool) -> Row:
    """Random bytes, spoiled packets of the session, and whole ones of others, between frames."""
    packets = 300 if short else 10_000
    row = Row(f"{packets:,} random and mutated packets to the device", faults=packets)
    bench.fresh()
    line = bench.line()
    device = bench.device(line)
    device.load_program(bench.program, "the program")
    kept = [line.last]
    batch = packets // (2 if short else 20)
    for begin in range(0, packets, batch):
        for _ in range(min(batch, packets - begin)):
            line.write(_packet(bench.rng, kept))
        if not bench.attempt(row, device, lambda: bench.exact(device)):
            bench.recover(row, device)
        kept = [*kept[-50:], line.last]
    bench.recover(row, device, load=not device.connection.is_open)
    return row


def _packet(rng: random.Random, kept: list[bytes]) -> bytes:
    """What no host of this session sends: never a whole packet of it, which the device would rightly carry out."""
    kind = rng.random()
    if kind < 0.2:
        return rng.randbytes(rng.choice([1, 10, 200]))
    if kind < 0.4:
        content = rng.randbytes(rng.choice([0, 4, 100]))
        address, length = rng.getrandbits(32), rng.getrandbits(16)
        # Any command but OPEN, which would rightly take the device; `second_host` has that.
        whole = Request(rng.getrandbits(16), rng.randrange(256), rng.randrange(1, 256), address, content, length)
        return frame(whole.to_bytes())
    while True:
        content = spoiled(rng.choice(kept), rng)
        if not any(_whole(piece) for piece in content.split(bytes([DELIMITER]))):
            return content


def _whole(stuffed: bytes) -> bool:
    try:
        Request.from_bytes(decode(stuffed))
    except (FramingError, PacketError):
        return False
    return True


def packets_to_the_host(bench: Bench, short: bool) -> Row:
    """Answers, random and mutated, to the host's parser: it gives those that came whole, and nothing else."""
    packets = 1000 if short else 10_000
    row = Row(f"{packets:,} random and mutated packets to the host", faults=packets)
    deframer = Deframer()
    for _ in range(packets):
        payload = bench.rng.randbytes(bench.rng.choice([0, 0, 4, 60, 1008]))
        state = MachineState(bench.rng.random() < 0.5, bench.rng.randrange(16))
        status = bench.rng.choice([*Status, 99])
        answer = Answer(bench.rng.getrandbits(16), bench.rng.randrange(256), status, 0, state, payload)
        right = frame(answer.to_bytes())
        content = bench.rng.choice([right, spoiled(right, bench.rng), bench.rng.randbytes(40)])
        row.exact += 1
        for found in deframer.feed(content + bytes([DELIMITER])):
            if found != answer:
                row.wrong, row.exact = row.wrong + 1, row.exact - 1
    row.require(deframer.damaged > packets // 4, "too few packets were damaged")
    bench.fresh()
    bench.recover(row, bench.device(bench.line()))
    return row
