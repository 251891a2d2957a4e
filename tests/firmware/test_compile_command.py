"""The command that compiles: the configuration that a model needs is chosen, said, and kept in the program."""

from pathlib import Path

import numpy as np
import pytest

from firmware import compile as compile_command
from firmware.program.file import load_program
from firmware.quantiser.random_model import random_model
from sim.reference.architecture import parse_architecture

VIT = "vit:image=16,patch=8,dim=32,depth=1,heads=2,classes=5"
SWIN = "swin:image=16,patch=2,dim=32,depths=1-1,heads=1-2,window=4,classes=5"


def compiled(folder: Path, arch: str, arithmetic: str, *more: str) -> int:
    model = random_model(parse_architecture(arch), arithmetic, np.random.default_rng(1))
    model.save(folder / "m.model")
    return compile_command.main([str(folder / "m.model"), "--board", "tiny", "-o", str(folder / "p"), "--json", *more])


@pytest.mark.parametrize(
    ("arch", "arithmetic", "settings", "bits"),
    [
        (VIT, "lean", (), 10),
        (VIT, "official", (), 16),
        (SWIN, "lean", (), 10),
        (SWIN, "official", ("official_softmax_bits=8",), 8),
    ],
)
def test_the_probabilities_are_those_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arch: str, arithmetic: str, settings: tuple[str, ...], bits: int
):
    assert compiled(tmp_path, arch, arithmetic) == 0
    program = load_program(tmp_path / "p")
    assert program.settings == settings and program.config.probability_bits == bits
    notice = capsys.readouterr().err
    assert notice.count("\n") == len(settings)
    for setting in settings:
        assert f"`--arithmetic official --set {setting}`" in notice


def test_other_probabilities_that_were_asked_for_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert compiled(tmp_path, SWIN, "official", "--set", "official_softmax_bits=16") == 2
    message = capsys.readouterr().err
    assert "probabilities of 8 bits" in message and "leave official_softmax_bits to the compiler" in message
    assert not (tmp_path / "p").exists()


def test_the_check_takes_the_memories_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commands: list[list[str]] = []

    def started(command: list[str]) -> int:
        commands.append(command)
        return 1

    monkeypatch.setattr(compile_command, "_other", started)
    assert compiled(tmp_path, VIT, "lean", "--check", "--memory", "random:7", "--memory", "ideal") == 1
    (command,) = commands
    assert command[1:4] == ["-m", "sim.emulator.check", str(tmp_path / "p")]
    assert command[-4:] == ["--memory", "random:7", "--memory", "ideal"]


def test_a_memory_without_a_check_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert compiled(tmp_path, VIT, "lean", "--memory", "random:7") == 2
    assert "--memory names what --check runs with" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
