"""`host.run --watch` and `--camera`: whole images, each once; a camera through a stand-in of OpenCV."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from host import run
from host.command.errors import HostError
from host.images import live


def grey(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(stream, "png")
    return stream.getvalue()


class Script:
    """Does one thing at each poll, and interrupts when there is nothing left to do."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps: Iterator[Callable[[], object]] = iter(steps)

    def __call__(self, seconds: float) -> None:
        step = next(self.steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()


def nothing() -> None:
    pass


def seen(folder: Path, *steps: Callable[[], object]) -> list[tuple[str, int]]:
    """Name and grey of what comes."""
    found = []
    with pytest.raises(KeyboardInterrupt):
        for path, picture in live.watch(folder, Script(*steps)):
            found.append((path.name, int(np.asarray(picture)[0, 0, 0])))
    return found


def test_what_is_there_comes_first_and_each_name_once(tmp_path: Path):
    (tmp_path / "b.png").write_bytes(grey(2))
    (tmp_path / "a.png").write_bytes(grey(1))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    late = tmp_path / "c.png"
    found = seen(tmp_path, nothing, lambda: late.write_bytes(grey(3)), nothing, nothing, nothing)
    assert found == [("a.png", 1), ("b.png", 2), ("c.png", 3)]


def test_a_half_written_file_waits_until_it_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    picture = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    picture[0, 0] = 77
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    path, content = tmp_path / "slow.png", stream.getvalue()
    # Written in pieces, with polls at which it has not grown: stable, and still not whole.
    pieces = [content[:end] for end in (0, 10, 50, len(content) // 2, len(content) - 100)]
    steps = [step for p in pieces for step in (lambda p=p: path.write_bytes(p), nothing, nothing)]
    assert seen(tmp_path, *steps) == []
    path.unlink()
    assert seen(tmp_path, *steps, lambda: path.write_bytes(content), nothing, nothing, nothing) == [("slow.png", 77)]
    assert capsys.readouterr().err == ""


def test_what_is_no_image_is_said_once_and_taken_when_it_is_mended(tmp_path: Path, capsys):
    path = tmp_path / "bad.png"
    path.write_bytes(b"not an image")
    steps = [nothing] * (2 * live.PATIENCE)
    assert seen(tmp_path, *steps, lambda: path.write_bytes(grey(9)), nothing, nothing) == [("bad.png", 9)]
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "bad.png" in err


def test_a_name_that_is_gone_and_back_is_new(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(grey(1))
    found = seen(tmp_path, nothing, path.unlink, lambda: path.write_bytes(grey(2)), nothing, nothing)
    assert found == [("a.png", 1), ("a.png", 2)]


def test_a_folder_that_goes(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(HostError, match="Cannot look into"):
        next(live.watch(folder, Script(folder.rmdir)))
    with pytest.raises(HostError, match="is not a folder"):
        next(live.watch(folder))


def test_the_command_watches(brightness, program: Path, tmp_path: Path, capsys, monkeypatch):
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "white.png").write_bytes(grey(240))
    script = Script(nothing, lambda: (folder / "black.png").write_bytes(grey(3)), nothing, nothing)
    monkeypatch.setattr("host.images.live.watch.__defaults__", (script,))
    assert run.main(["--device", "brightness", "--json", str(program), "--watch", str(folder)]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(Path(a["file"]).name, a["top"][0]["name"]) for a in answers] == [
        ("white.png", "white"),
        ("black.png", "black"),
    ]
    assert brightness[0].closed


class Capture:
    """OpenCV's VideoCapture: three pictures, red in its order of colours, then none."""

    released = 0

    def __init__(self, number: int) -> None:
        self.left, self.number = 3, number

    def isOpened(self) -> bool:
        return self.number < 2

    def read(self):
        self.left -= 1
        frame = np.zeros((4, 4, 3), np.uint8)
        frame[:, :, 2] = 200
        return self.left >= 0, frame

    def release(self) -> None:
        Capture.released += 1


def test_a_camera(brightness, program: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(VideoCapture=Capture))
    assert next(live.camera(0)).getpixel((0, 0)) == (200, 0, 0)
    assert run.main(["--device", "brightness", "--top-k", "1", str(program), "--camera", "1"]) == 2
    out, err = capsys.readouterr()
    assert "gives no picture any more" in err and err.count("\n") == 1
    assert run.main(["--device", "brightness", str(program), "--camera", "5"]) == 2
    assert "There is no camera 5" in capsys.readouterr().err


def test_no_opencv(brightness, program: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run.main(["--device", "brightness", str(program), "--camera"]) == 2
    out, err = capsys.readouterr()
    assert "needs OpenCV" in err and err.count("\n") == 1


@pytest.mark.parametrize("more", [[], ["x.png", "--camera"], ["--watch", ".", "--camera", "1"]])
def test_one_source(more: list[str], brightness, program: Path, capsys):
    assert run.main(["--device", "brightness", str(program), *more]) == 2
    assert "only one of the three" in capsys.readouterr().err
