"""The listing of a program, the table of the instruction set, and the command's answers to bad input."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from firmware.disassemble import decode, instruction_table, listing, main
from firmware.program.assembler import Assembler
from gateware.config import config
from gateware.isa import ISA_VERSION, REGISTERS, Engine, LoadTarget, Op, PostMode, Transform, encode

ROOT = Path(__file__).resolve().parents[3]


def program() -> Assembler:
    result = Assembler(config("tiny"))
    result.set(Engine.LOADT, "CONFIG", {"target": LoadTarget.B, "transform": Transform.SHIFTGELU, "row_limit": 9})
    result.set(Engine.LOADT, "DST_JUMP2", -3)
    result.set(Engine.EXEC, "POST", {"mode": PostMode.RESIDUAL, "clamp_packed": 1})
    result.set(Engine.EXEC, "POST", 0)
    result.wait(Engine.EXEC, 4, 2)
    result.run(Engine.EXEC, written=6)
    result.signal(Engine.VEC, 5)
    result.mark(3)
    result.end()
    return result


EXPECTED = """\
      2  10000099  LOADT    CONFIG = 153 (target=B transform=SHIFTGELU row_limit=9)
      3  0f3ffffd  LOADT    DST_JUMP2 = -3
      4  47000023  EXEC     POST = 35 (mode=RESIDUAL clamp_packed=1)
      5  47000000  EXEC     POST = 0 (all fields 0)
      6  59000204  EXEC     WAIT semaphore=4 count=2
      7  58000600  EXEC     RUN written=6
      8  7a000105  VEC      SIGNAL semaphore=5 count=1
      9  5b000003  EXEC     MARK 3
     10  ff000000  CONTROL  END""".splitlines()


def test_the_listing():
    # Ends with END: word 11, which pads the beat, would read as a SET.
    assert list(listing(program().words()))[2:] == EXPECTED


@pytest.mark.parametrize(
    "word",
    [
        encode(Engine.LOADB, REGISTERS[Engine.LOADT][-1].number, 0),
        encode(Engine.LOADT, Op.MARK, 0),
        encode(Engine.EXEC, Op.END, 0),
        encode(Engine.CONTROL, Op.RUN, 0),
        encode(Engine.CONTROL, Op.WAIT, 0),
        encode(Engine.VEC, 28, 0),
        5 << 29,
    ],
)
def test_words_that_no_engine_knows(word: int):
    assert decode(word)[1].startswith("illegal")


def test_bits_beyond_a_register_are_told():
    assert decode(encode(Engine.LOADT, 23, 0x102))[1] == "MULTIPLIER_HI = 2; ignored above its 8 bits: 0x1"


@pytest.mark.parametrize("raw", [True, False])
def test_the_command_reads_both_kinds_of_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bool):
    path = tmp_path / ("words.npy" if raw else "model.program")
    if raw:
        np.save(path, program().words())
    else:
        save_file({"program": program().words()}, path, {"isa": str(ISA_VERSION)})
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == EXPECTED


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path):
    path = tmp_path / "long.npy"
    np.save(path, np.zeros(100_000, np.uint32))
    with subprocess.Popen(
        [sys.executable, "-m", "firmware.disassemble", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None and command.stderr is not None
        assert command.stdout.readline().startswith("      0  00000000  LOADT    SRC_BASE = 0")
        command.stdout.close()
        assert command.wait(timeout=60) == 0
        assert command.stderr.read() == ""


def bad_files(folder: Path) -> dict[str, Path]:
    """By a part of the sentence that each earns."""
    files = {
        "is not a file": folder / "absent.program",
        "is truncated, damaged": folder / "cut.program",
        "holds no program": folder / "model.safetensors",
        "has instruction set '9'": folder / "future.program",
        "1-dimensional int64": folder / "wide.npy",
        "2-dimensional uint32": folder / "square.npy",
        "cannot be loaded": folder / "objects.npy",
    }
    save_file({"program": np.zeros(4, np.uint32)}, files["has instruction set '9'"], {"isa": "9"})
    files["is truncated, damaged"].write_bytes(files["has instruction set '9'"].read_bytes()[:40])
    save_file({"weights": np.zeros(4, np.uint32)}, files["holds no program"])
    np.save(files["1-dimensional int64"], np.zeros(4, np.int64))
    np.save(files["2-dimensional uint32"], np.zeros((2, 2), np.uint32))
    np.save(files["cannot be loaded"], np.array([{}], object), allow_pickle=True)
    return files


def test_bad_files_earn_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for part, path in bad_files(tmp_path).items():
        assert main([str(path)]) == 2, part
        out, err = capsys.readouterr()
        assert out == "" and part in err and str(path) in err
        assert err.startswith("error: ") and err.endswith(".\n") and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--table", "a.npy"]])
def test_a_program_or_the_table(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert capsys.readouterr().err == "error: Name a program or say --table, and not both.\n"


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]):
    assert main(["--table"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "isa.md").read_text()


def test_the_table_names_everything():
    table = instruction_table()
    for registers in REGISTERS.values():
        for register in registers:
            names = [register.name, *(f.name for f in register.fields)]
            assert all(f"`{name}`" in table for name in names)
