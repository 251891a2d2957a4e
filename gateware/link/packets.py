"""The link's packets, defined once: gateware, host and docs/link.md derive from this file.

A request is a header of 10 bytes, a payload and a CRC; an answer a header of 8 bytes, a payload and a CRC. Integers are
little endian. The CRC is CRC-32 (ISO-HDLC, that of Ethernet and zlib) of header and payload. On the line a packet is a
frame of `gateware.link.framing`.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

from amaranth.lib import data
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC

from gateware.config import BEAT_BYTES
from gateware.isa import ErrorCode

__all__ = [
    "ANSWER",
    "CRC_BYTES",
    "DATA_COMMANDS",
    "IDENTITY",
    "MAX_PACKET",
    "MAX_PAYLOAD",
    "NO_SESSION",
    "PACKET_CRC",
    "PROTOCOL_VERSION",
    "REQUEST",
    "WINDOW",
    "Answer",
    "Command",
    "ErrorCode",
    "Header",
    "HeaderField",
    "Identity",
    "MachineState",
    "PacketError",
    "Request",
    "Status",
]

PROTOCOL_VERSION = 1
MAX_PAYLOAD = 1008
"""Bytes: 63 beats, so that a packet with header and CRC fits the receiver's slot of 1,024 bytes."""
PACKET_CRC = CRC32_ISO_HDLC
"""What `zlib.crc32` computes."""
CRC_BYTES = 4
WINDOW = 32
"""Requests under way at most, and how many outcomes the device remembers."""
NO_SESSION = 0
"""The device's session after power-on; no host chooses it. IDENTIFY in it is answered to anybody, in any session."""


class Command(enum.IntEnum):
    """What a request asks for."""

    OPEN = 0
    IDENTIFY = 1
    STATUS = 2
    COUNTERS = 3
    READ = 4
    WRITE = 5
    RUN = 6
    STOP = 7
    RESET = 8
    CONTROL_READ = 9
    CONTROL_WRITE = 10


DATA_COMMANDS = frozenset({Command.IDENTIFY, Command.COUNTERS, Command.READ, Command.CONTROL_READ})
"""Commands whose answers have a payload."""


class Status(enum.IntEnum):
    """What became of a request. OUT_OF_ORDER and WRONG_SESSION: it was not looked at; any other: it was handled."""

    DONE = 0
    OUT_OF_ORDER = 1
    WRONG_SESSION = 2
    UNKNOWN_COMMAND = 3
    WRONG_LENGTH = 4
    ADDRESS_RANGE = 5
    MISALIGNED = 6
    BUSY = 7
    MEMORY_TIMEOUT = 8
    CONTROL_ERROR = 9
    CONTROL_TIMEOUT = 10


class PacketError(ValueError):
    """Bytes that are no packet, or a packet that cannot be made; the message is one sentence."""


@dataclass(frozen=True)
class HeaderField:
    """A field of a header: ``size`` in bytes, and its meaning."""

    name: str
    size: int
    text: str


