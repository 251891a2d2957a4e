"""A standard-cell library as far as area goes: its cells, their sizes, and the one that a gate equivalent is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hw.boards.board import BoardError

__all__ = ["Cell", "Library", "read_library"]

MOST_BYTES = 512 << 20  # the largest libraries with power and noise tables have about 200 MB
TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|[{}();:,]|[^\s{}();:,"]+', re.DOTALL)
NOISE = re.compile(r"/\*.*?\*/|\\\r?\n", re.DOTALL)
NAND = re.compile(r"!\(\(?(\w+)[&*](\w+)\)?\)|\(?!(\w+)\)?[|+]\(?!(\w+)\)?")


@dataclass(frozen=True)
class Cell:
    """A cell: its area in the library's unit, the functions of its output pins, whether it is a flip-flop."""

    name: str
    area: float
    functions: dict[str, str]
    flip_flop: bool = False

    def constant(self, value: str) -> str | None:
        """The pin that is always that value, "0" or "1"; None without one."""
        return next((pin for pin, function in self.functions.items() if function == value), None)

    @property
    def nand2(self) -> bool:
        """Whether it is a NAND of two inputs and nothing else."""
        found = [NAND.fullmatch(re.sub(r"\s", "", function)) for function in self.functions.values()]
        if len(found) != 1 or found[0] is None:
            return False
        return len({name for name in found[0].groups() if name}) == 2


@dataclass(frozen=True)
class Library:
    """Cells by name."""

    name: str
    cells: dict[str, Cell]

    @property
    def gate(self) -> float:
        """Area of a gate equivalent: the smallest NAND of two inputs."""
        return min(cell.area for cell in self.cells.values() if cell.nand2)

    def tie(self, value: str) -> tuple[str, str] | None:
        """The smallest cell and its pin that is always "0" or "1"; None if there is none."""
        found = [(cell.area, cell.name, pin) for cell in self.cells.values() if (pin := cell.constant(value))]
        return min(found)[1:] if found else None


def read_library(path: Path) -> Library:
    """A library from a Liberty file. Raises BoardError for a file that is none, or lacks what synthesis needs."""
    if not path.is_file():
        raise BoardError(f"there is no file {path}; give --liberty the Liberty file of your cells.")
    if path.stat().st_size > MOST_BYTES:
        raise BoardError(f"{path} has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}; give one corner only.")
    tokens = iter(TOKENS.findall(NOISE.sub(" ", path.read_text(errors="replace"))))
    if next(tokens, "") != "library":
        raise BoardError(f"{path} does not begin with a library group; unpack it if it is compressed.")
    name = ""
    cells: dict[str, Cell] = {}
    try:
        while (token := _take(tokens)) != "{":
            name = name if token in "()" else token.strip('"')
        for keyword, value in _members(tokens):
            if isinstance(value, list):
                if keyword == "cell":
                    cells[value[0]] = _cell(value[0], tokens)
                else:
                    _skip(tokens)
    except (IndexError, ValueError):
        raise BoardError(f"{path} cannot be read after its cell {next(reversed(cells), 'none')}; correct it.") from None
    for what, there in (
        ("NAND of two inputs, which gate equivalents are counted in", any(cell.nand2 for cell in cells.values())),
        ("flip-flop", any(cell.flip_flop for cell in cells.values())),
    ):
        if not there:
            raise BoardError(
                f"{path} has no {what}, among its {len(cells)} cells; give the library of the core's cells."
            )
    return Library(name, cells)


def _take(tokens: Iterator[str]) -> str:
    """The next token. Raises ValueError at the end of the file."""
    token = next(tokens, None)
    if token is None:
        raise ValueError("the file ends within a group")
    return token


def _members(tokens: Iterator[str]) -> Iterator[tuple[str, str | list[str]]]:
    """Attributes (text) and groups (arguments) until the group ends; complex attributes are passed over."""
    while (keyword := _take(tokens)) != "}":
        if keyword == ";":
            continue
        mark = _take(tokens)
        if mark == ":":
            words = []
            while (word := _take(tokens)) != ";":
                words.append(word.strip('"'))
            yield keyword, " ".join(words)
        elif mark == "(":
            arguments: list[str] = []
            while (word := _take(tokens)) != ")":
                if word != ",":
                    arguments.append(word.strip('"'))
            after = _take(tokens)
            if after == "{":
                yield keyword, arguments
            elif after != ";":
                raise ValueError
        else:
            raise ValueError


def _skip(tokens: Iterator[str]) -> None:
    """To the end of the group that was just entered."""
    depth = 1
    while depth:
        token = _take(tokens)
        depth += (token == "{") - (token == "}")


def _cell(name: str, tokens: Iterator[str]) -> Cell:
    area, functions, flip_flop = 0.0, {}, False
    for keyword, value in _members(tokens):
        if keyword == "area" and isinstance(value, str):
            area = float(value)
        elif isinstance(value, list):
            if keyword == "pin":
                for inner, text in _members(tokens):
                    if isinstance(text, list):
                        _skip(tokens)
                    elif inner == "function":
                        functions[value[0]] = text
            else:
                flip_flop |= keyword == "ff"
                _skip(tokens)
    return Cell(name, area, functions, flip_flop)
