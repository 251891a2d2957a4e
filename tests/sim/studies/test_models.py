"""The page of models: what is predicted, what was measured, and what the compiler refuses."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from gateware.config import config
from sim.reference.architecture import parse_architecture, spelled_out
from sim.studies.performance import model_page, models, tables
from sim.studies.performance.brought import Brought
from sim.studies.performance.measure import measure
from sim.studies.performance.model_page import measured_cycles, write_page
from sim.studies.performance.model_pictures import ethernet_seconds, latency, upload_seconds
from sim.studies.performance.models import main, model_row

SMALL = "vit:image=32,patch=8,dim=64,depth=1,heads=2,classes=3"
LONG = "vit:image=66,patch=2,dim=64,depth=1,heads=2,classes=3"  # 1,090 scores a row


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    return model_row(SMALL)


def test_a_row_tells_of_every_board(small: dict[str, Any]):
    shape = parse_architecture(SMALL)
    assert small["parameters"] == shape.parameters() and small["macs"] == shape.macs()
    for board in ("arty_a7_35", "arty_a7_100", "ulx3s_85f", "asic"):
        one = small["boards"][board]
        weights = sum(layer.weight[0] * layer.weight[1] for layer in shape.linears() if len(layer.weight) == 2)
        assert one["dram_bytes"] > weights
        assert 0 < one["macs_per_dsp_cycle"] < 2
        clock = 1e6 * config(board).clock_mhz
        assert one["frames_per_second"] == pytest.approx(clock / one["cycles"], rel=1e-3)


def test_measured_cycles_are_those_of_the_same_dimensions():
    row = {"board": "arty_a7_35", "arithmetic": "lean", "memory": "arty_a7", "exact": True, "cycles": 7}
    rows = [
        {**row, "model": "deit_small"},
        {**row, "model": "random:vit_tiny_patch16_224", "cycles": 8},
        {**row, "model": "digits", "cycles": 9},
        {**row, "model": "deit_base", "exact": False},
        {**row, "model": "deit_base", "arithmetic": "official"},
        {**row, "model": "deit_base", "memory": "litedram"},
        {**row, "model": "deit_small", "board": "ulx3s_85f", "memory": "ulx3s_85f", "cycles": 10},
        {**row, "model": "deit_tiny", "board": "ulx3s_85f"},
    ]
    found = measured_cycles(rows)
    small, tiny = (spelled_out(parse_architecture(name)) for name in ("vit_small_patch16_224", "deit_tiny"))
    assert found == {(small, "arty_a7_35"): 7, (tiny, "arty_a7_35"): 8, (small, "ulx3s_85f"): 10}


def test_the_last_of_some_images():
    assert latency(1, 3, 5) == 8
    assert latency(4, 3, 5) == 3 + 4 * 5  # computing takes longer
    assert latency(4, 5, 3) == 4 * 5 + 3  # sending does
    assert 0.125 < upload_seconds(224, 12_000_000) < 0.13
    assert 0.013 < ethernet_seconds(224) < 0.0135


def test_the_page(small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (tmp_path / "pictures").mkdir()
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    tiny = {"model": "deit_tiny_patch16_224", "architecture": spelled_out(parse_architecture("deit_tiny"))}
    measured: dict[str, Any] = {"model": "deit_tiny", "board": "arty_a7_35", "arithmetic": "lean", "memory": "arty_a7"}
    (tmp_path / "performance.json").write_text(json.dumps([{**measured, "exact": True, "cycles": 7_000_000}]))
    row = {"architecture": tiny["architecture"], "arithmetic": "lean", "images": 400}
    write_page([{**small, **tiny}], [{**row, "float_top1": 0.5, "integer_top1": 0.4}])
    # Compiled or read anew: a row takes the place of its own, and no other's.
    accuracy = tmp_path / "accuracy.json"
    accuracy.write_text(json.dumps({**row, "float_top1": 0.8, "integer_top1": 0.79, "divergence": 0.1}))
    assert main([LONG, SMALL, "--docs", "--accuracy", str(accuracy)]) == 0
    assert "rows have 1090 scores" in capsys.readouterr().out
    kept = json.loads((tmp_path / "models.json").read_text())
    assert {one["model"] for one in kept["models"]} == {SMALL, LONG, "deit_tiny_patch16_224"}
    assert kept["accuracy"] == [{**row, "float_top1": 0.8, "integer_top1": 0.79}]
    page = (tmp_path / "models.md").read_text()
    assert "| `deit_tiny_patch16_224` |" in page and "**7.00 M, 14.29, " in page
    assert f"- `{LONG}` on `arty_a7_35`, `{LONG}` on `ulx3s_85f`" in page
    assert "| 400 | 80.00% | 79.00% |" in page
    for picture in ("models_accuracy.png", "models_latency.png"):
        assert (tmp_path / "pictures" / picture).read_bytes().startswith(b"\x89PNG")


def test_measured_on_each_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Of what a checkpoint brings: predicted at a published size, measured at a small one; a difference is an error."""
    (tmp_path / "pictures").mkdir()
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setattr(models, "BOARDS", ("tiny",))
    small, published = (
        "vit:image=8,patch=4,dim=16,depth=1,heads=1,classes=4",
        "vit:image=8,patch=4,dim=16,depth=2,heads=1,classes=4",
    )
    for module in (models, model_page):
        monkeypatch.setattr(module, "BROUGHT", (Brought("two layers", "nobody", published, small),))
    assert main([published, "--docs"]) == 0
    assert main(["--measure", "--docs"]) == 0
    rows = {row["model"]: row["boards"]["tiny"] for row in json.loads((tmp_path / "models.json").read_text())["models"]}
    assert rows.keys() == {small, published} and "measured" not in rows[published]
    assert 1000 < rows[small]["measured"] < rows[published]["cycles"]
    page = (tmp_path / "models.md").read_text()
    assert f"| two layers | nobody | `{published}` | {rows[published]['cycles']:,} |" in page
    assert f"|  |  | `{small}` | **{rows[small]['measured']:,}** |" in page
    assert "## Other sizes" not in page
    before = page

    def wrong(*arguments: Any) -> Any:
        return dataclasses.replace(measure(*arguments), different=["qact1 differs"])

    monkeypatch.setattr(models, "measure", wrong)
    assert main(["--measure", "--docs"]) == 1
    assert f"{small} on tiny: qact1 differs" in capsys.readouterr().err.replace("\n", "")
    assert (tmp_path / "models.md").read_text() == before


@pytest.mark.parametrize("content", ["", "[]", '{"architecture": 3}'])
def test_what_is_no_accuracy_is_refused(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.json").write_text(content)
    assert main(["--accuracy", str(tmp_path / "a.json")]) == 2
    assert "is not what firmware.compare --json prints" in capsys.readouterr().err


def test_an_unknown_model_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main([SMALL, "resnet50"]) == 2
    assert "Unknown architecture 'resnet50'" in capsys.readouterr().err
