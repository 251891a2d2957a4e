"""`python -m host.run`: output in a pipe, JSON, and every mistake as one sentence with exit status 2."""

import json
from pathlib import Path

import pytest
from PIL import Image

from host import run


def test_a_line_for_each_image_in_a_pipe(brightness, program: Path, folder: Path, capsys):
    files = [str(folder / "grey_240.png"), str(folder / "grey_016.png")]
    assert run.main(["--device", "brightness", "--top-k", "2", str(program), *files]) == 0
    out, err = capsys.readouterr()
    lines = [line.split("\t") for line in out.splitlines()]
    assert [line[0] for line in lines] == files
    assert [[entry.rsplit(" ", 1)[0] for entry in line[1:]] for line in lines] == [
        ["3 white", "2 light"],
        ["0 black", "1 dark"],
    ]
    assert err == ""


def test_json_has_every_image_of_a_folder_by_name(brightness, program: Path, folder: Path, capsys):
    assert run.main(["--device", "brightness:counting", "--json", "--top-k", "1", str(program), str(folder)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["device"], result["architecture"]) == ("brightness:counting", "brightness")
    files = [Path(entry["file"]).name for entry in result["images"]]
    assert files == sorted(path.name for path in folder.glob("*.png"))  # labels.csv is not an image
    assert [entry["top"][0]["class"] for entry in result["images"]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert result["images"][0]["logits"] == [-32, -320, -288, -208]
    assert {entry["cycles"] for entry in result["images"]} == {1000}


def test_a_terminal_gets_a_table(brightness, program: Path, folder: Path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert run.main(["--device", "brightness", str(program), str(folder / "grey_240.png")]) == 0
    out = capsys.readouterr().out
    assert "confidence" in out and "white" in out and "\t" not in out


def damaged(folder: Path) -> Path:
    path = folder / "cut.png"
    path.write_bytes((folder / "grey_016.png").read_bytes()[:45])
    return path


def text(folder: Path) -> Path:
    path = folder / "text.png"
    path.write_text("not an image")
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (damaged, "Cannot read the image"),
        (text, "it is not an image that Pillow knows"),
        (empty, "has no images"),
        (lambda folder: folder / "absent.png", "does not exist: name an image file"),
    ],
)
def test_a_bad_image_is_one_sentence(make, sentence, brightness, program: Path, folder: Path, capsys):
    path = make(folder)
    assert run.main(["--device", "brightness", str(program), str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err and str(path) in err
    assert len(err.splitlines()) == 1


def test_an_unknown_device_is_one_sentence(program: Path, folder: Path, capsys):
    assert run.main(["--device", "fpga", str(program), str(folder)]) == 2
    assert capsys.readouterr().err.startswith("There is no device 'fpga'")


def test_a_top_k_of_nothing_is_refused(brightness, program: Path, folder: Path, capsys):
    assert run.main(["--device", "brightness", "--top-k", "0", str(program), str(folder)]) == 2
    assert "--top-k must be at least 1, not 0" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_kind_of_picture_reaches_the_model_as_rgb(mode, brightness, program: Path, tmp_path: Path, capsys):
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    Image.new(mode, (6, 5)).save(path)
    assert run.main(["--device", "brightness", "--top-k", "1", str(program), str(path)]) == 0


def test_a_broken_picture_in_a_folder_is_reported_and_the_others_are_labelled(
    brightness, program: Path, folder: Path, capsys
):
    (folder / "grey_050.png").write_bytes((folder / "grey_048.png").read_bytes()[:45])
    (folder / "zebra.jpg").write_text("not a picture")
    arguments = ["--device", "brightness", "--top-k", "1", str(program), str(folder)]
    assert run.main(arguments) == 2
    out, err = capsys.readouterr()
    named = [Path(line.split("\t")[0]).name for line in out.splitlines()]
    assert named == [f"grey_{grey:03}.png" for grey in range(16, 256, 32)]
    assert [line.split("\t")[1].split()[0] for line in out.splitlines()] == list("00112233")
    first, second = err.splitlines()
    assert "grey_050.png" in first and "zebra.jpg: it is not an image that Pillow knows." in second
    assert run.main(["--json", *arguments]) == 2
    result = json.loads(capsys.readouterr().out)
    assert len(result["images"]) == 8
    assert [Path(entry["file"]).name for entry in result["refused"]] == ["grey_050.png", "zebra.jpg"]
    assert [entry["error"] for entry in result["refused"]] == err.splitlines()
