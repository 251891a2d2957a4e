"""Ctrl-C ends every command with one sentence and status 130, and nothing is left half-written."""

import ast
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.reference.errors import UserError, exit_status, made_folder
from tests.firmware.quantiser import small_vit
from tests.import_graph import ROOT, python_files

ANSWERS = {"exit_status", "run_command"}
# A compiler, and generators, of builds.
NO_COMMANDS = {"sim/verilator/object_cache.py", "hw/ethernet/composition.py", "hw/dram/fast_clock.py"}


def interrupted() -> int:
    raise KeyboardInterrupt


def test_an_interrupt_is_a_sentence(capsys):
    assert exit_status(interrupted) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def names_in(path: Path) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}


def commands() -> list[str]:
    """Every file that can be run."""
    return [str(path.relative_to(ROOT)) for path in python_files() if 'if __name__ == "__main__":' in path.read_text()]


def main_of(path: Path) -> Path:
    """Where a door's `main` is written."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == "main" for alias in node.names):
            return ROOT / Path(*node.module.split(".")).with_suffix(".py")
    return path


@pytest.mark.parametrize("command", sorted(set(commands()) - NO_COMMANDS))
def test_every_command_answers_an_interrupt(command: str):
    path = ROOT / command
    assert (names_in(path) | names_in(main_of(path))) & ANSWERS, f"{command} calls neither of {sorted(ANSWERS)}"


def run(arguments: list[str], cwd: Path = ROOT) -> subprocess.Popen[str]:
    """A command in a group of processes of its own, as a terminal's shell starts it."""
    # What is started in the background may have been told to ignore an interrupt.
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); " + arguments[0]
    return subprocess.Popen(
        [sys.executable, "-c", start, *arguments[1:]],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Status and standard error after Ctrl-C."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        return process.returncode, said
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("command", ["run", "quantize"])
def test_a_command_is_interrupted_while_it_reads_a_picture(command: str, tmp_path: Path):
    images = tmp_path / "images"
    images.mkdir()
    os.mkfifo(images / "0.png")  # to open it is to wait for somebody who writes
    if command == "run":
        model = str(ROOT / "models" / "digits.safetensors")
        words = ["from host import run; sys.exit(run.main(sys.argv[1:]))", "--device", "reference", model]
        words.append(str(images / "0.png"))
    else:
        weights = small_vit.write_weights(tmp_path / "w.safetensors", small_vit.weights(np.random.default_rng(1)))
        words = ["from firmware import quantize; sys.exit(quantize.main(sys.argv[1:]))", small_vit.ARCH]
        words += ["--weights", str(weights), "--calibrate", str(images), "-o", str(tmp_path / "m.model")]
    before = sorted(tmp_path.iterdir())
    process = run(words, tmp_path)
    writer = os.open(images / "0.png", os.O_WRONLY)
    try:
        assert ended(process) == (130, "Interrupted.\n")
    finally:
        os.close(writer)
    assert sorted(tmp_path.iterdir()) == before


def test_of_two_commands_one_answers():
    """`compile --check` and `--explore` run another command: a terminal's Ctrl-C reaches both."""
    other = "import sys, time; from sim.reference.errors import exit_status; "
    other += "sys.exit(exit_status(lambda: print('here', flush=True) or time.sleep(100)))"
    body = "from firmware.compile import _other; from sim.reference.errors import exit_status; "
    body += "sys.exit(exit_status(lambda: _other([sys.executable, '-c', sys.argv[1]])))"
    process = run([body, other])
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    assert ended(process) == (130, "Interrupted.\n")


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path):
    assert made_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(UserError, match=rf"^The folder {folder} cannot be written: .+; choose another\.$"):
            made_folder(folder)
