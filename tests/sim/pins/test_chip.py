"""The model of the DDR3 chip: what keeps its rules is let alone, and each rule that is broken is named."""

import subprocess
from pathlib import Path

import pytest

from sim.pins.boards import HERE
from sim.verilator.library import compiler

MODE, REFRESH, PRECHARGE, ACTIVATE, WRITE, READ, ZQ = range(7)
ALL_BANKS = 1 << 10
RESET_CLOCKS, CKE_CLOCKS = 80_001, 200_001
UP = f"1 reset 0\n{RESET_CLOCKS} reset 1\n{CKE_CLOCKS} cke 1\n"
MODES = [(68, MODE, 2, 0x200), (4, MODE, 3, 0), (4, MODE, 1, 6), (4, MODE, 0, 0x930), (12, ZQ, 0, ALL_BANKS)]
OPEN = [(512, ACTIVATE, 0, 5)]


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program: Path = tmp_path_factory.mktemp("chip") / "chip"
    source = Path(__file__).with_name("chip_rules.cpp")
    subprocess.run([compiler(), "-std=c++17", f"-I{HERE / 'native'}", str(source), "-o", str(program)], check=True)
    return program


def told(chip: Path, commands: list[tuple[int, int, int, int]], up: str = UP) -> str:
    """What the chip finds wrong with commands behind its power-up."""
    text = up + "".join(f"{' '.join(map(str, command))}\n" for command in commands)
    return subprocess.run([str(chip)], input=text, capture_output=True, text=True, check=True).stdout


def test_the_data_sheet_s_own_pace_is_right(chip: Path):
    reads = [
        (6, READ, 0, 0),
        (4, READ, 0, 8),
        (10, PRECHARGE, 0, 0),
        (6, ACTIVATE, 0, 6),
        (14, PRECHARGE, 0, ALL_BANKS),
    ]
    assert told(chip, [*MODES, *OPEN, *reads, (6, REFRESH, 0, 0), (64, ACTIVATE, 7, 1)]) == ""


@pytest.mark.parametrize(
    ("commands", "sentence"),
    [
        ([*OPEN, (5, READ, 0, 0)], "READ comes 12.50 ns after ACTIVATE of its bank (tRCD), and 13.75 are needed."),
        ([*OPEN, (6, READ, 0, 0), (3, READ, 0, 8)], "READ comes 7.50 ns after the same before (tCCD)"),
        ([*OPEN, (13, PRECHARGE, 0, 0)], "PRECHARGE comes 32.50 ns after ACTIVATE of its bank (tRAS)"),
        ([*OPEN, (14, PRECHARGE, 0, 0), (5, ACTIVATE, 0, 5)], "ACTIVATE comes 12.50 ns after PRECHARGE"),
        ([*OPEN, (3, ACTIVATE, 1, 5)], "ACTIVATE comes 7.50 ns after ACTIVATE of another bank (tRRD)"),
        ([*OPEN, *[(4, ACTIVATE, bank, 0) for bank in range(1, 4)], (3, ACTIVATE, 4, 0)], "(tFAW)"),
        ([*OPEN, (20, ACTIVATE, 0, 5)], "ACTIVATE of bank 0, whose row 5 is open."),
        ([(512, READ, 3, 0)], "READ of bank 3, which has no open row."),
        ([(512, REFRESH, 0, 0), (63, ACTIVATE, 0, 0)], "ACTIVATE comes 157.50 ns after REFRESH (tRFC)"),
        ([*OPEN, (20, REFRESH, 0, 0)], "REFRESH while row 5 of bank 0 is open."),
        ([(512, REFRESH, 0, 0), (30_000, REFRESH, 0, 0)], "75.0 us passed between two REFRESH"),
        ([(511, ACTIVATE, 0, 5)], "ACTIVATE before ZQ CALIBRATION has ended."),
        ([*OPEN, (6, WRITE, 0, 0)], "lane 1: DQS does not rise where a WRITE's data should begin"),
    ],
)
def test_a_broken_rule_is_named(chip: Path, commands: list[tuple[int, int, int, int]], sentence: str):
    assert sentence in told(chip, [*MODES, *commands])


@pytest.mark.parametrize(
    ("up", "sentence"),
    [
        (f"{RESET_CLOCKS - 8} reset 1\n{CKE_CLOCKS} cke 1\n", "RESET# was low for 200.0 us, 200 are needed."),
        (f"{RESET_CLOCKS} reset 1\n1000 cke 1\n", "CKE rises 2.5 us after RESET#, 500 are needed."),
        (f"{UP}10 0 2 512\n", "a command comes before the chip has woken up"),
        (f"{UP}68 0 2 512\n3 0 3 0\n", "MODE REGISTER SET comes 7.50 ns after the same before (tMRD)"),
    ],
)
def test_so_is_one_of_power_up(chip: Path, up: str, sentence: str):
    assert sentence in told(chip, [], up)


def test_a_reset_forgets_what_was_before(chip: Path):
    wrong = "10 reset 1\n10 cke 1\n10 1 0 0\n"
    assert told(chip, [], wrong) != ""
    assert told(chip, MODES, f"{wrong}10 cke 0\n10 reset 0\n{UP}") == ""
