"""`python -m host.pace`: a line's rate and the machine's waiting, on a model of few cycles."""

import json
from pathlib import Path

import numpy as np
import pytest

from firmware.quantiser.random_model import random_model
from host.pace import main
from sim.reference.architecture import parse_architecture

SHAPE = "vit:image=16,patch=4,dim=32,depth=1,heads=1,classes=4"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    random_model(parse_architecture(SHAPE), "lean", np.random.default_rng(1)).save(path)
    return path


def pace(model: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, float]:
    capsys.readouterr()
    assert main(["--board", "tiny", "--frames", "4", "--json", *arguments, str(model)]) == 0
    found: dict[str, float] = json.loads(capsys.readouterr().out)
    return found


def test_ethernet_keeps_the_machine_at_work_where_a_uart_does_not(model: Path, capsys: pytest.CaptureFixture[str]):
    ethernet = pace(model, capsys, "--round-trip", "20", "--load")
    uart = pace(model, capsys, "--baud", "12000000")
    assert ethernet["program_bytes"] > 5_000 and ethernet["program_bytes_per_second"] > 4e6
    assert "program_bytes" not in uart and ethernet["sent_again"] == uart["sent_again"] == 0
    assert ethernet["image_bytes"] == uart["image_bytes"] == 16 * 16 * 3
    # A full packet's time on each line, and the way there and back.
    assert ethernet["images_per_second"] > 3 * uart["images_per_second"]
    assert 0 < ethernet["idle"] < uart["idle"] < 1
    assert ethernet["frames_per_second"] > uart["frames_per_second"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frames", "3"], "--frames must be at least 4, not 3"),
        (["--baud", "0"], "--baud must be positive"),
        (["--board", "pluto"], "unknown board"),
    ],
)
def test_mistakes(model: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main([*arguments, str(model)]) == 2
    assert sentence in capsys.readouterr().err