@dataclass(frozen=True)
class Header:
    """A sequence of fields without gaps, the first byte first."""

    fields: tuple[HeaderField, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(field.size for field in self.fields)

    @property
    def format(self) -> struct.Struct:
        """For `struct`."""
        return struct.Struct("<" + "".join({1: "B", 2: "H", 4: "I"}[field.size] for field in self.fields))

    @property
    def layout(self) -> data.StructLayout:
        """The same bytes in gateware, the first one lowest."""
        return data.StructLayout({field.name: 8 * field.size for field in self.fields})


REQUEST = Header(
    (
        HeaderField("session", 2, "what OPEN has begun; not 0"),
        HeaderField("sequence", 1, "one more than the request's before, modulo 256; OPEN chooses the first"),
        HeaderField("command", 1, "a `Command`"),
        HeaderField(
            "address",
            4,
            "in bytes: of memory (READ, WRITE), the program (RUN), a register (CONTROL_*); else 0",
        ),
        HeaderField("length", 2, "bytes: of the payload, for READ of the answer's payload"),
    )
)
ANSWER = Header(
    (
        HeaderField("session", 2, "the device's session; for OUT_OF_ORDER and WRONG_SESSION too"),
        HeaderField("sequence", 1, "the request's"),
        HeaderField("status", 1, "a `Status`"),
        HeaderField("following", 1, "the sequence number of the request that the device waits for"),
        HeaderField("state", 1, "the machine's: bit 7 while a program runs, bits 3..0 why the last one stopped"),
        HeaderField("length", 2, "bytes of the payload"),
    )
)
IDENTITY = Header(
    (
        HeaderField("version", 2, "`PROTOCOL_VERSION`"),
        HeaderField("max_payload", 2, "bytes"),
        HeaderField("fingerprint", 4, "of the configuration, as programs carry it"),
        HeaderField("memory_beats", 4, "size of the memory in beats of 16 bytes"),
        HeaderField("clock_khz", 4, "of the machine"),
        HeaderField("counters", 2, "how many, of 32 bits each"),
        HeaderField("window", 2, "`WINDOW`"),
    )
)
MAX_PACKET = REQUEST.size + MAX_PAYLOAD + CRC_BYTES


def _sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def _opened(packet: bytes, header: Header) -> tuple[tuple[int, ...], bytes]:
    """Fields and payload of a packet whose CRC is right."""
    least = header.size + CRC_BYTES
    if not least <= len(packet) <= header.size + MAX_PAYLOAD + CRC_BYTES:
        raise PacketError(f"A packet of {len(packet)} bytes is no packet: it has {least} bytes at least.")
    body, crc = packet[:-CRC_BYTES], struct.unpack("<I", packet[-CRC_BYTES:])[0]
    if zlib.crc32(body) != crc:
        raise PacketError(f"The CRC of a packet is {crc:#010x}, and its bytes give {zlib.crc32(body):#010x}.")
    return header.format.unpack(body[: header.size]), body[header.size :]


@dataclass(frozen=True)
class Request:
    """A request without its CRC; see `REQUEST`. ``length`` is the payload's where it is not given.

    Raises PacketError for a field that does not fit.
    """

    session: int
    sequence: int
    command: int
    address: int = 0
    payload: bytes = b""
    length: int | None = None

    def to_bytes(self) -> bytes:
        """With the CRC."""
        length = len(self.payload) if self.length is None else self.length
        if len(self.payload) > MAX_PAYLOAD:
            raise PacketError(f"A payload has at most {MAX_PAYLOAD} bytes, not {len(self.payload)}; send it in parts.")
        try:
            head = REQUEST.format.pack(self.session, self.sequence, self.command, self.address, length)
        except struct.error as error:
            raise PacketError(f"A field of {self} does not fit its width ({error}).") from None
        return _sealed(head + self.payload)

    @classmethod
    def from_bytes(cls, packet: bytes) -> Request:
        """Raises PacketError where length or CRC are wrong; the fields may hold anything."""
        (session, sequence, command, address, length), payload = _opened(packet, REQUEST)
        return cls(session, sequence, command, address, payload, length)


@dataclass(frozen=True)
class MachineState:
    """Whether a program runs, and why the last one stopped."""

    busy: bool = False
    error: int = ErrorCode.NONE

    def to_byte(self) -> int:
        return self.busy << 7 | self.error

    @classmethod
    def from_byte(cls, byte: int) -> MachineState:
        return cls(bool(byte >> 7), byte & 15)


@dataclass(frozen=True)
class Answer:
    """An answer without its CRC; see `ANSWER`."""

    session: int
    sequence: int
    status: int
    following: int
    state: MachineState = MachineState()
    payload: bytes = b""

    def to_bytes(self) -> bytes:
        """With the CRC."""
        fields = (self.session, self.sequence, self.status, self.following, self.state.to_byte(), len(self.payload))
        return _sealed(ANSWER.format.pack(*fields) + self.payload)

    @classmethod
    def from_bytes(cls, packet: bytes) -> Answer:
        """Raises PacketError where a length or the CRC is wrong."""
        (session, sequence, status, following, state, length), payload = _opened(packet, ANSWER)
        if length != len(payload):
            raise PacketError(f"An answer says that it has {length} bytes, and it has {len(payload)}.")
        return cls(session, sequence, status, following, MachineState.from_byte(state), payload)


@dataclass(frozen=True)
class Identity:
    """What a device says of itself; see `IDENTITY`."""

    version: int
    max_payload: int
    fingerprint: int
    memory_beats: int
    clock_khz: int
    counters: int
    window: int

    @property
    def memory_bytes(self) -> int:
        return BEAT_BYTES * self.memory_beats

    def to_bytes(self) -> bytes:
        """Raises PacketError for a field that does not fit."""
        try:
            return IDENTITY.format.pack(*(getattr(self, field.name) for field in IDENTITY.fields))
        except struct.error as error:
            raise PacketError(f"A field of {self} does not fit its width ({error}).") from None

    @classmethod
    def from_bytes(cls, payload: bytes) -> Identity:
        """Raises PacketError where the length is wrong."""
        if len(payload) != IDENTITY.size:
            raise PacketError(f"An identity has {IDENTITY.size} bytes, not {len(payload)}.")
        return cls(*IDENTITY.format.unpack(payload))
