"""What is compared: the alternatives of the paper's Table 2, and sweeps of what an arithmetic leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from sim.reference.arithmetic import Arithmetic, preset

__all__ = ["ARRAY", "OFFICIAL", "SWEEPS", "TABLE", "Variant", "named", "variant_arithmetic"]


@dataclass(frozen=True)
class Variant:
    """A change of the arithmetic.

    Parameters
    ----------
    name : what the command line calls it
    label : what the table calls it
    changes : fields of `Arithmetic` in the form of `preset`; nothing for the arithmetic itself
    units : the units of the gateware (`hw.units.registry`) that it changes
    """

    name: str
    label: str
    changes: str
    units: tuple[str, ...] = ()


ARRAY = "array_11x2"
"""On xc7 alone, where two products share a DSP."""
OFFICIAL = Variant(
    "official", "the authors' integers (official)", "", ("shiftmax", "layernorm", "postprocessor", ARRAY)
)
TABLE = (
    Variant("base", "I-ViT", ""),
    OFFICIAL,
    Variant("poly-softmax", "Shiftmax → polynomial (I-BERT)", "softmax=polynomial", ("shiftmax",)),
    Variant("log-softmax", "Shiftmax → Log-Int-Softmax (FQ-ViT)", "softmax=logarithm", ("shiftmax",)),
    Variant("poly-gelu", "ShiftGELU → polynomial (I-BERT)", "gelu=polynomial", ("shiftgelu",)),
    Variant("i-bert", "both polynomials (I-BERT)", "softmax=polynomial,gelu=polynomial", ("shiftmax", "shiftgelu")),
    Variant("l1-norm", "I-LayerNorm → L1 LayerNorm (Fully-8bit)", "layernorm=l1", ("layernorm",)),
    Variant("float", "float operations (FasterTransformer)", "softmax=float,gelu=float,layernorm=float"),
)


def _sweep(label: str, field: str, values: tuple[int, ...], *units: str) -> tuple[Variant, ...]:
    name = field.replace("_", "-")
    return tuple(Variant(f"{name}={value}", f"{label} {value}", f"{field}={value}", units) for value in values)


SWEEPS = (
    *_sweep("multiplier bits", "multiplier_bits", (12, 14, 20, 31), "postprocessor", "layernorm"),
    *_sweep("softmax bits", "softmax_bits", (8, 9, 10), "shiftmax", ARRAY),
    *_sweep("softmax bits", "softmax_bits", (12,), "shiftmax"),
    *_sweep("softmax bits", "softmax_bits", (16,), "shiftmax", ARRAY),
    *_sweep("ShiftExp n in Shiftmax", "softmax_n", (8, 11), "shiftmax"),
    *_sweep("ShiftExp n in ShiftGELU", "gelu_n", (8, 15), "shiftgelu"),
    *_sweep("packed operands from", "packed_min", (-128,), ARRAY),
)


def named(names: list[str]) -> tuple[Variant, ...]:
    """The variants of those names; all of the table and the sweeps where none is named.

    Raises
    ------
    ValueError : there is none of that name
    """
    known = {variant.name: variant for variant in (*TABLE, *SWEEPS)}
    for name in names:
        if name not in known:
            raise ValueError(f"unknown variant '{name}'; choose of {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())


def variant_arithmetic(base: str, variant: Variant) -> Arithmetic:
    """The arithmetic of a variant of `base`, a preset or a variant itself; `official` is a preset itself."""
    if variant is OFFICIAL:
        return preset(OFFICIAL.name)
    name, _, before = base.partition(":")
    changes = dict(item.split("=") for item in (*before.split(","), *variant.changes.split(",")) if item)
    return preset(":".join([name, *[",".join(f"{field}={value}" for field, value in changes.items())] * bool(changes)]))
