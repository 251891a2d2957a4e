"""A run fails on a skip that is not on the list, wherever and however it is skipped; one that is on it passes."""

import re
import sys
from pathlib import Path

import pytest

from tests.skips import Skip

pytest_plugins = "pytester"

ROOT = Path(__file__).resolve().parents[1]
HOOKS = (ROOT / "tests" / "conftest.py").read_text()
UNLISTED = "was left out, and its reason is not on the list in tests/skips.py"
WAYS = {
    "in the test": "def test_it():\n    pytest.skip('no time')",
    "in a fixture": "@pytest.fixture\ndef it():\n    pytest.skip('no time')\ndef test_it(it):\n    pass",
    "by a mark": "@pytest.mark.skip(reason='no time')\ndef test_it():\n    pass",
    "by a condition": "@pytest.mark.skipif(True, reason='no time')\ndef test_it():\n    pass",
    "without parameters": "@pytest.mark.parametrize('it', [])\ndef test_it(it):\n    pass",
    "as an expected failure": "@pytest.mark.xfail(reason='no time')\ndef test_it():\n    raise ValueError",
    "with its module": "pytest.skip('no time', allow_module_level=True)",
    "with its import": "pytest.importorskip('no_such_module')",
}


def run(pytester: pytest.Pytester, modules: dict[str, str], *more: str) -> tuple[dict[str, int], list[str]]:
    """What a run with this project's hooks counts, and its output."""
    pytester.makeconftest(HOOKS)
    pytester.makeini(f"[pytest]\npythonpath = {ROOT}\n")
    pytester.makepyfile(
        **{name: f"import pytest\nfrom tests.skips import Skip\n{body}" for name, body in modules.items()}
    )
    result = pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *more)
    counts = result.parseoutcomes()
    assert result.ret == (1 if {"failed", "errors"} & counts.keys() else 0)
    return counts, result.outlines


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_skip_that_is_not_listed_fails_the_run(pytester: pytest.Pytester, workers: tuple[str, ...]):
    modules = {f"test_{way.replace(' ', '_')}": body for way, body in WAYS.items()}
    counts, output = run(pytester, modules, "--continue-on-collection-errors", *workers)
    assert "skipped" not in counts and "xfailed" not in counts
    for name in modules:
        assert any(line.startswith(name) and UNLISTED in line for line in output), name


def test_a_listed_one_does_not(pytester: pytest.Pytester):
    tests = "".join(f"def test_{one.name}():\n    Skip.{one.name}.now()\n" for one in Skip)
    assert run(pytester, {"test_listed": tests})[0] == {"skipped": len(Skip)}


def test_every_reason_is_in_use():
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__))
    assert set(re.findall(r"\bSkip\.([A-Z]+)\.now\(\)", sources)) == set(Skip.__members__)
