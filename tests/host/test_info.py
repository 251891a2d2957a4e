"""`python -m host.info`: devices, programs, models, boards on USB."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware.compile import main as compile_main
from gateware.config import PRESETS, config
from gateware.link.packets import ErrorCode, MachineState
from gateware.machine import identity
from host import info
from host.link.device_info import configuration_name, state_text
from host.link.udp import FoundBoard

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "digits.safetensors"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "digits.program"
    assert compile_main([str(SHIPPED), "--board", "tiny", "-o", str(path), "--json"]) == 0
    return path


def test_a_board_and_a_program_for_it(program: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert info.main(["--device", "sim:tiny", "--json", str(program)]) == 0
    found = json.loads(capsys.readouterr().out)
    machine = config("tiny", "lean")
    assert found["device"]["configuration"] == "tiny, lean arithmetic"
    assert found["device"]["fingerprint"] == found["file"]["fingerprint"] == f"{machine.fingerprint:08x}"
    assert found["device"]["memory_bytes"] == 16 << machine.address_bits
    assert found["device"]["clock_mhz"] == machine.clock_mhz
    assert (found["device"]["state"], found["fits"]) == ("idle", True)
    assert (found["file"]["kind"], found["file"]["board"], found["file"]["outputs"]) == (
        "program",
        "tiny",
        "classes (10)",
    )
    assert found["file"]["instructions"] > 1000


def test_a_program_for_another_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "arty.program"
    assert compile_main([str(SHIPPED), "--board", "arty_a7", "-o", str(path), "--json"]) == 0
    capsys.readouterr()
    assert info.main(["--device", "sim:tiny", str(path)]) == 1
    out = capsys.readouterr().out
    assert "tiny, lean arithmetic" in out and "does not run on sim:tiny" in out


def test_a_model_has_predicted_cycles(capsys: pytest.CaptureFixture[str]):
    assert info.main(["--board", "tiny", "--json", str(SHIPPED)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["device"] is None and found["file"]["kind"] == "model"
    assert 50_000 < found["file"]["predicted_cycles"] < 200_000


def test_a_device_that_is_no_machine(capsys: pytest.CaptureFixture[str]):
    assert info.main(["--device", "reference", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == {"device": "reference", "machine": None}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "pluto"], "There is no device"),
        (["nowhere"], "is not a file"),
        (["pyproject.toml"], "no program file"),
        (["--board", "pluto", str(SHIPPED)], "unknown board"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert info.main(arguments) == 2
    out, err = capsys.readouterr()
    assert sentence in err and err.count("\n") == 1


def test_known_boards(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    ports = [
        SimpleNamespace(device="/dev/ttyUSB0", vid=0x0403, pid=0x6010, location="1-2:1.0"),
        SimpleNamespace(device="/dev/ttyUSB1", vid=0x0403, pid=0x6010, location="1-2:1.1"),
        SimpleNamespace(device="/dev/ttyUSB2", vid=0x0403, pid=0x6015, location=None),
        SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, location=None),
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    here = dataclasses.replace(identity(config("tiny"), 1 << 20), clock_khz=1)
    found = [FoundBoard("10.0.0.7", here), FoundBoard("10.0.0.9", None)]
    monkeypatch.setattr(info, "found_boards", lambda seconds: found)
    assert info.main([]) == 0
    assert capsys.readouterr().out == (
        "boards on USB: Arty A7 at serial:/dev/ttyUSB1, ULX3S at serial:/dev/ttyUSB2\n"
        "boards on the network: tiny, lean arithmetic at udp:10.0.0.7, another version of the link's protocol at "
        "udp:10.0.0.9\n"
    )


def test_names_of_configurations():
    for name in PRESETS:
        for arithmetic in ("lean", "lean:softmax_bits=8", "official"):
            assert configuration_name(config(name, arithmetic).fingerprint) == f"{name}, {arithmetic} arithmetic"
    other = dataclasses.replace(config("tiny"), rows=5)
    assert configuration_name(other.fingerprint) is None
    swin = config("tiny", "official").with_probabilities(8)
    assert configuration_name(swin.fingerprint) == "tiny, official arithmetic, official_softmax_bits=8"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (MachineState(True, 0), "running"),
        (MachineState(False, 0), "idle"),
        (MachineState(False, ErrorCode.WATCHDOG), "stopped: WATCHDOG"),
        (MachineState(False, 15), "stopped: code 15"),
    ],
)
def test_states(state: MachineState, text: str):
    assert state_text(state) == text
