"""The page's server: static files, what the device is, and pictures to labels.

`GET /api/device` says what the device and its model are; `POST /api/label` with a picture as its body gives the label,
`POST /api/embed` its vector. `POST /api/judge` names a vector by classes of vectors (`host.page.own_classes`). Errors
are `{"error": SENTENCE}`: 400 for what is no picture, or asks for what the program does not give, 408 for a picture
that does not come, 413 for one that is too large, 415 for another type, 421 for another host's name, 502 where the
device fails, 503 where too many wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from PIL import Image

from firmware.program.log import Layer
from host.command.errors import HostError
from host.devices.embedding import Embedding
from host.devices.prediction import Prediction
from host.embeddings.vectors import normalised
from host.page.own_classes import judged
from host.page.shared_device import SharedDevice, Timed
from sim.emulator.timeline import ENGINES
from sim.reference.errors import UserError
from sim.reference.outputs import CLASSES
from sim.reference.picture import decode_picture

__all__ = ["MOST_BYTES", "MOST_PIXELS", "MOST_WAITING", "application"]

STATIC = Path(__file__).parent / "static"
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/own.js": ("own.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MOST_BYTES = 16 << 20
MOST_PIXELS = 50_000_000
MOST_WAITING = 8
"""Pictures under way, all browsers together."""
UPLOAD_SECONDS = 30.0
TOP = 5
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

Answered = TypeVar("Answered", Prediction, Embedding)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """A request that is not served: HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(device: SharedDevice, *, local: bool) -> web.Application:
    """The server of one device.

    Parameters
    ----------
    device : an entered one
    local : only this computer's browsers are meant, so that a page of elsewhere, whose name was made to point here, is
        turned away
    """
    page = _Page(device, local)
    app = web.Application(middlewares=[page.guarded], client_max_size=MOST_BYTES)
    for path, (name, kind) in FILES.items():
        app.router.add_get(path, _file(STATIC / name, kind))
    app.router.add_get("/api/device", page.device_info)
    app.router.add_post("/api/label", page.label)
    app.router.add_post("/api/embed", page.embed)
    app.router.add_post("/api/judge", page.judge)
    return app


class _Page:
    """The answers to requests; parameters as `application`."""

    def __init__(self, device: SharedDevice, local: bool) -> None:
        self._device, self._local = device, local
        self._waiting = asyncio.Semaphore(MOST_WAITING)

    @web.middleware
    async def guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A handler's response with the headers of all, or why there is none."""
        try:
            self._check_host(request.host)
            response = await handler(request)
        except Refusal as refusal:
            response = web.json_response({"error": str(refusal)}, status=refusal.status)
        except web.HTTPException as error:
            response = web.json_response({"error": f"{error.reason}."}, status=error.status)
        response.headers.update(HEADERS)
        return response

    def _check_host(self, host: str) -> None:
        if self._local and host.rpartition(":")[0] not in LOOPBACK and host not in LOOPBACK:
            raise Refusal(421, f"This is not {host}: open the page under the address that host.serve says.")

    async def device_info(self, request: web.Request) -> web.Response:
        """What the device and its model are."""
        model = self._device.model
        return web.json_response(
            {
                "device": self._device.spec,
                "architecture": model.architecture,
                "arithmetic": model.arithmetic,
                "classes": len(model.class_names),
                "outputs": list(model.scales),
                "model": model.fingerprint,
                "clock_mhz": self._device.clock_mhz,
                "most_bytes": MOST_BYTES,
            }
        )

    async def label(self, request: web.Request) -> web.Response:
        """The label of the picture that is the request's body. Raises Refusal."""
        if CLASSES not in self._device.model.scales:
            raise Refusal(400, "The program gives no classes: ask what is like a picture, or name classes of your own.")
        notes, labelled = await self._asked(request, self._device.label)
        top = [{"name": entry.name, "probability": entry.probability} for entry in labelled.answer.top(TOP)]
        logits = labelled.answer.logits.tolist()
        return web.json_response(
            {"note": notes, "top": top, "logits": logits, **cost(labelled, self._device.clock_mhz)}
        )

    async def embed(self, request: web.Request) -> web.Response:
        """The vector, of length 1, of the picture that is the request's body. Raises Refusal."""
        model = self._device.model
        if not set(model.scales) - {CLASSES}:
            raise Refusal(400, "The program gives classes alone: compile the model with --output classes,embedding.")
        notes, embedded = await self._asked(request, self._device.embed)
        vector = [round(float(one), 7) for one in normalised(embedded.answer.vector)]
        answer = {"note": notes, "vector": vector, "model": model.fingerprint}
        return web.json_response({**answer, **cost(embedded, self._device.clock_mhz)})

    async def judge(self, request: web.Request) -> web.Response:
        """How likely each class is, and how unusual the picture, by the vectors in a request's body. Raises Refusal."""
        content = await _body(request)
        try:
            return web.json_response(await asyncio.to_thread(judged, content))
        except UserError as error:
            raise Refusal(400, str(error)) from error

    async def _asked(
        self, request: web.Request, ask: Callable[[Image.Image], Awaitable[Timed[Answered]]]
    ) -> tuple[str, Timed[Answered]]:
        """What had to be done to read the picture in a request's body, and what a device says of it. Raises Refusal."""
        if not request.content_type.startswith("image/"):
            raise Refusal(415, f"A picture is expected, not {request.content_type}.")
        if self._waiting.locked():
            raise Refusal(503, "Too many pictures wait for the device: try again in a moment.")
        async with self._waiting:
            content = await _body(request)
            notes: list[str] = []
            try:
                picture = await asyncio.to_thread(decode_picture, content, MOST_PIXELS, notes.append)
            except UserError as error:
                raise Refusal(400, str(error)) from error
            try:
                return " ".join(notes), await ask(picture)
            except HostError as error:
                raise Refusal(502, str(error)) from error


async def _body(request: web.Request) -> bytes:
    """All of it. Raises Refusal."""
    try:
        return await asyncio.wait_for(request.read(), UPLOAD_SECONDS)
    except TimeoutError:
        raise Refusal(408, "The picture did not come in time: try again.") from None
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, f"The picture has more than {MOST_BYTES >> 20} MB: make it smaller.") from None


def _file(path: Path, kind: str) -> Handler:
    content = path.read_bytes()

    async def give(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return give


def cost(timed: Timed[Prediction] | Timed[Embedding], clock_mhz: float | None) -> dict[str, object]:
    """What a frame took, and what a device that counts has counted."""
    answer = timed.answer
    frame = Layer("frame", 0, answer.counters)
    return {
        "cycles": answer.cycles,
        "frames_per_second": clock_mhz * 1e6 / answer.cycles if clock_mhz and answer.cycles else None,
        "engines": [{"name": name, "share": busy(frame)} for name, busy in ENGINES] if answer.counters else [],
        "seconds": timed.seconds,
        "waited": timed.waited,
    }
