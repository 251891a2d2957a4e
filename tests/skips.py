"""Every reason for which a test may be left out. A run fails on a skip for any other reason."""

from __future__ import annotations

import enum
from typing import NoReturn, TypeVar

import pytest

__all__ = ["Skip", "only_listed_skips"]

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


class Skip(enum.Enum):
    """The reasons, each with what it takes to run the tests."""

    DATA = (
        "the measuring data are absent (real weights, photographs, the full golden vectors): "
        "set IVIT_SHARED_DATA to the folder that has them"
    )
    ICARUS = "Icarus Verilog is absent: no `iverilog` and `vvp` on PATH; install iverilog"
    BROWSER = "a browser is absent: no Chromium with its chromedriver on PATH; install chromium and chromium-driver"

    def now(self) -> NoReturn:
        """Leaves the running test out."""
        pytest.skip(self.value)


LISTED = {f"Skipped: {reason.value}" for reason in Skip}  # and no expected failure


def only_listed_skips(report: Report) -> Report:
    """The report; a failure in place of a skip, or of an expected failure, whose reason is not on the list."""
    if not report.skipped:
        return report
    expected = getattr(report, "wasxfail", None)
    reason = f"xfail: {expected}" if expected is not None else _reason(report)
    if reason not in LISTED:
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} was left out, and its reason is not on the list in tests/skips.py: {reason!r}"
        )
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
