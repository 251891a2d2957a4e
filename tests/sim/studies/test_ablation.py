"""The ablation command: what it measures, keeps and writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.training import digits
from sim.reference.arithmetic import LEAN
from sim.reference.errors import UserError
from sim.studies.ablation import accuracy, page, results
from sim.studies.ablation.command import command_of, main
from sim.studies.ablation.hardware import UnitCost
from sim.studies.ablation.results import Row, merged
from sim.studies.ablation.variants import SWEEPS, TABLE, named, variant_arithmetic

ROOT = Path(__file__).resolve().parents[3]
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
    assert 80_000 < polynomial["predicted"] < base["predicted"] < 130_000
    assert base["board"] == "tiny" and base["emulated"] is None and floating["predicted"] is None
    assert base["commands"] == {
        "predicted": f"python -m sim.ablation {MODEL} base poly-gelu float --cycles --board tiny --json"
    }


def test_an_alternative_runs_in_an_emulated_machine(capsys: pytest.CaptureFixture[str]):
    assert main([str(MODEL), "poly-softmax", "--emulate", "--cycles", "--board", "tiny", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert abs(row["emulated"] / row["predicted"] - 1) < 0.15


def test_the_shipped_model_brings_its_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["digits", "base", "--limit", "40", "--store", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["model"], row["images"]) == ("digits", 40) and row["top1"] >= 0.9
    assert row["commands"] == {"accuracy": "python -m sim.ablation digits base --limit 40 --json"}


def test_a_command_names_no_files_of_the_user():
    words = ["m", "--weights", "/home/w", "--images=/home/i", "--store", "/s", "--processes=2", "--skip", "100"]
    assert command_of(words) == "python -m sim.ablation m --weights FILE --images DIR --skip 100"


def test_every_variant_has_an_arithmetic_of_its_own():
    names = {variant_arithmetic("lean", variant).name for variant in (*TABLE, *SWEEPS)}
    assert len(names) == len(TABLE) + len(SWEEPS)
    assert variant_arithmetic("lean", TABLE[0]) == LEAN
    eight = [variant_arithmetic("lean:softmax_bits=8", named([name])[0]).name for name in ("base", "softmax-bits=10")]
    assert eight == ["lean:softmax_bits=8", "lean:softmax_bits=10"]
    with pytest.raises(ValueError, match="unknown variant 'x'"):
        named(["x"])


def test_rows_are_merged_and_shown(tmp_path: Path):
    unit = UnitCost("shiftmax", "xc7", 1000, 900, 0, 2.5, None)
    routed = UnitCost("shiftmax", "ecp5", 1500, 900, 0, 5, 120.2)
    gelu = UnitCost("shiftgelu", "xc7", 500, 100, 0, 1, None)
    polynomial = [UnitCost("shiftmax", "xc7", 1300, 1, 2, 0, None), UnitCost("shiftmax", "ecp5", 1700, 1, 2, 0, 99.4)]
    both = [*polynomial, UnitCost("shiftgelu", "xc7", 700, 9, 0, 1, None)]
    old = [Row("m", "lean", "base", 400, 0.8, 0.83, 0.9, 0.07, units=[unit], commands={"accuracy": "a", "units": "u"})]
    new = [
        Row("m", "lean", "base", board="tiny", predicted=1234, units=[routed, gelu], commands={"units": "v"}),
        Row("m", "lean", "poly-softmax", 400, 0.81, 0.83, 0.91, 0.06, "tiny", None, 99, polynomial),
        Row("m", "lean", "i-bert", 400, 0.5, 0.83, 0.91, 0.06, units=both),
        Row("m", "lean", "softmax-bits=12", 20, 0.5, 0.83, 0.75, 0.06, units=polynomial[:1]),
    ]
    rows = merged(old, new)
    assert [(row.variant, row.images, row.predicted, len(row.units)) for row in rows] == [
        ("base", 400, 1234, 3),
        ("poly-softmax", 400, None, 2),
        ("i-bert", 400, None, 3),
        ("softmax-bits=12", 20, None, 1),
    ]
    assert rows[0].commands == {"accuracy": "a", "units": "v"}
    results.write(tmp_path / "a.json", rows)
    assert results.read(tmp_path / "a.json") == sorted(rows, key=lambda row: row.key)
    page.page(rows, tmp_path)
    text = (tmp_path / "ablation.md").read_text()
    for line in (
        "| I-ViT | 400 | 80.00% | 90.00% | 0.0700 | 1,234 |  |  |  |  |  |  |",
        "| Shiftmax → polynomial (I-BERT) | 400 | 81.00% | 91.00% | 0.0600 |  | 99 | 1,300 (1,000) | 1 (900) | 2 (0) |"
        " 0 (2.5) | 99 (120) |",
        # Two changed units are summed; the second was not routed, so nothing is said of the clock.
        "| both polynomials (I-BERT) | 400 | 50.00% | 91.00% | 0.0600 |  |  | 2,000 (1,500) | 10 (1,000) | 2 (0) |"
        " 1 (3.5) |  |",
        "| softmax bits 12 | 20 | 50.00% | 75.00% | 0.0600 |  |  | 1,300 (1,000) | 1 (900) | 2 (0) | 0 (2.5) |  |",
        "| shiftmax | lean, Shiftmax → polynomial (I-BERT) | ecp5 | 1,700 | 1 | 2 | 0 | 99 |",
        "The float model's top-1 is 83.00%. Cycles are those of `tiny`.",
    ):
        assert line in text.splitlines()
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
