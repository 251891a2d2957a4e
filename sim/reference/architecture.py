"""The ARCH argument of the commands: a timm name or dimensions spelled out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import VitShape

__all__ = ["NAMES", "SPELLED_OUT", "parse_architecture", "spelled_out"]

IMAGENET = 1000
KINDS: dict[str, type[VitShape] | type[SwinShape]] = {"vit": VitShape, "swin": SwinShape}
SPELLED_OUT = "vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10"
SWIN_SPELLED_OUT = "swin:image=64,patch=4,dim=32,depths=2-2,heads=1-2,window=4,classes=10"
MOST_STAGES = 8
NUMBER = r"[0-9]{1,6}"
VALUES: dict[str, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "int": (re.compile(NUMBER), int),
    "tuple[int, ...]": (
        re.compile(rf"{NUMBER}(-{NUMBER}){{0,{MOST_STAGES - 1}}}"),
        lambda text: tuple(map(int, text.split("-"))),
    ),
    "str": (re.compile(r"[a-z_]{1,40}"), str),
    "float": (re.compile(r"[0-9]{1,6}(\.[0-9]{1,17})?(e-[0-9]{1,3})?"), float),
}
"""How the values of a dimension are written, by its type."""
EXAMPLES = {"vit": SPELLED_OUT, "swin": SWIN_SPELLED_OUT}

_WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
_TINY_SIZES = ((16, 224), (16, 384))  # of a patch and an image
_SIZES = (*_TINY_SIZES, (32, 224), (32, 384), (8, 224))
_SWIN = {
    "swin_tiny_patch4_window7_224": SwinShape(224, 4, 96, (2, 2, 6, 2), (3, 6, 12, 24), 7, IMAGENET),
    "swin_small_patch4_window7_224": SwinShape(224, 4, 96, (2, 2, 18, 2), (3, 6, 12, 24), 7, IMAGENET),
    "swin_base_patch4_window7_224": SwinShape(224, 4, 128, (2, 2, 18, 2), (4, 8, 16, 32), 7, IMAGENET),
    "swin_base_patch4_window12_384": SwinShape(384, 4, 128, (2, 2, 18, 2), (4, 8, 16, 32), 12, IMAGENET),
}


def _vits() -> dict[str, VitShape]:
    names = {}
    for size, width in _WIDTHS.items():
        for patch, image in _TINY_SIZES if size == "tiny" else _SIZES:
            names[f"vit_{size}_patch{patch}_{image}"] = VitShape(image, patch, *width, IMAGENET)
        for image in (224, 384) if size == "base" else (224,):
            names[f"deit_{size}_patch16_{image}"] = VitShape(image, 16, *width, IMAGENET)
            names[f"deit_{size}_distilled_patch16_{image}"] = VitShape(image, 16, *width, IMAGENET, distilled=1)
    return names


NAMES: dict[str, ModelShape] = {**_vits(), **_SWIN}
_SHORT_FORMS = ("{}", "{}_patch16_224", "{}_patch4_window7_224")  # the authors leave patch and image out


def parse_architecture(text: str) -> ModelShape:
    """The dimensions that `text` names: a timm name (a pretraining tag after a dot is ignored), the authors' short form
    of it (`deit_tiny`, `swin_small`), either with other dimensions (`deit_tiny:classes=10`), or as in SPELLED_OUT and
    SWIN_SPELLED_OUT.

    Raises
    ------
    UserError
        The name is unknown, a dimension is missing, unknown, given twice or not a whole number, or they do not fit.
    """
    kind, colon, body = text.partition(":")
    if kind in KINDS and colon:
        return _spelled(text, kind, body)
    name = kind.split(".")[0]
    shape = next((NAMES[form.format(name)] for form in _SHORT_FORMS if form.format(name) in NAMES), None)
    if shape is None:
        known = ", ".join(sorted(NAMES))
        raise UserError(
            f"Unknown architecture {text!r}; expected one of {known}, {SPELLED_OUT!r} or {SWIN_SPELLED_OUT!r}."
        )
    if not colon:
        return shape
    try:
        return dataclasses.replace(shape, **_values(type(shape), body))  # type: ignore[type-var]
    except ValueError as error:
        raise UserError(f"Architecture {text!r}: {error}; expected NAME:classes=10, or other dimensions.") from error


def _spelled(text: str, kind: str, body: str) -> ModelShape:
    try:
        values = _values(KINDS[kind], body)
    except ValueError as error:
        raise UserError(f"Architecture {text!r}: {error}; expected {EXAMPLES[kind]!r}.") from error
    needed = [one.name for one in dataclasses.fields(KINDS[kind]) if one.default is dataclasses.MISSING]
    if missing := [field for field in needed if field not in values]:
        raise UserError(f"Architecture {text!r} lacks {', '.join(missing)}; expected {EXAMPLES[kind]!r}.")
    return KINDS[kind](**values)


def _values(kind: type[Any], body: str) -> dict[str, Any]:
    """The dimensions in a text. Raises ValueError, with a part of a sentence."""
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for item in body.split(","):
        key, _, value = item.partition("=")
        if key not in types or key in values:
            raise ValueError(f"{item!r} is not understood")
        form, read = VALUES[types[key]]
        if not form.fullmatch(value):
            raise ValueError(f"{item!r} is not understood")
        values[key] = read(value)
    return values


def spelled_out(shape: ModelShape) -> str:
    """The ARCH text of any dimensions; `parse_architecture` reads it back."""
    kind = next(kind for kind, made in KINDS.items() if isinstance(shape, made))
    values = {one.name: getattr(shape, one.name) for one in dataclasses.fields(KINDS[kind])}
    values = {one.name: values[one.name] for one in dataclasses.fields(KINDS[kind]) if values[one.name] != one.default}
    texts = {key: "-".join(map(str, value)) if isinstance(value, tuple) else value for key, value in values.items()}
    return f"{kind}:" + ",".join(f"{key}={value}" for key, value in texts.items())
