"""Variations of a small ViT end to end on the emulated small machine: every tensor, on chip and in memory."""

import json

import pytest

from sim.reference.architecture import parse_architecture
from sim.studies.performance.command import main

# Heads of 24 channels, a norm before the blocks; what precedes the head, with and without learnt tokens in front.
BASE = "random:vit:image=32,patch=8,dim=48,depth=1,heads=2,classes=10,pre_norm=1,activation=quick_gelu"


@pytest.mark.parametrize("variation", [",pool=mean_norm,registers=2", ",pool=attention,class_token=0", ",hidden=80"])
def test_every_tensor(variation: str, capsys: pytest.CaptureFixture[str]):
    assert main([BASE + variation, "--board", "tiny", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    # Probabilities and logits beside the activations; the image and the positions are not the machine's.
    made = len(parse_architecture(BASE.removeprefix("random:") + variation).activations()) + 2 - 2
    made += "pool=attention" in variation  # its own probabilities
    assert row["exact"] is True and row["tensors_compared"] == made
    assert row["predicted_cycles"] == pytest.approx(row["cycles"], rel=0.15)
