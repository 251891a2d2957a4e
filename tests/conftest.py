"""Settings common to all tests: no time limits on properties, and every random seed printed."""

import os

import hypothesis
import numpy as np
import pytest

# A busy machine must not fail a property; a failing example must be reproducible from the log alone.
hypothesis.settings.register_profile("project", deadline=None, print_blob=True)
hypothesis.settings.load_profile("project")


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator. The seed is IVIT_TEST_SEED, else 1; it is printed, so a failure shows it."""
    seed = int(os.environ.get("IVIT_TEST_SEED", "1"))
    print(f"IVIT_TEST_SEED={seed}")
    return np.random.default_rng(seed)
