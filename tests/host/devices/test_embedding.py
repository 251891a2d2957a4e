"""Embeddings: the same integers from the emulated board as from the reference, and what is asked for in vain."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware import compile as compile_command
from firmware.training import digits
from host.command.errors import HostError
from host.devices.registry import open_device

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(image) for image in digits.load("held-out").images[:count]]


@pytest.mark.parametrize(("kinds", "spec"), [("classes,embedding", "sim:tiny"), ("tokens", "sim:tiny,baud=3000000")])
def test_the_emulated_board_gives_the_references_integers(kinds: str, spec: str, tmp_path: Path):
    """Over a slow line too, where the next frame would be over before all that this one gave is read."""
    path = tmp_path / "encoder.program"
    assert compile_command.main([str(SHIPPED), "--board", "tiny", "--output", kinds, "-o", str(path), "--json"]) == 0
    with open_device("reference") as reference, open_device(spec) as board:
        model, loaded = reference.load(SHIPPED, kinds.split(",")), board.load(path)
        assert (loaded.fingerprint, list(loaded.scales)) == (model.fingerprint, kinds.split(","))
        wanted, found = list(reference.embed(pictures(3))), list(board.embed(pictures(3)))
        assert all(one.same_integers(other) for one, other in zip(found, wanted, strict=True))
        assert not found[0].same_integers(found[1])
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one.vector, other.vector)
            assert one.vector.dtype == np.float32 and one.vector.size == (17 * 64 if kinds == "tokens" else 64)
            assert one.cycles is not None and other.cycles is None
        if kinds.startswith("classes"):
            labels = [one.name for one in board.stream(pictures(3))]
            assert labels == [one.name for one in reference.stream(pictures(3))]


def test_a_model_file_gives_what_is_asked_for():
    with open_device("reference") as device:
        device.load(SHIPPED)
        with pytest.raises(HostError, match="gives classes, and an embedding is asked for: compile the model with"):
            device.embed(pictures(1))
        device.load(SHIPPED, ("mean",))
        with pytest.raises(HostError, match="gives mean and no classes: ask for --embeddings"):
            device.stream(pictures(1))
        with pytest.raises(HostError, match="gives mean, and tokens is asked for"):
            device.embed(pictures(1), "tokens")
        with pytest.raises(HostError, match="There is no output 'nothing'"):
            device.load(SHIPPED, ("nothing",))
        assert next(device.embed(pictures(1))).vector.shape == (64,)
