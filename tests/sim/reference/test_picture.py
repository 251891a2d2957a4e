"""Pictures as people have them: turned, deep, transparent, animated, too large, damaged."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sim.reference.errors import UserError
from sim.reference.picture import MOST_PIXELS, decode_picture, read_picture
from sim.reference.preprocess import Preprocessing

WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)
GREY, COLOURS = 0, 2  # of a PNG


def png(kind: int, depth: int, size: tuple[int, int], samples: bytes, hole: bytes = b"") -> bytes:
    """A PNG of one row, which Pillow cannot write with 16 bits a colour; `hole` is the transparent colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0))
    middle = chunk(b"tRNS", hole) if hole else b""
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", zlib.compress(b"\0" + samples)) + chunk(b"IEND", b"")


def pixels(content: bytes, path: Path) -> list[tuple[int, ...]]:
    """Of the first row."""
    path.write_bytes(content)
    image = read_picture(path)
    assert image.mode == "RGB"
    return [tuple(colour) for colour in np.asarray(image)[0].tolist()]


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize(("form", "orientation"), [("JPEG", 6), ("JPEG", 3), ("PNG", 8), ("WEBP", 2), ("TIFF", 5)])
def test_every_reader_turns_a_picture_as_its_file_says(form: str, orientation: int, tmp_path: Path):
    upright = np.full((40, 24, 3), 240, np.uint8)
    upright[:16, :8] = 10  # the corner at the top left
    # What the camera stored, so that its orientation brings it upright.
    stored = {2: upright[:, ::-1], 3: upright[::-1, ::-1], 5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1)}
    stored[8] = np.rot90(upright, -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photograph"
    path.write_bytes(saved(Image.fromarray(np.ascontiguousarray(stored[orientation])), form, exif=exif))
    for image in (read_picture(path), decode_picture(path.read_bytes(), 1000, print)):
        assert image.size == (24, 40)
        assert np.abs(np.asarray(image).astype(int) - upright).max() < 60  # JPEG's corners are not sharp
    plane = Preprocessing(24, 24, (0, 0, 0), (1, 1, 1)).load(path)[0]
    assert plane[1, 1] < 0.3 and plane[1, -2] > 0.7 and plane[-2, 1] > 0.7


def test_sixteen_bits_are_scaled(tmp_path: Path):
    path = tmp_path / "deep"
    grey = struct.pack(">4H", 0, 0x40FF, 0x8000, 0xFFFF)
    assert pixels(png(GREY, 16, (4, 1), grey), path) == [(v, v, v) for v in (0, 0x40, 0x80, 0xFF)]
    assert pixels(png(COLOURS, 16, (1, 1), struct.pack(">3H", 0x1234, 0x8000, 0xFFFF)), path) == [(0x12, 0x80, 0xFF)]
    numbers = np.array([[0, 0x40FF, 0x8000, 0xFFFF]], np.uint16)
    for form in ("TIFF", "PPM"):
        assert pixels(saved(Image.fromarray(numbers), form), path) == [(v, v, v) for v in (0, 0x40, 0x80, 0xFF)]


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (np.array([[0, 1 << 20]], np.int32), "more than 16 bits, of which white is not known; save it with 8 or 16"),
        (np.array([[0, -1]], np.int32), "more than 16 bits"),
        (np.array([[0, 0.5]], np.float32), "floating-point numbers, of which white is not known"),
    ],
)
def test_numbers_without_a_white_are_refused(numbers: np.ndarray, says: str, tmp_path: Path):
    path = tmp_path / "numbers.tif"
    Image.fromarray(numbers).save(path)
    with pytest.raises(UserError, match=rf"^Cannot read the image \S+numbers\.tif: its pixels .*{says}.*\.$"):
        read_picture(path)


def test_transparent_pixels_are_white(tmp_path: Path):
    path = tmp_path / "hole"
    colours = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 255, 127]]], np.uint8)
    assert pixels(saved(Image.fromarray(colours), "PNG"), path) == [RED, WHITE, (128, 128, 255)]
    grey = Image.fromarray(np.array([[[0, 255], [0, 0]]], np.uint8), "LA")
    assert pixels(saved(grey, "PNG"), path) == [(0, 0, 0), WHITE]
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putdata([0, 1])
    assert pixels(saved(palette, "PNG"), path) == [RED, BLUE]
    for form in ("PNG", "GIF"):
        assert pixels(saved(palette, form, transparency=0), path) == [WHITE, BLUE]
    deep = struct.pack(">2H", 0x1234, 0x1235)
    assert pixels(png(GREY, 16, (2, 1), deep, struct.pack(">H", 0x1234)), path) == [WHITE, (0x12, 0x12, 0x12)]
    deep = struct.pack(">6H", 0x1234, 0, 0, 0x5678, 0, 0)
    assert pixels(png(COLOURS, 16, (2, 1), deep, struct.pack(">3H", 0x1234, 0, 0)), path) == [WHITE, (0x56, 0, 0)]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_printing_ink(form: str, tmp_path: Path):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    found = pixels(saved(image, form), tmp_path / "ink")
    assert np.abs(np.array(found) - RED).max() < 8


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animated_file_the_first_picture_is_taken_and_that_is_said(form: str, tmp_path: Path, capsys):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE, WHITE)]
    options = {"lossless": True} if form == "WEBP" else {}
    content = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
    path = tmp_path / "moves"
    assert pixels(content, path) == [RED] * 4
    assert capsys.readouterr().err == f"The image {path} has 3 pictures; the first is taken.\n"
    notes: list[str] = []
    assert decode_picture(content, 16, notes.append).getpixel((0, 0)) == RED
    assert notes == ["The picture has 3 pictures; the first is taken."]


@pytest.mark.parametrize("side", [8945, 9461, 20_000], ids=["just above", "Pillow warns", "Pillow refuses"])
def test_too_many_pixels_are_a_sentence_and_no_warning(side: int, tmp_path: Path, capsys, recwarn):
    path = tmp_path / "large.png"
    path.write_bytes(png(GREY, 1, (side, side), b""))
    with pytest.raises(UserError, match="has .* pixels.*: make it smaller\\.$") as caught:
        Preprocessing.default(224).load(path)
    assert f"{MOST_PIXELS:,}" in str(caught.value) and not recwarn.list and capsys.readouterr().err == ""


def test_odd_metadata_is_no_matter(tmp_path: Path, recwarn):
    path = tmp_path / "odd.jpg"
    path.write_bytes(saved(Image.new("RGB", (4, 4), BLUE), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"))
    assert read_picture(path).size == (4, 4) and not recwarn.list
