"""An emulated board in a process of its own, through the serial and the socket devices."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.compile import main as compile_main
from firmware.training import digits
from host.command.errors import HostError
from host.devices.registry import open_device
from host.evaluate import main as evaluate_main
from host.run import main as run_main
from sim.emulator.serve import main as serve_main
from tests.host.devices.served_board import served_board
from tests.host.page.test_page import label, served

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "digits.program"
    assert compile_main([str(SHIPPED), "--board", "tiny", "-o", str(path), "--json"]) == 0
    return path


@pytest.fixture(params=[[], ["--tcp", "0"], ["--udp", "0"]], ids=["pty", "tcp", "udp"])
def spec(request: pytest.FixtureRequest) -> Iterator[str]:
    """The device's name, as the process says it."""
    with served_board(*request.param) as spec:
        yield spec


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


def test_the_commands_over_udp(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`host.run`, `host.evaluate` and the page of `host.serve` have the reference's logits, bit for bit."""
    held_out, folder = digits.load("held-out"), str(tmp_path)
    digits.write_images(digits.DigitSet(held_out.images[:3], held_out.labels[:3], held_out.indices[:3]), tmp_path)
    files = sorted(tmp_path.glob("*.png"))
    assert run_main(["--device", "reference", "--json", str(SHIPPED), folder]) == 0
    wanted = [one["logits"] for one in json.loads(capsys.readouterr().out)["images"]]
    assert len(wanted) == len(files) == 3 and len({tuple(logits) for logits in wanted}) == 3
    with served_board("--udp", "0") as spec:
        assert run_main(["--device", spec, "--json", str(program), folder]) == 0
        assert [one["logits"] for one in json.loads(capsys.readouterr().out)["images"]] == wanted
        command = ["--device", spec, "--images", folder, "--labels", str(tmp_path / "labels.csv")]
        assert evaluate_main([*command, "--reference", str(SHIPPED), str(program)]) == 0
        assert "logits as the reference, bit for bit: 3 of 3" in capsys.readouterr().out

        async def ask(client):
            return [(await label(client, file.read_bytes()))[1]["logits"] for file in files]

        assert served(program, ask, spec) == wanted


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
