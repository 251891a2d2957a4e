"""The bench command on the small machine, and the table that it keeps."""

import json
from pathlib import Path

import pytest

from sim.reference.errors import UserError
from sim.studies.performance import tables
from sim.studies.performance.command import main

KEYS = {
    *("model", "board", "arithmetic", "cycles", "predicted_cycles", "dsp", "macs", "macs_per_dsp_cycle", "exact"),
    *("stalls", "emulation_seconds", "command"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def row(pictures: Path) -> dict:
    """One run, on the small machine, with its pictures."""
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("builtins.print", lambda text: printed.append(text))
        assert main(["digits", "--board", "tiny", "--json", "--pictures", str(pictures)]) == 0
    (found,) = json.loads(printed[0])
    return found


def test_a_row_tells_of_the_frame(row: dict):
    assert set(row) >= KEYS
    assert row["memories_compared"] == ["arty_a7", "random:1", "random:2"]
    assert row["exact"] is True and row["tensors_compared"] > 35
    assert row["macs_per_dsp_cycle"] == pytest.approx(row["macs"] / row["dsp"] / row["cycles"], abs=1e-4)
    # Every cycle of the array has one cause.
    steps = row["array_utilisation"] * row["cycles"]
    assert steps + sum(row["stalls"].values()) <= row["cycles"] + 1
    assert row["predicted_cycles"] == pytest.approx(row["cycles"], rel=0.15)
    assert row["command"] == "python -m sim.bench digits --board tiny --arithmetic lean"


def test_the_pictures_are_there(row: dict, pictures: Path):
    names = sorted(path.name for path in pictures.iterdir())
    assert names == ["digits_tiny_lean_roofline.png", "digits_tiny_lean_timeline.png"]
    assert all((pictures / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_a_new_row_replaces_its_own_and_no_other(row: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    other = {**row, "model": "other", "macs": row["macs"] + 1}
    tables.write([row])
    tables.write([other])
    kept = tables.write([{**row, "cycles": row["cycles"] + 1000}])
    assert [one["model"] for one in kept] == ["digits", "other"]
    assert json.loads((tmp_path / "performance.json").read_text()) == kept
    page = (tmp_path / "performance.md").read_text()
    assert f"{row['cycles'] + 1000:,}" in page and f"| other | tiny | lean | {row['cycles']:,} |" in page
    assert row["command"] in page


def test_a_damaged_table_is_left_alone(row: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    (tmp_path / "performance.json").write_text("[{")
    with pytest.raises(UserError, match="is no JSON file"):
        tables.write([row])
    assert [path.name for path in tmp_path.iterdir()] == ["performance.json"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["digits", "--board", "nowhere"], "unknown board or configuration 'nowhere'"),
        (["digits", "--memory", "core"], "--memory: memory must be one of"),
        (["nothing.safetensors"], "nothing.safetensors"),
        (["random:resnet50"], "Unknown architecture"),
        (["digits", "--board", "tiny", "--pictures", "nowhere"], "nowhere is not a folder"),
        (["digits", "--board", "tiny", "--set", "width=3"], "--set width=3 names no number of the configuration"),
        (["digits", "--board", "tiny", "--set", "rows=3"], "rows must be 4 to 64, not 3"),
        (["digits", "--board", "tiny", "--set", "rows=5", "--docs"], "--docs takes the boards as they are"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err and "Traceback" not in captured.err
