"""What is compared: the alternatives of the paper's Table 2, and sweeps of what an arithmetic leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from sim.reference.arithmetic import Arithmetic, preset

__all__ = ["SWEEPS", "TABLE", "Variant", "named", "variant_arithmetic"]


@dataclass(frozen=True)
class Variant:
    """A change of the arithmetic.

    Parameters
    ----------
    name : what the command line calls it
    label : what the table calls it
    changes : fields of `Arithmetic` in the form of `preset`; nothing for the arithmetic itself
    unit : the unit of the gateware that it changes; "" where there is none or more than one
    group : a heading of the table
    """

    name: str
    label: str
    changes: str
    unit: str
    group: str


_PAPER = "Table 2"
TABLE = (
    Variant("base", "I-ViT", "", "", _PAPER),
    Variant("poly-softmax", "Shiftmax → polynomial (I-BERT)", "softmax=polynomial", "shiftmax", _PAPER),
    Variant("log-softmax", "Shiftmax → Log-Int-Softmax (FQ-ViT)", "softmax=logarithm", "shiftmax", _PAPER),
    Variant("poly-gelu", "ShiftGELU → polynomial (I-BERT)", "gelu=polynomial", "shiftgelu", _PAPER),
    Variant("l1-norm", "I-LayerNorm → L1 LayerNorm (Fully-8bit)", "layernorm=l1", "layernorm", _PAPER),
    Variant("i-bert", "both polynomials (I-BERT)", "softmax=polynomial,gelu=polynomial", "", _PAPER),
    Variant("float", "float operations (FasterTransformer)", "softmax=float,gelu=float,layernorm=float", "", _PAPER),
)


def _sweep(group: str, field: str, values: tuple[int, ...], unit: str) -> tuple[Variant, ...]:
    return tuple(
        Variant(f"{field.replace('_', '-')}={value}", f"{field} {value}", f"{field}={value}", unit, group)
        for value in values
    )


SWEEPS = (
    *_sweep("multiplier", "multiplier_bits", (12, 14, 20, 31), "postprocessor"),
    *_sweep("softmax bits", "softmax_bits", (10, 12, 16), "shiftmax"),
    *_sweep("ShiftExp n, Shiftmax", "softmax_n", (8, 11), "shiftmax"),
    *_sweep("ShiftExp n, ShiftGELU", "gelu_n", (8, 15), "shiftgelu"),
    *_sweep("packed operands", "packed_min", (-128,), "array"),
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
    """The arithmetic of a variant of the preset `base`."""
    return preset(f"{base}:{variant.changes}" if variant.changes else base)
