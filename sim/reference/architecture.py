"""The ARCH argument of the commands: a timm name or dimensions spelled out."""

from __future__ import annotations

import dataclasses

from sim.reference.errors import UserError
from sim.reference.vit_shape import VitShape

_WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}
NAMES = {
    f"{family}_{size}_patch16_224": VitShape(224, 16, dim, depth, heads, 1000)
    for family in ("deit", "vit")
    for size, (dim, depth, heads) in _WIDTHS.items()
}
SPELLED_OUT = "vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10"


def parse_architecture(text: str) -> VitShape:
    """The dimensions that `text` names: a timm name (a pretraining tag after a dot is ignored), the authors' short form
    of it (`deit_tiny`), or as in SPELLED_OUT.

    Raises
    ------
    UserError
        The name is unknown, a dimension is missing, unknown, given twice or not a whole number, or they do not fit.
    """
    name = text.split(".")[0]
    for candidate in (name, f"{name}_patch16_224"):
        if candidate in NAMES:
            return NAMES[candidate]
    kind, colon, body = text.partition(":")
    if kind == "swin" or kind.startswith("swin_"):
        raise UserError(f"The architecture {text!r} is a Swin Transformer, and only ViT and DeiT are supported here.")
    if kind != "vit" or not colon:
        raise UserError(
            f"Unknown architecture {text!r}; expected one of {', '.join(sorted(NAMES))} or {SPELLED_OUT!r}."
        )
    fields = [field.name for field in dataclasses.fields(VitShape)]
    values: dict[str, int] = {}
    for item in body.split(","):
        key, _, value = item.partition("=")
        if key not in fields or key in values or not (value.isascii() and value.isdigit() and len(value) <= 6):
            raise UserError(f"Architecture {text!r}: {item!r} is not understood; expected {SPELLED_OUT!r}.")
        values[key] = int(value)
    if missing := [field for field in fields if field not in values]:
        raise UserError(f"Architecture {text!r} lacks {', '.join(missing)}; expected {SPELLED_OUT!r}.")
    return VitShape(**values)


def spelled_out(shape: VitShape) -> str:
    """The ARCH text of any dimensions; `parse_architecture` reads it back."""
    return "vit:" + ",".join(f"{key}={value}" for key, value in dataclasses.asdict(shape).items())
