"""`python -m host.faults --short`, and that its bench sees what it must not let pass."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware.quantiser.random_model import random_model
from host.command.errors import HostError
from host.faults import __main__ as faults
from host.faults.bench import Row
from host.faults.cases import CASES
from host.faults.channel import FaultyTransport
from host.link.transport import InProcessTransport
from sim.reference.architecture import parse_architecture


def test_every_fault_is_survived(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """On a model of few cycles; `python -m host.faults` has the shipped one and many more of each fault."""
    model = tmp_path / "small.safetensors"
    shape = parse_architecture("vit:image=8,patch=4,dim=16,depth=1,heads=1,classes=4")
    random_model(shape, "lean", np.random.default_rng(1)).save(model)
    status = faults.main(["--short", "--model", str(model)])
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()[1:]]
    assert (status, err) == (0, "")
    assert len(rows) == len(CASES) + faults.SERVED
    assert {row[-1] for row in rows} == {"pass"} and {row[4] for row in rows} == {"0"}


def wrong(row: Row) -> None:
    row.wrong += 1


def not_recovered(row: Row) -> None:
    row.not_recovered += 1


def too_long(row: Row) -> None:
    row.took(2.0, 1.0)


def no_sentence(row: Row) -> None:
    row.heard("Traceback\n...")


@pytest.mark.parametrize("spoil", [wrong, not_recovered, too_long, no_sentence])
def test_a_row_fails(spoil: Callable[[Row], None]):
    def survived() -> Row:
        row = Row("fault", recovered=1)
        row.took(0.5, 1.0)
        row.heard("The device does not answer: check the cable.")
        return row

    spoiled = survived()
    spoil(spoiled)
    assert survived().passed and not spoiled.passed
    assert not Row("nothing was tried").passed


def test_a_traceback_is_a_failed_row_and_a_wrong_label_an_exit_status(capsys, monkeypatch):
    def crashes(bench: object, short: bool) -> Row:
        raise ZeroDivisionError("by hand")

    class Bench:
        def __init__(self, *_: object) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(faults, "Bench", Bench)
    monkeypatch.setattr(faults, "served_rows", lambda bench: iter(()))
    monkeypatch.setattr(faults, "served_udp_rows", lambda bench: iter(()))
    monkeypatch.setattr(faults, "CASES", (crashes, lambda bench, short: Row("fine", recovered=1)))
    assert faults.main(["--short"]) == 1
    out, err = capsys.readouterr()
    assert [line.split("\t")[-1] for line in out.splitlines()[1:]] == ["FAIL", "pass"]
    assert "ZeroDivisionError: by hand" in err
    monkeypatch.setattr(faults, "CASES", (lambda bench, short: Row("label", wrong=1, recovered=1),))
    assert faults.main(["--short"]) == 1
    assert "1 wrong" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "more"), [("flip", 0), ("drop", -1), ("double", 1), ("insert", 1)])
def test_faults_of_bytes(kind: str, more: int):
    sent = bytearray()

    def take(content: bytes, seconds: float) -> bytes:
        sent.extend(content)
        return b""

    line = FaultyTransport(InProcessTransport(take), random.Random(1), kind, rate=0.01)
    content = random.Random(2).randbytes(100_000)
    line.write(content)
    assert 800 < line.faults < 1200
    assert len(sent) == len(content) + more * line.faults
    if kind == "flip":
        assert sum(a != b for a, b in zip(sent, content, strict=True)) == line.faults


def test_a_cable_is_pulled_and_back():
    got = bytearray()

    def take(content: bytes, seconds: float) -> bytes:
        got.extend(content)
        return b""

    line = FaultyTransport(InProcessTransport(take), random.Random(1))
    line.pull_at, line.pull_seconds = 5, 1.0
    for content in (b"123", b"45", b"6"):
        line.write(content)
    line.pause(2.0)
    line.write(b"7")
    assert got == b"1237" and line.faults == 3


@pytest.mark.parametrize("spec", ["reference", "serial:/dev/ttyUSB1", "sim:pluto"])
def test_a_board_that_cannot_be_broken(spec: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(HostError, match="tried on an emulated board"):
        faults.board(spec)
    assert faults.main(["--device", spec]) == 2
