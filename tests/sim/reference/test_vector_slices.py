"""The slices of the golden vectors: small, whole, and what their generator makes of the full vectors."""

import json

import numpy as np

from tests.shared_data import shared_data
from tests.vectors.slices import CHANNELS, CUTS, DIGESTS, FOLDER, MODELS, cut_all

LARGEST = 2 << 20  # bytes of all slices: a checkout carries them for ever
NAMES = {*CUTS, *CHANNELS, *MODELS, "quantact_input"}


def test_they_are_all_there_and_small():
    files = list(FOLDER.glob("*.npz"))
    assert {file.stem for file in files} == NAMES
    assert sum(file.stat().st_size for file in files) < LARGEST
    assert json.loads((FOLDER / DIGESTS).read_text()).keys() == set(MODELS)


def test_the_generator_makes_them():
    slices, digests = cut_all(shared_data("vectors"))
    assert slices.keys() == NAMES
    assert digests == json.loads((FOLDER / DIGESTS).read_text())
    for name, expected in slices.items():
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as found:
            assert set(found.files) == expected.keys(), name
            for key, array in expected.items():
                np.testing.assert_array_equal(found[key], array, err_msg=f"{name}: {key}")
