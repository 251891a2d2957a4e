"""Frames a second: a measurement before a prediction, a refusal told, none for another machine."""

import dataclasses
import json
from pathlib import Path

import pytest

from gateware.config import config
from hw.reports.frame_rates import Rate, frame_rate


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    row = {"model": "deit_tiny", "board": "arty_a7_35", "arithmetic": "lean", "cycles": 8_000_000}
    (tmp_path / "performance.json").write_text(json.dumps([row]))
    boards = {"arty_a7_35": {"cycles": 1}, "arty_a7_100": {"cycles": 4_000_000}, "ulx3s_85f": {"refused": "Too large."}}
    (tmp_path / "models.json").write_text(
        json.dumps({"models": [{"model": "deit_tiny_patch16_224", "boards": boards}]})
    )
    return tmp_path


def test_rates(docs: Path):
    assert frame_rate(config("arty_a7_35"), "deit_tiny", docs) == Rate(12.5, "emulated board")
    assert frame_rate(config("arty_a7_100"), "deit_tiny", docs) == Rate(25.0, "cost model")
    assert frame_rate(config("ulx3s_85f"), "deit_tiny", docs) == Rate(None, "Too large.")
    assert frame_rate(config("arty_a7_35"), "deit_small", docs) == Rate(None, "")


def test_another_machine_has_no_rate(docs: Path):
    machine = config("arty_a7_35")
    assert frame_rate(dataclasses.replace(machine, clock_mhz=50.0), "deit_tiny", docs).frames_per_second == 6.25
    assert frame_rate(dataclasses.replace(machine, rows=10), "deit_tiny", docs) == Rate(None, "")
    assert frame_rate(config("arty_a7_100", "official"), "deit_tiny", docs) == Rate(None, "")
