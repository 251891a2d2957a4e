"""An emulated board in a process of its own, through the serial and the socket devices."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.compile import main as compile_main
from firmware.training import digits
from host.command.errors import HostError
from host.devices.registry import open_device
from sim.emulator.serve import main as serve_main

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "digits.program"
    assert compile_main([str(SHIPPED), "--board", "tiny", "-o", str(path), "--json"]) == 0
    return path


@pytest.fixture(params=[[], ["--tcp", "0"], ["--udp", "0"]], ids=["pty", "tcp", "udp"])
def spec(request: pytest.FixtureRequest) -> Iterator[str]:
    """The device's name, as the process says it."""
    command = [sys.executable, "-m", "sim.emulator.serve", "--board", "tiny", *request.param]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.partition("--device ")[2].strip()
        finally:
            process.terminate()
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()


def test_a_program_goes_over_and_the_answers_are_the_references(spec: str, program: Path):
    pictures = [Image.fromarray(image) for image in digits.load("held-out").images[:3]]
    with open_device("reference") as reference:
        reference.load(SHIPPED)
        wanted = list(reference.stream(pictures))
    for file in (program, SHIPPED):  # a second client finds a working board, and a model is compiled for it
        with open_device(spec) as board:
            board.load(file)
            answers = list(board.stream(pictures))
        for answer, expected in zip(answers, wanted, strict=True):
            np.testing.assert_array_equal(answer.logits, expected.logits)
            assert answer.cycles is not None and answer.cycles > 50_000


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("serial:/dev/nothing", "cannot be opened"),
        ("serial:/dev/nothing,parity=even", "no option 'parity=even'"),
        ("serial:/dev/nothing,baud=12", "no option 'baud=12'"),
        ("tcp:nowhere", "takes HOST:PORT"),
        ("tcp:127.0.0.1:1", "Nothing answers"),
        ("udp:127.0.0.1:1", "Nothing listens at 127.0.0.1:1"),
        ("udp:127.0.0.1:x", "takes HOST or HOST:PORT, a port of 1 to 65535, not '127.0.0.1:x'"),
        ("udp::7", "takes HOST or HOST:PORT"),
        ("udp:no.such.host.invalid", "There is no host 'no.such.host.invalid'"),
        ("udp:255.255.255.255", "Datagrams to 255.255.255.255:49768 fail"),
        ("sim:tiny,fast", "no option 'fast'"),
        ("sim:tiny,baud=7", "no option 'baud=7'"),
        ("sim:tiny,ethernet=x", "no option 'ethernet=x'"),
    ],
)
def test_a_wrong_device_is_one_sentence(spec: str, sentence: str):
    with pytest.raises(HostError, match=sentence):
        open_device(spec)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--board", "pluto"], "unknown board"),
        (["--memory", "core"], "--memory: memory must be one of"),
        (["--tcp", "here"], "--tcp takes PORT"),
        (["--tcp", "99999999"], "a port of 0 to 65535"),
        (["--udp", "here"], "--udp takes PORT"),
        (["--udp", "192.0.2.1:4000"], "--udp: nobody can listen"),
        (["--tcp", "192.0.2.1:4000"], "nobody can listen"),
    ],
)
def test_a_wrong_server_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert serve_main(arguments) == 2
    assert sentence in capsys.readouterr().err
