"""The page's server: static files, what the device is, and pictures to labels.

`GET /api/device` says what the device and its model are; `POST /api/label` with a picture as its body gives the label.
Errors are `{"error": SENTENCE}`: 400 for what is no picture, 408 for one that does not come, 413 for one that is too
large, 415 for another type, 421 for another host's name, 502 where the device fails, 503 where too many wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from firmware.program.log import Layer
from host.command.errors import HostError
from host.page.shared_device import Labelled, SharedDevice
from sim.emulator.timeline import ENGINES
from sim.reference.errors import UserError
from sim.reference.picture import decode_picture

__all__ = ["MOST_BYTES", "MOST_PIXELS", "MOST_WAITING", "application"]

STATIC = Path(__file__).parent / "static"
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
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
                "clock_mhz": self._device.clock_mhz,
                "most_bytes": MOST_BYTES,
            }
        )

    async def label(self, request: web.Request) -> web.Response:
        """The label of the picture that is the request's body. Raises Refusal."""
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
                labelled = await self._device.label(picture)
            except HostError as error:
                raise Refusal(502, str(error)) from error
        return web.json_response({"note": " ".join(notes), **as_object(labelled, self._device.clock_mhz)})


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


def as_object(labelled: Labelled, clock_mhz: float | None) -> dict[str, object]:
    """What the page shows, the ranking and what a device that counts has counted; and the integers behind it."""
    prediction = labelled.prediction
    frame = Layer("frame", 0, prediction.counters)
    return {
        "top": [{"name": entry.name, "probability": entry.probability} for entry in prediction.top(TOP)],
        "logits": prediction.logits.tolist(),
        "cycles": prediction.cycles,
        "frames_per_second": clock_mhz * 1e6 / prediction.cycles if clock_mhz and prediction.cycles else None,
        "engines": [{"name": name, "share": busy(frame)} for name, busy in ENGINES] if prediction.counters else [],
        "seconds": labelled.seconds,
        "waited": labelled.waited,
    }
