"""A small Swin end to end on the emulated small machine: every tensor, on chip and in memory."""

import json

import pytest

from sim.studies.performance.command import main

# Windows of 49 tokens, rolled ones among them; planes of 49 rows; more rows than the machine keeps maxima of.
SMALL = "random:swin:image=28,patch=2,dim=32,depths=2-1,heads=1-2,window=7,classes=10"
TENSORS = 47  # that the machine has: all but accumulators, LayerNorms before their rescale, other names of these


def test_every_tensor_of_a_small_swin(capsys: pytest.CaptureFixture[str]):
    assert main([SMALL, "--board", "tiny", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["exact"] is True and row["tensors_compared"] == TENSORS
    assert row["predicted_cycles"] == pytest.approx(row["cycles"], rel=0.15)
