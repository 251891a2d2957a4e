"""Settings of the gateware's tests."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # A test of a constructor's errors or derived sizes rightly never elaborates what it made.
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")
