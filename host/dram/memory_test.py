"""A test of a device's memory over the link: data lines, address lines, every cell of a range."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gateware.config import BEAT_BYTES
from host.command.errors import HostError

__all__ = ["LEAST_BYTES", "Memory", "memory_test"]

LEAST_BYTES = 2 * 8 * BEAT_BYTES * BEAT_BYTES  # what the walking bits take
PIECE = 1 << 14  # bytes that go over between two looks at the progress

Pieces = Callable[[], Iterator[tuple[int, bytes]]]


class Memory(Protocol):
    """Bytes at addresses; the host's `Connection` is one. Both raise HostError."""

    def read(self, address: int, length: int) -> bytes: ...

    def write(self, address: int, content: bytes) -> None: ...


@dataclass(frozen=True)
class _Test:
    """What is at fault where it fails, and what each piece of memory is to hold: address and content.

    ``found``: what is to be there afterwards, where that is not piece for piece what was written.
    """

    name: str
    suspect: str
    pieces: Pieces
    bytes: int
    found: Pieces | None = None


def walking_bits() -> Iterator[tuple[int, bytes]]:
    """A single 1 and a single 0 at each place of a beat, from address 0 on."""
    beats = bytearray()
    for bit in range(8 * BEAT_BYTES):
        one = 1 << bit
        beats += one.to_bytes(BEAT_BYTES, "little") + (one ^ ((1 << 8 * BEAT_BYTES) - 1)).to_bytes(BEAT_BYTES, "little")
    yield 0, bytes(beats)


def single_bytes() -> Iterator[tuple[int, bytes]]:
    """Beats of bytes that tell their places, and over them one byte into each, at another place of each."""
    yield 0, bytes(range(BEAT_BYTES * BEAT_BYTES))
    for place in range(BEAT_BYTES):
        yield (BEAT_BYTES + 1) * place, bytes([0xFF - 3 * place])


def single_bytes_found() -> Iterator[tuple[int, bytes]]:
    """What `single_bytes` leaves."""
    found = bytearray(BEAT_BYTES * BEAT_BYTES)
    for address, content in single_bytes():
        found[address : address + len(content)] = content
    yield 0, bytes(found)


def powers_of_two(memory_bytes: int) -> Iterator[tuple[int, bytes]]:
    """A beat at 0 and at each power of two of the whole memory, with its address and the address's complement."""
    addresses = [0]
    while (step := max(BEAT_BYTES, 2 * addresses[-1])) < memory_bytes:
        addresses.append(step)
    for address in addresses:
        yield address, address.to_bytes(8, "little") + (address ^ ((1 << 64) - 1)).to_bytes(8, "little")


def own_addresses(size: int) -> Iterator[tuple[int, bytes]]:
    """Words of 64 bits, each its own address."""
    for first in range(0, size, PIECE):
        yield first, np.arange(first, min(first + PIECE, size), 8, dtype="<u8").tobytes()


def random_bytes(size: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """The same for the same seed."""
    rng = random.Random(seed)
    for first in range(0, size, PIECE):
        yield first, rng.randbytes(min(PIECE, size - first))


def memory_test(
    memory: Memory, memory_bytes: int, size: int, seed: int, moved: Callable[[int, int], None] = lambda done, of: None
) -> list[str]:
    """Writes all pieces of a test, then reads all of them, so that a cell which another one overwrites is found.

    Parameters
    ----------
    memory : what was in it is lost
    memory_bytes : all of it
    size : bytes from 0 on in which every cell is tried, a multiple of 16
    seed : of the random bytes
    moved : is told how many bytes have gone over, and of how many, each way counted

    Returns
    -------
    The names of the tests.

    Raises
    ------
    HostError : a byte came back as another: the first address, what was written, what was read
    """
    if size % BEAT_BYTES or not LEAST_BYTES <= size <= memory_bytes:
        raise HostError(
            f"The memory test takes a multiple of {BEAT_BYTES} bytes, {LEAST_BYTES} to the device's {memory_bytes}, "
            f"not {size}: choose another --size."
        )
    tests = [
        _Test("walking bits", "a data line", walking_bits, LEAST_BYTES),
        _Test(
            "single bytes",
            "a byte lane that changed places, or its mask",
            single_bytes,
            BEAT_BYTES * (BEAT_BYTES + 1),
            single_bytes_found,
        ),
        _Test(
            "address lines",
            "an address line",
            lambda: powers_of_two(memory_bytes),
            BEAT_BYTES * memory_bytes.bit_length(),
        ),
        _Test("address in address", "an address line or a cell", lambda: own_addresses(size), size),
        _Test(f"random bytes, seed {seed}", "a cell, or timing", lambda: random_bytes(size, seed), size),
    ]
    done, total = 0, 2 * sum(test.bytes for test in tests)
    for test in tests:
        for address, content in test.pieces():
            memory.write(address, content)
            done += len(content)
            moved(done, total)
        for address, content in (test.found or test.pieces)():
            found = memory.read(address, len(content))
            _compare(test, address, content, found)
            done += len(content)
            moved(done, total)
    moved(total, total)
    return [test.name for test in tests]


def _compare(test: _Test, address: int, content: bytes, found: bytes) -> None:
    different = np.flatnonzero(np.frombuffer(content, np.uint8) != np.frombuffer(found, np.uint8))
    if len(different):
        at = int(different[0])
        raise HostError(
            f"The memory is at fault ({test.name}): at address {address + at:#x} {content[at]:#04x} was written and "
            f"{found[at]:#04x} read, and {len(different)} of {len(content)} bytes there differ; suspect "
            f"{test.suspect}, and bring the memory up again."
        )
