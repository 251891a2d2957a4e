"""A configuration beside a checkpoint, which nobody has checked: values by name and type, or a sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sim.reference.errors import UserError

__all__ = ["Json", "read_json"]

LARGEST = 16 << 20  # bytes; names of 21,841 classes take 1 MB
T = TypeVar("T")


@dataclass(frozen=True)
class Json:
    """An object of a JSON file.

    Parameters
    ----------
    path : of the file
    values : by name
    """

    path: Path
    values: dict[str, Any]

    def get(self, name: str, kind: type[T], default: T) -> T:
        """A value, or the default where it is absent or null.

        Raises
        ------
        UserError : it is of another type
        """
        value = self.values.get(name)
        if value is None:
            return default
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise UserError(f"{self.path}: {name!r} is {json.dumps(value):.60}, but {_NAMES[kind]} is expected.")
        return value

    def inner(self, name: str) -> Json:
        """An object inside; an empty one where it is absent."""
        return Json(self.path, self.get(name, dict, {}))

    def colours(self, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        """Three numbers, one a colour."""
        values = self.get(name, list, list(default))
        if len(values) != 3 or any(type(value) not in (int, float) for value in values):
            raise UserError(f"{self.path}: {name!r} is {json.dumps(values):.60}, but three numbers are expected.")
        return float(values[0]), float(values[1]), float(values[2])

    def side(self, name: str, default: int) -> int:
        """The side of a square: a number, or two that are equal."""
        value = self.values.get(name, default)
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            value = value[0]
        if isinstance(value, dict) and value.keys() == {"height", "width"} and value["height"] == value["width"]:
            value = value["height"]
        if type(value) is not int or not 0 < value < 1 << 20:
            raise UserError(f"{self.path}: {name!r} is {json.dumps(value):.60}, but the side of a square is expected.")
        return value


_NAMES: dict[type[Any], str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a text",
}


def read_json(path: Path) -> Json:
    """The object in a file.

    Raises
    ------
    UserError : it cannot be read, is too large, or no JSON object
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} has more than {LARGEST:,} bytes, which no configuration has.")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON file; fetch it again.") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no JSON object; fetch it again.")
    return Json(path, values)
