"""The page's server: labels, limits, what it refuses, one device for several browsers, devices that fail."""

import asyncio
import io
import struct
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from host.command.errors import HostError
from host.page import application as page
from host.page.shared_device import SharedDevice
from host.serve import is_local
from host.serve import main as serve_main
from tests.host.conftest import BrightnessDevice

Asker = Callable[[TestClient[web.Request, web.Application]], Awaitable[Any]]


def served(program: Path, ask: Asker, spec: str = "brightness:counting", local: bool = True) -> Any:
    """What `ask` gets from a server of that device."""

    async def run() -> Any:
        async with (
            SharedDevice(spec, program) as device,
            TestClient(TestServer(page.application(device, local=local))) as client,
        ):
            return await asyncio.wait_for(ask(client), 60)

    return asyncio.run(run())


def picture(grey: int, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (grey, grey, grey)).save(stream, form, **options)
    return stream.getvalue()


async def label(client: TestClient[web.Request, web.Application], content: bytes, kind: str = "image/png") -> Any:
    response = await client.post("/api/label", data=io.BytesIO(content), headers={"Content-Type": kind})
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return response.status, await response.json()


def test_a_picture_gets_its_label(brightness, program: Path):
    status, answer = served(program, lambda client: label(client, picture(100)))
    assert status == 200
    assert [entry["name"] for entry in answer["top"]][0] == "dark" and answer["top"][0]["probability"] > 0.5
    assert answer["cycles"] == 1000 and answer["engines"] == [] and answer["seconds"] > 0
    assert brightness[0].closed


def test_the_files_and_the_device(brightness, program: Path):
    async def ask(client):
        found = {path: await (await client.get(path)).text() for path in page.FILES}
        return found, await (await client.get("/api/device")).json()

    found, about = served(program, ask)
    assert about["device"] == "brightness:counting" and about["classes"] == 4
    # What the policy lets the browser load: nothing of elsewhere, no script or style in the page itself.
    assert "://" not in found["/"] + found["/page.css"] + found["/page.js"]
    assert "style=" not in found["/"] and "onclick" not in found["/"]


def header_of(width: int, height: int) -> bytes:
    """A PNG that says that it is so large, and is not."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunks + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize(
    ("content", "kind", "status", "sentence"),
    [
        (b"", "image/png", 400, "not an image"),
        (b"GIF89a", "image/gif", 400, "Cannot read the picture"),
        (picture(3)[:45], "image/png", 400, "Cannot read the picture"),
        (picture(3, "JPEG")[:200], "image/jpeg", 400, "Cannot read the picture"),
        (header_of(10_000, 8_000), "image/png", 400, "10000 x 8000 pixels, and 50,000,000 are the most"),
        (header_of(60_000, 60_000), "image/png", 400, "The picture has more than 50,000,000 pixels: make it smaller."),
        (header_of(5000, 5000), "image/png", 400, "Cannot read the picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 400, "not an image"),
        (bytes(page.MOST_BYTES + 1), "image/png", 413, "more than 16 MB"),
        (picture(3), "text/plain", 415, "A picture is expected, not text/plain"),
    ],
    ids=["empty", "gif", "cut png", "cut jpeg", "large", "bomb", "hollow", "svg", "too long", "other type"],
)
def test_hostile_pictures(brightness, program: Path, content: bytes, kind: str, status: int, sentence: str):
    found, answer = served(program, lambda client: label(client, content, kind))
    assert found == status and sentence in answer["error"] and "\n" not in answer["error"]
    assert brightness[0].calls == []


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_mutated_pictures(brightness, program: Path):
    """Whatever the bytes, an answer or a sentence; never an internal error."""
    rng = np.random.default_rng(4)
    kept = [picture(90, form) for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")]
    seen = []

    async def ask(client):
        for index in range(120):
            content = bytearray(kept[index % len(kept)])
            for at in rng.integers(0, len(content), 5):
                content[at] = rng.integers(256)
            seen.append((await label(client, bytes(content)))[0])

    served(program, ask)
    assert set(seen) == {200, 400}


def test_a_page_of_elsewhere_is_turned_away(brightness, program: Path):
    async def ask(client):
        names = ("127.0.0.1:80", "localhost", "[::1]:99", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1:80")
        return [(await client.get("/", headers={"Host": name})).status for name in names]

    assert served(program, ask) == [200, 200, 200, 421, 421, 421]
    assert served(program, ask, local=False) == [200] * 6


def test_the_picture_is_turned_as_its_file_says(brightness, program: Path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    shapes, real = [], BrightnessDevice.run

    def run(self, images):
        shapes.append(images.shape)
        return real(self, images)

    monkeypatch.setattr(BrightnessDevice, "run", run)
    served(program, lambda client: label(client, picture(9, "JPEG", exif=exif), "image/jpeg"))
    assert shapes == [(1, 3, 8, 6)]


def test_several_browsers_and_no_more(brightness, program: Path, monkeypatch):
    """Frames run one after another, on one thread; who comes when too many wait is told."""
    running, most, slow = 0, 0, BrightnessDevice.run

    def run(self, images):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.2)
        running -= 1
        return slow(self, images)

    monkeypatch.setattr(BrightnessDevice, "run", run)

    async def ask(client):
        return await asyncio.gather(*(label(client, picture(16 * n)) for n in range(page.MOST_WAITING + 3)))

    answers = served(program, ask)
    assert most == 1
    assert sorted(status for status, _ in answers) == [200] * page.MOST_WAITING + [503] * 3
    assert all("try again" in answer["error"] for status, answer in answers if status == 503)


def test_a_device_that_fails_and_comes_back(brightness, program: Path, monkeypatch):
    works, loads = BrightnessDevice.run, []

    def load_file(self, program, outputs=(), real=BrightnessDevice.load_file):
        loads.append(program)
        return real(self, program, outputs)

    monkeypatch.setattr(BrightnessDevice, "load_file", load_file)

    async def ask(client):
        def fails(self, images):
            raise HostError("The device does not answer: check the cable.")

        monkeypatch.setattr(BrightnessDevice, "run", fails)
        first = await label(client, picture(100))
        monkeypatch.setattr(BrightnessDevice, "run", works)
        return first, await label(client, picture(100)), await label(client, picture(200))

    first, second, third = served(program, ask)
    assert first == (502, {"error": "The device does not answer: check the cable."})
    assert second[1]["top"][0]["name"] == "dark" and third[1]["top"][0]["name"] == "white"
    assert len(loads) == 2  # at the beginning, and after the failure


def test_what_is_not_there(brightness, program: Path):
    async def ask(client):
        return [
            (response.status, await response.json())
            for response in (await client.get("/nothing"), await client.get("/api/label"))
        ]

    assert served(program, ask) == [(404, {"error": "Not Found."}), (405, {"error": "Method Not Allowed."})]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bind", "example.org"], "--bind takes an address"),
        (["--port", "70000"], "--port must be 0 to 65535"),
        (["--bind", "192.0.2.1"], "Nobody can listen at 192.0.2.1"),
        (["--device", "pluto"], "There is no device"),
        (["--device", "reference"], "not an integer model file"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, brightness, program: Path, capsys):
    assert serve_main(["--device", "brightness", *arguments, str(program)]) == 2
    err = capsys.readouterr().err
    assert sentence in err and err.count("\n") == 1


def test_addresses():
    assert [is_local(a) for a in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "0.0.0.0", "::")] == [True] * 4 + [
        False
    ] * 2
