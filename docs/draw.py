"""Draws the pictures of these pages: docs/pictures/NAME.txt becomes docs/pictures/NAME.svg.

python docs/draw.py [NAME...]     all by default

A source has a line for each thing, with lengths in pixels; `|` in a text begins a new line of it, `#` a comment:

size WIDTH HEIGHT
title TEXT                                   what a reader is told who cannot see the picture
box NAME KIND X Y WIDTH HEIGHT TEXT          KIND is one of `KINDS`
frame X Y WIDTH HEIGHT TEXT                  a dashed frame around other things
arrow FROM.SIDE[+N] TO.SIDE[+N] [via N] [: TEXT]   SIDE is l, r, t or b, N pixels from its middle; via is where it bends
note X Y TEXT
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

PICTURES = Path(__file__).resolve().parent / "pictures"
KINDS = {
    "memory": ("#fff3d6", "#b7791f"),
    "unit": ("#e3f0ff", "#2b6cb0"),
    "array": ("#dff5e3", "#2f855a"),
    "file": ("#f3eefc", "#6b46c1"),
    "host": ("#f1f1f1", "#555555"),
}
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
LINE = 16
ARROW = re.compile(
    r"(?P<a>\w+)\.(?P<aside>[lrtb])(?P<ashift>[+-]\d+)? (?P<b>\w+)\.(?P<bside>[lrtb])(?P<bshift>[+-]\d+)?"
    r"(?: via (?P<via>\d+))?(?: ?: (?P<text>.*))?"
)


class DrawingError(Exception):
    """A line of a source that says nothing that can be drawn."""


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    def at(self, side: str, shift: float) -> tuple[float, float]:
        """A point on a side, `shift` pixels from its middle."""
        middle_x, middle_y = self.x + self.width / 2 + shift, self.y + self.height / 2 + shift
        return {
            "l": (self.x, middle_y),
            "r": (self.x + self.width, middle_y),
            "t": (middle_x, self.y),
            "b": (middle_x, self.y + self.height),
        }[side]


@dataclass
class Picture:
    """What a source has said so far."""

    width: int = 0
    height: int = 0
    title: str = ""
    boxes: dict[str, Box] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, lines: list[str], size: int = 12, halo: bool = False) -> None:
        """Lines of text around a middle; the first one of a box is bold."""
        top = y - (len(lines) - 1) * LINE / 2 + size / 3
        style = " stroke='white' stroke-width='4' paint-order='stroke'" if halo else ""
        for number, line in enumerate(lines):
            weight = " font-weight='bold'" if number == 0 and not halo else ""
            self.labels.append(
                f"<text x='{x:g}' y='{top + number * LINE:g}' font-size='{size}' text-anchor='middle' {FONT}"
                f"{weight}{style} fill='#1a202c'>{escape(line.strip())}</text>"
            )

    def box(self, rest: str) -> None:
        name, kind, x, y, width, height, text = rest.split(" ", 6)
        box = self.boxes[name] = Box(float(x), float(y), float(width), float(height))
        fill, stroke = KINDS[kind]
        self.parts.append(
            f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='6' fill='{fill}' stroke='{stroke}' "
            "stroke-width='1.5'/>"
        )
        self.text(box.x + box.width / 2, box.y + box.height / 2, text.split("|"))

    def frame(self, rest: str) -> None:
        x, y, width, height, text = rest.split(" ", 4)
        self.parts.insert(
            0,
            f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='10' fill='#fafafa' stroke='#888' "
            "stroke-dasharray='5 4'/>",
        )
        self.labels.append(
            f"<text x='{float(x) + 10:g}' y='{float(y) + 18:g}' font-size='12' {FONT} fill='#555'>{escape(text)}</text>"
        )

    def arrow(self, rest: str) -> None:
        match = ARROW.fullmatch(rest)
        if match is None:
            raise DrawingError(f"no arrow: {rest}")
        start = self.boxes[match["a"]].at(match["aside"], float(match["ashift"] or 0))
        end = self.boxes[match["b"]].at(match["bside"], float(match["bshift"] or 0))
        points = route(
            start, match["aside"] in "lr", end, match["bside"] in "lr", float(match["via"]) if match["via"] else None
        )
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f"<polyline points='{path}' fill='none' stroke='#333' stroke-width='1.5' marker-end='url(#head)'/>"
        )
        if match["text"]:
            (x0, y0), (x1, y1) = max(
                zip(points, points[1:], strict=False),
                key=lambda ends: abs(ends[0][0] - ends[1][0]) + abs(ends[0][1] - ends[1][1]),
            )
            lines = match["text"].split("|")
            above = LINE * len(lines) / 2 + 2 if y0 == y1 else 0
            self.text((x0 + x1) / 2, (y0 + y1) / 2 - above, lines, 11, halo=True)

    def note(self, rest: str) -> None:
        x, y, text = rest.split(" ", 2)
        self.text(float(x), float(y), text.split("|"), 11, halo=True)

    def svg(self) -> str:
        return "\n".join(
            [
                f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height}' "
                f"width='{self.width}' height='{self.height}' role='img'>",
                f"<title>{escape(self.title)}</title>",
                "<defs><marker id='head' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7' "
                "orient='auto'><path d='M0,0 L10,5 L0,10 z' fill='#333'/></marker></defs>",
                f"<rect width='{self.width}' height='{self.height}' fill='white'/>",
                *self.parts,
                *self.labels,
                "</svg>",
                "",
            ]
        )


def route(
    start: tuple[float, float],
    leaves_sideways: bool,
    end: tuple[float, float],
    enters_sideways: bool,
    via: float | None,
) -> list[tuple[float, float]]:
    """The corners of an arrow that leaves and enters its boxes at right angles."""
    (x0, y0), (x1, y1) = start, end
    if leaves_sideways and enters_sideways:
        x = (x0 + x1) / 2 if via is None else via
        bends = [] if y0 == y1 and via is None else [(x, y0), (x, y1)]
    elif not leaves_sideways and not enters_sideways:
        y = (y0 + y1) / 2 if via is None else via
        bends = [] if x0 == x1 and via is None else [(x0, y), (x1, y)]
    else:
        bends = [(x1, y0)] if leaves_sideways else [(x0, y1)]
    return [start, *bends, end]


def drawn(source: str) -> str:
    """The SVG of a source. Raises DrawingError, which names the line."""
    picture = Picture()
    for number, line in enumerate(source.splitlines(), 1):
        word, _, rest = line.partition(" ")
        try:
            if word == "size":
                picture.width, picture.height = (int(length) for length in rest.split())
            elif word == "title":
                picture.title = rest
            elif word in ("box", "frame", "arrow", "note"):
                getattr(picture, word)(rest)
            elif word and not word.startswith("#"):
                raise DrawingError(f"there is no {word!r}")
        except (KeyError, ValueError, DrawingError) as error:
            raise DrawingError(f"line {number}: {error}") from error
    return picture.svg()


def main(names: list[str]) -> int:
    """The command."""
    for path in sorted(PICTURES.glob("*.txt")):
        if names and path.stem not in names:
            continue
        try:
            path.with_suffix(".svg").write_text(drawn(path.read_text()))
        except DrawingError as error:
            print(f"error: {path}, {error}.", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
