"""What docs/tutorial.md has a stranger type does what the page says. `make tutorial` runs the slow commands too."""

from pathlib import Path

from tests.tutorial import commands, fresh_copy, run

SLOW = ("make demo", "make unit U=shiftmax WAVES=1", "sim:arty_a7")


def test_the_commands_of_the_first_hour(tmp_path: Path):
    typed = commands()
    assert typed[0] == "make demo" and len(typed) == 11
    quick = [command for command in typed if not any(slow in command for slow in SLOW)]
    folder = fresh_copy(tmp_path, shared=(".venv", "build/benches"))
    outcomes = [(command, *run(command, folder)) for command in quick]
    told = "\n".join(f"$ {command}\n{output}" for command, _, output in outcomes)
    statuses = {command: status for command, status, _ in outcomes if not command.startswith("make unit")}
    assert set(statuses.values()) == {0}, told

    broken, mended = [(status, output) for command, status, output in outcomes if command == "make unit U=shiftmax"]
    assert broken[0] != 0, told
    assert "shiftmax: FAILED in tests.gateware.softmax.bench_shiftmax: random_blocks, edge_rows, " in broken[1]
    assert "AssertionError: block 0 (x0 30): {'row': 0, 'word': 0, 'data': [0, 0, 14, 495]" in broken[1]
    assert mended[0] == 0, told
    assert mended[1].endswith("shiftmax: all passed.\n")
    assert "digit_0022.png\t2 two 0.96" in outcomes[-1][2]
