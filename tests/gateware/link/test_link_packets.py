"""The packets and frames: their bytes, what is refused, and the tables of docs/link.md."""

import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateware.link.framing import LONGEST_RUN, FramingError, decode, encode, frame
from gateware.link.packets import (
    ANSWER,
    IDENTITY,
    MAX_PAYLOAD,
    REQUEST,
    WINDOW,
    Answer,
    Command,
    Header,
    Identity,
    MachineState,
    PacketError,
    Request,
    Status,
)

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "link.md").read_text()


def rows(after: str) -> list[list[str]]:
    """The cells of the first table after a line of the page that begins so."""
    lines = PAGE[PAGE.index(after) :].splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


@pytest.mark.parametrize(
    ("after", "header"), [("## Requests", REQUEST), ("## Answers", ANSWER), ("The identity:", IDENTITY)]
)
def test_the_page_has_the_headers(after: str, header: Header):
    expected, byte = [], 0
    for field in header.fields:
        expected.append([str(byte), field.name, str(field.size), field.text])
        byte += field.size
    assert rows(after) == expected


@pytest.mark.parametrize(
    ("after", "kind"), [("After the header comes", Command), ("The payload and the CRC follow", Status)]
)
def test_the_page_has_the_codes(after: str, kind: type[Command] | type[Status]):
    assert [(name, int(code)) for name, code, *_ in rows(after)] == [(member.name, member.value) for member in kind]


def test_the_page_has_the_sizes():
    assert f"The status of the last {WINDOW} requests".lower() in PAGE.replace("\n", " ").lower()
    assert f"payload, up to {MAX_PAYLOAD:,} bytes" in PAGE
    full = len(frame(Request(0x0101, 1, Command.WRITE, 0x01010101, bytes([1]) * MAX_PAYLOAD).to_bytes()))
    assert f"{full:,} bytes for {MAX_PAYLOAD:,}, {100 * MAX_PAYLOAD / full:.1f} % of the line" in PAGE.replace(
        "\n", " "
    )


def test_bytes_of_a_request():
    body = bytes.fromhex("3412 56 05 04030201 0300 aabbcc".replace(" ", ""))
    request = Request(0x1234, 0x56, Command.WRITE, 0x01020304, b"\xaa\xbb\xcc")
    assert request.to_bytes() == body + zlib.crc32(body).to_bytes(4, "little")
    assert Request.from_bytes(request.to_bytes()).payload == b"\xaa\xbb\xcc"


def test_bytes_of_an_answer():
    body = bytes.fromhex("3412 56 07 57 82 0200 aabb".replace(" ", ""))
    answer = Answer(0x1234, 0x56, Status.BUSY, 0x57, MachineState(True, 2), b"\xaa\xbb")
    assert answer.to_bytes() == body + zlib.crc32(body).to_bytes(4, "little")
    assert Answer.from_bytes(answer.to_bytes()) == answer


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Request(1, 256, Command.RUN).to_bytes(), "does not fit its width"),
        (lambda: Request(1, 1, Command.RUN, -1).to_bytes(), "does not fit its width"),
        (lambda: Request(1, 1, Command.WRITE, 0, bytes(1009)).to_bytes(), "at most 1008 bytes, not 1009; send it in"),
        (lambda: Request.from_bytes(bytes(13)), "13 bytes is no packet: it has 14 bytes at least"),
        (lambda: Request.from_bytes(bytes(1023)), "1023 bytes is no packet"),
        (lambda: Request.from_bytes(bytes(14)), "CRC of a packet is 0x00000000, and its bytes give 0xe38a6876"),
        (lambda: Answer.from_bytes(with_crc(bytes([0, 0, 0, 0, 0, 0, 2, 0, 1]))), "that it has 2 bytes, and it has 1"),
        (lambda: Identity.from_bytes(bytes(19)), "An identity has 20 bytes, not 19"),
        (lambda: Identity(1, 2, 3, 4, 1 << 32, 6, 7).to_bytes(), "does not fit its width"),
    ],
)
def test_what_is_no_packet(make, sentence: str):
    with pytest.raises(PacketError, match=sentence):
        make()


def with_crc(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


# From the paper's definition, by hand.
FRAMES = [
    (b"", b"\x01"),
    (b"\0", b"\x01\x01"),
    (b"\0\0", b"\x01\x01\x01"),
    (b"a", b"\x02a"),
    (b"a\0", b"\x02a\x01"),
    (b"\0a", b"\x01\x02a"),
    (b"ab\0c", b"\x03ab\x02c"),
    (b"x" * 253, b"\xfe" + b"x" * 253),
    (b"x" * 254, b"\xff" + b"x" * 254 + b"\x01"),
    (b"x" * 254 + b"\0", b"\xff" + b"x" * 254 + b"\x01\x01"),
    (b"x" * 255, b"\xff" + b"x" * 254 + b"\x02x"),
]


@pytest.mark.parametrize(("packet", "stuffed"), FRAMES, ids=lambda content: f"{len(content)} bytes")
def test_frames(packet: bytes, stuffed: bytes):
    assert encode(packet) == stuffed
    assert decode(stuffed) == packet


@given(st.lists(st.sampled_from([b"\0", b"a", b"b" * 100, b"c" * 254, b"d" * 255, b"\0" * 3])).map(b"".join))
def test_any_packet_comes_back(packet: bytes):
    stuffed = encode(packet)
    assert decode(stuffed) == packet
    assert 0 not in stuffed
    assert len(stuffed) <= len(packet) + 1 + len(packet) // LONGEST_RUN


@given(st.binary(max_size=600))
def test_any_bytes_are_a_packet_or_refused(stuffed: bytes):
    try:
        packet = decode(stuffed)
    except FramingError as error:
        assert re.fullmatch(r"A frame of \d+ bytes ends inside a run of -?\d+\.", str(error))
    else:
        assert not stuffed or 0 not in stuffed
        assert len(packet) < max(1, len(stuffed))
