"""The emulated board as a device: models and programs, the same integers as the reference, mistakes in one sentence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.compile import main as compile_main
from firmware.training import digits
from host.command.errors import HostError
from host.devices.registry import open_device
from host.run import main as run_main

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"
IMAGES = 3


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    held_out = digits.load("held-out")
    return [Image.fromarray(image) for image in held_out.images[:IMAGES]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "digits.program"
    assert compile_main([str(SHIPPED), "--board", "tiny", "-o", str(path), "--json"]) == 0
    return path


@pytest.mark.parametrize("compiled", [False, True], ids=["model", "program"])
def test_every_logit_is_the_references(pictures: list[Image.Image], program: Path, compiled: bool):
    with open_device("reference") as reference, open_device("sim:tiny") as board:
        reference.load(SHIPPED)
        loaded = board.load(program if compiled else SHIPPED)
        assert loaded.class_names == digits.CLASS_NAMES
        for answer, wanted in zip(board.stream(pictures), reference.stream(pictures), strict=True):
            np.testing.assert_array_equal(answer.logits, wanted.logits)
            assert answer.label == wanted.label and answer.confidence == wanted.confidence
            assert answer.cycles is not None and answer.cycles > 50_000


def test_the_command_tells_cycles(pictures: list[Image.Image], program: Path, tmp_path: Path, capsys):
    pictures[0].save(tmp_path / "digit.png")
    assert run_main(["--device", "sim:tiny", "--json", str(program), str(tmp_path / "digit.png")]) == 0
    assert '"cycles": 1' in capsys.readouterr().out


def test_a_program_for_another_board_is_refused(program: Path):
    with (
        open_device("sim:arty_a7") as board,
        pytest.raises(HostError, match="was compiled for tiny"),
    ):
        board.load(program)


def test_a_board_that_is_none(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(HostError, match="unknown board or configuration 'pluto'"):
        open_device("sim:pluto")


def test_a_damaged_program(program: Path, tmp_path: Path):
    content = bytearray(program.read_bytes())
    content[-100] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    (tmp_path / "half").write_bytes(program.read_bytes()[:5000])
    with open_device("sim:tiny") as board:
        for name in ("damaged", "half", "none"):
            with pytest.raises(HostError, match=name):
                board.load(tmp_path / name)
        with pytest.raises(HostError, match="has no program yet"):
            board.run(np.zeros((1, 3, 8, 8), np.int8))
