"""The ablations as a page and a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from sim.ablation.results import Row
from sim.ablation.variants import SWEEPS, TABLE, Variant
from sim.reference.errors import replaced_when_complete

__all__ = ["draw", "page"]

PICTURE = "pictures/ablation.png"
HEAD = """# Ablations: the paper's alternatives, in accuracy and in hardware

What the I-ViT paper's Table 2 compares on a GPU, compared in the arithmetic and in the gateware of this machine. Every
alternative is a variant of the arithmetic by name (`lean:softmax=polynomial`), which the quantiser, the reference, the
compiler, the units and the emulated board know. `python -m sim.ablation` measures rows and rewrites this page;
the command of each row is in [ablation.json](ablation.json), which has the same figures.

The models are post-training quantised and **not** fine-tuned for the variant, where the paper's figures are after
fine-tuning: compare rows with each other, not with the paper. Top-1 of a few hundred easy photographs has a standard
error of about two points; the divergence (mean KL of the float model's answers from the variant's) orders better.

- **Polynomial softmax** (I-BERT's i-exp): ln 2 on a grid of 8 bits instead of I-BERT's floor(ln 2 / S), without which
  8-bit scores of a scale near 1/4 would have a ln 2 of 2; the polynomial keeps 9 bits.
- **Log-Int-Softmax** (FQ-ViT): powers of two; the ratio is compared as it is, not rounded to an integer first, and the
  exponential is the polynomial above. With 8-bit probabilities, less than 1/192 becomes 0.
- **Polynomial GELU** (I-BERT's i-erf): elementwise, so one table serves a whole row group.
- **L1 LayerNorm** (Fully-8bit): the mean of magnitudes, times sqrt(pi/2) as for a normal distribution, in place of the
  root of the mean square. Not one root, but a pass over the row and a row buffer more, as the magnitudes are those of
  differences from the mean.
- **Float operations** (FasterTransformer): softmax, GELU and LayerNorm in floating point between integer tensors, in
  the reference only; no machine has them.

LUTs, FFs, DSPs and block RAMs are those of the changed unit alone, as `hw.units` measures them (xc7: `arty_a7_35`,
ecp5: `ulx3s_85f`, Fmax after place and route on an LFE5U-85F of speed grade 6). Predicted cycles are the compiler's for
a frame on the board named; emulated ones are counted there, every tensor equal to the reference. What is empty, or has
no row, has not been measured yet.

"""
UNITS_OF_BASE = ("shiftmax", "shiftgelu", "layernorm", "postprocessor", "array_11x2")


def page(rows: list[Row], folder: Path) -> None:
    """Writes ablation.md and its picture into `folder`."""
    parts = [HEAD, f"![what each alternative costs]({PICTURE})\n"]
    for model, base in sorted({(row.model, row.base) for row in rows}):
        here = {row.variant: row for row in rows if (row.model, row.base) == (model, base)}
        parts += [f"\n## {model}, {base}\n", *_table(here, TABLE)]
        if any(variant.name in here for variant in SWEEPS):
            parts += ["\n### Sweeps\n", *_table(here, SWEEPS)]
    parts += ["\n## Units\n", *_units(rows)]
    draw(rows, folder / PICTURE)
    with replaced_when_complete(folder / "ablation.md") as temporary:
        temporary.write_text("\n".join(parts).replace("\n\n\n", "\n\n") + "\n")


def _table(rows: dict[str, Row], variants: tuple[Variant, ...]) -> list[str]:
    lines = [
        "| arithmetic | images | top-1 | float | same answer | mean KL | cycles a frame |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for variant in variants:
        row = rows.get(variant.name)
        if row is None:
            continue
        accuracy = ["", "", "", "", ""]
        if row.images:
            shares = (row.top1, row.float_top1, row.agreement)
            accuracy = [str(row.images), *(f"{share:.2%}" for share in shares), f"{row.divergence:.4f}"]
        cycles = "" if row.cycles is None else f"{row.cycles:,} ({row.cycles_from}, {row.board})"
        lines.append("| " + " | ".join([variant.label, *accuracy, cycles]) + " |")
    return lines


def _units(rows: list[Row]) -> list[str]:
    lines = [
        "| unit | arithmetic | part | LUT | FF | DSP | block RAM | Fmax, MHz |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    labels = {variant.name: variant.label for variant in (*TABLE, *SWEEPS)}
    order = [variant.name for variant in (*TABLE, *SWEEPS)]
    seen = {(unit.unit, unit.part, row.variant): (row, unit) for row in rows for unit in row.units}
    for name in UNITS_OF_BASE:
        for part in ("xc7", "ecp5"):
            for variant in order:
                if (name, part, variant) in seen:
                    row, unit = seen[name, part, variant]
                    fmax = "" if unit.fmax is None else f"{unit.fmax:.0f}"
                    cells = [name, f"{row.base}, {labels[variant]}", part, f"{unit.lut:,}", f"{unit.ff:,}"]
                    lines.append("| " + " | ".join([*cells, str(unit.dsp), f"{unit.block_ram:g}", fmax]) + " |")
    return lines


def draw(rows: list[Row], path: Path) -> None:
    """Divergence against LUTs (xc7) of the changed unit less those of I-ViT's, for every row that has both."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    unit_of = {variant.name: variant for variant in TABLE}
    base = {unit.unit: unit.lut for row in rows if row.variant == "base" for unit in row.units if unit.part == "xc7"}
    for marker, model in zip("osD^v", sorted({row.model for row in rows}), strict=False):
        for row in rows:
            if row.model != model or row.variant not in unit_of or not row.images:
                continue
            luts = [unit.lut - base[unit.unit] for unit in row.units if unit.part == "xc7" and unit.unit in base]
            if row.variant != "base" and not luts:
                continue
            x = 0 if row.variant == "base" else luts[0]
            axes.plot(x, row.divergence, marker, color="C0" if row.variant == "base" else "C1")
            axes.annotate(f"{unit_of[row.variant].label}, {model}", (x, row.divergence), fontsize=7, xytext=(4, 4),
                          textcoords="offset points")  # fmt: skip
    axes.set_xlabel("LUTs of the unit on xc7, more than I-ViT's")
    axes.set_ylabel("mean KL from the float model, nats")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.margins(x=0.35, y=0.15)
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_when_complete(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", format="png")
    pyplot.close(figure)
