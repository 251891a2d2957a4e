"""The ablation command: what it measures, keeps and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware import digits
from sim.ablation import accuracy, page, results
from sim.ablation.__main__ import main
from sim.ablation.results import Row, merged
from sim.ablation.variants import SWEEPS, TABLE, named, variant_arithmetic
from sim.reference.arithmetic import LEAN
from sim.reference.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "digits.safetensors"


def photographs(folder: Path, count: int) -> Path:
    found = digits.load("held-out")
    lines = ["file,label"]
    for index in range(count):
        Image.fromarray(found.images[index]).save(folder / f"{index:03}.png")
        lines.append(f"{index:03}.png,{found.labels[index]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(images: Path, store: Path, *more: str) -> list[str]:
    weights = str(ROOT / "models" / "digits_float.safetensors")
    data = ["--images", str(images), "--labels", str(images / "labels.csv"), "--store", str(store)]
    return [str(MODEL), *more, "--weights", weights, *data, "--json"]


def test_accuracy_is_measured_once_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    images = photographs(tmp_path, 30)
    (tmp_path / "store").mkdir()
    assert main(command(images, tmp_path / "store", "base", "log-softmax", "float")) == 0
    rows = {row["variant"]: row for row in json.loads(capsys.readouterr().out)}
    assert {row["images"] for row in rows.values()} == {30}
    assert rows["base"]["top1"] >= 0.9 and rows["log-softmax"]["divergence"] > rows["base"]["divergence"] > 0
    chunks = sorted((tmp_path / "store").glob("*.npy"))
    assert len(chunks) == 4 * 2  # float32 and three variants, 20 images and 10
    # A kept chunk is used, unless its first image gives something else today.
    monkeypatch.setattr(accuracy, "_run", lambda job: pytest.fail("an image was run again"))
    spoilt = np.load(chunks[0])
    spoilt[-1] += 1
    np.save(chunks[0], spoilt)
    assert main(command(images, tmp_path / "store", "base", "log-softmax", "float")) == 0


def test_stale_results_are_measured_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    images = photographs(tmp_path, 3)
    (tmp_path / "store").mkdir()
    assert main(command(images, tmp_path / "store", "base")) == 0
    first = capsys.readouterr().out
    for path in (tmp_path / "store").glob("*.npy"):
        np.save(path, np.zeros_like(np.load(path)))
    assert main(command(images, tmp_path / "store", "base")) == 0
    assert capsys.readouterr().out == first


def test_cycles_of_the_small_machine(capsys: pytest.CaptureFixture[str]):
    assert main([str(MODEL), "base", "poly-gelu", "float", "--cycles", "--board", "tiny", "--json"]) == 0
    base, polynomial, floating = json.loads(capsys.readouterr().out)
    assert 80_000 < polynomial["cycles"] < base["cycles"] < 130_000
    assert base["cycles_from"] == "predicted" and floating["cycles"] is None


def test_every_variant_has_an_arithmetic_of_its_own():
    names = {variant_arithmetic("lean", variant).name for variant in (*TABLE, *SWEEPS)}
    assert len(names) == len(TABLE) + len(SWEEPS)
    assert variant_arithmetic("lean", TABLE[0]) == LEAN
    with pytest.raises(ValueError, match="unknown variant 'x'"):
        named(["x"])


def test_rows_are_merged_and_shown(tmp_path: Path):
    from sim.ablation.hardware import UnitCost

    unit = UnitCost("shiftmax", "xc7", 1000, 900, 0, 2.5, None)
    polynomial = UnitCost("shiftmax", "xc7", 1300, 1, 2, 0, 99.4)
    old = [Row("m", "lean", "base", 400, 0.8, 0.83, 0.9, 0.07, units=[unit])]
    new = [
        Row("m", "lean", "base", cycles=1234, cycles_from="predicted", board="tiny"),
        Row(
            "m",
            "lean",
            "poly-softmax",
            400,
            0.81,
            0.83,
            0.91,
            0.06,
            units=[polynomial],
        ),
    ]
    rows = merged(old, new)
    assert [(row.variant, row.images, row.cycles, len(row.units)) for row in rows] == [
        ("base", 400, 1234, 1),
        ("poly-softmax", 400, None, 1),
    ]
    results.write(tmp_path / "a.json", rows)
    assert results.read(tmp_path / "a.json") == sorted(rows, key=lambda row: row.key)
    page.page(rows, tmp_path)
    text = (tmp_path / "ablation.md").read_text()
    assert "| I-ViT | 400 | 80.00% | 83.00% | 90.00% | 0.0700 | 1,234 (predicted, tiny) |" in text
    assert "| shiftmax | lean, Shiftmax → polynomial (I-BERT) | xc7 | 1,300 | 1 | 2 | 0 | 99 |" in text
    assert (tmp_path / "pictures" / "ablation.png").stat().st_size > 5000
    (tmp_path / "a.json").write_text("[{}]")
    with pytest.raises(UserError, match="damaged"):
        results.read(tmp_path / "a.json")


def test_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for more, message in (
        (["x"], "unknown variant 'x'"),
        (["base", "--images", str(tmp_path)], "--images needs --labels"),
        (["base", "--board", "none"], "--board must be one of"),
        (["base", "--limit", "0"], "--limit and --processes at least 1"),
    ):
        assert main([str(MODEL), *more]) == 2
        assert message in capsys.readouterr().err
