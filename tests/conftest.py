"""Settings common to all tests: no time limits on properties, every random seed printed, only listed skips."""

import os
from collections.abc import Generator

import hypothesis
import numpy as np
import pytest

from tests.skips import only_listed_skips

# A busy machine must not fail a property; a failing example must be reproducible from the log alone.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return only_listed_skips((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return only_listed_skips((yield))


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator. The seed is IVIT_TEST_SEED, else 1; it is printed, so a failure shows it."""
    seed = int(os.environ.get("IVIT_TEST_SEED", "1"))
    print(f"IVIT_TEST_SEED={seed}")
    return np.random.default_rng(seed)
