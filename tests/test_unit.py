"""`make unit`: every bench belongs to a unit, what fails is told with its name, and an unknown unit is a sentence."""

from pathlib import Path

import pytest

from tests import unit
from tests.mutation.test_mutation import unit as counter
from tests.mutation.units import UNITS

BENCHES = Path(__file__).parent / "gateware"
SUITES = {path.split("::")[0] for paths in unit.SUITES.values() for path in paths}
OF_NO_UNIT = {
    "clocking/test_paths.py": "the whole machine",
    "contracts/test_broken_contracts.py": "every unit beside a hostile neighbour",
    "contracts/test_synthesis.py": "the whole machine",
    "link/bench_link_pins.py": "through test_link_uart",
    "link/test_link_fuzz.py": "minutes",
    "link/test_link_packets.py": "a table",
    "link/test_link_peers.py": "the link with several hosts",
    "link/test_link_size.py": "synthesis",
    "link/test_machine_link.py": "the whole machine",
    "test_isa.py": "a table",
}


def test_every_bench_belongs_to_a_unit():
    benches = {
        f"{trial.bench.removeprefix('tests.gateware.').replace('.', '/')}.py"
        for one in UNITS.values()
        for trial in one.trials
    }
    reached = benches | SUITES
    for path in BENCHES.rglob("*.py"):
        name = str(path.relative_to(BENCHES))
        if name in OF_NO_UNIT or name in reached or not path.name.startswith(("test_", "bench_")):
            continue
        # A test that runs a bench, or a bench that a test of a unit runs.
        text, stem = path.read_text(), path.stem.removeprefix("bench_")
        runs = [bench for bench in benches if f"tests.gateware.{bench[:-3].replace('/', '.')}" in text]
        assert runs or f"{path.parent.name}/test_{stem}.py" in reached or _named_by_a_suite(path), (
            f"no unit of tests/unit.py runs {name}; name it there or in OF_NO_UNIT"
        )


def _named_by_a_suite(bench: Path) -> bool:
    return any(bench.stem in (BENCHES / suite).read_text() for suite in SUITES)


def test_a_test_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setitem(unit.UNITS, "counter", counter("fails_always"))
    assert unit.run_trials("counter", waves=True) == 1
    told = capsys.readouterr().out
    assert "counter: FAILED in tests.mutation.bench_counter: fails_always." in told
    assert "AssertionError: always" in told
    waveforms = Path(told.split("waveforms: ")[1].splitlines()[0])
    assert waveforms.stat().st_size > 0

    monkeypatch.setitem(unit.UNITS, "counter", counter("counts"))
    assert unit.run_trials("counter", waves=True) == 0
    assert capsys.readouterr().out.endswith("counter: all passed.\n")


def test_an_unknown_unit(capsys: pytest.CaptureFixture[str]):
    assert unit.main(["shiftmx"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: There is no unit 'shiftmx'. Did you mean shiftmax? The units are arbiter, "
    )
