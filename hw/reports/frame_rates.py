"""Frames a second of the paper's models on a configuration: measured where they were run, else predicted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from gateware.config import AcceleratorConfig
from gateware.config import config as preset

__all__ = ["MODELS", "Rate", "frame_rate"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
MEASURED = "performance.json"  # by `python -m sim.bench --docs`
PREDICTED = "models.json"  # by `python -m sim.bench.models --docs`
MODELS = {"deit_tiny": "deit_tiny_patch16_224", "deit_small": "deit_small_patch16_224"}  # their names in either file


@dataclass(frozen=True)
class Rate:
    """Frames a second, None if nothing is known; `source` says whence, or why the board cannot have the model."""

    frames_per_second: float | None
    source: str


def frame_rate(config: AcceleratorConfig, model: str, docs: Path = DOCS) -> Rate:
    """The rate at the configuration's clock of a model of `MODELS`.

    Cycles were found for the presets only: another machine that kept a preset's name has none.
    """
    if config.fingerprint != preset(config.name, config.arithmetic.name).fingerprint:
        return Rate(None, "")
    if (docs / MEASURED).exists():
        for row in json.loads((docs / MEASURED).read_text()):
            if (row["model"], row["board"], row["arithmetic"]) == (model, config.name, config.arithmetic.name):
                return Rate(_frames(config, row["cycles"]), "emulated board")
    # The cost model's figures are those of the default arithmetic.
    if (docs / PREDICTED).exists() and config.arithmetic == preset(config.name).arithmetic:
        for row in json.loads((docs / PREDICTED).read_text())["models"]:
            found = row["boards"].get(config.name) if row["model"] == MODELS[model] else None
            if found is not None:
                if "refused" in found:
                    return Rate(None, found["refused"])
                return Rate(_frames(config, found["cycles"]), "cost model")
    return Rate(None, "")


def _frames(config: AcceleratorConfig, cycles: int) -> float:
    return round(config.clock_mhz * 1e6 / cycles, 2)
