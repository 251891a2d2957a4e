"""Devices: the registry, streaming in batches, and what the logits mean."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from host.command.errors import HostError
from host.devices.base import Answer, LoadedModel
from host.devices.prediction import Prediction
from host.devices.registry import open_device, register


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (value, value, value))


def test_an_unknown_device_is_named_with_those_there_are(brightness):
    with pytest.raises(HostError, match="no device 'fpga:1': name one of .*brightness"):
        open_device("fpga:1")


def test_the_argument_reaches_the_device(brightness):
    open_device("brightness")
    open_device("brightness:wrong:again")
    assert [device.argument for device in brightness] == ["", "wrong:again"]


@pytest.mark.parametrize("name", ["", "a:b"])
def test_a_name_with_a_colon_cannot_be_registered(name: str):
    with pytest.raises(ValueError, match="one word without a colon"):
        register(name, lambda argument: open_device("brightness"))


def test_a_taken_name_cannot_be_registered(brightness):
    with pytest.raises(ValueError, match="'brightness' is registered already"):
        register("brightness", lambda argument: open_device("brightness"))


def test_a_device_without_a_model_says_so(brightness):
    with open_device("brightness") as device, pytest.raises(HostError, match="no model yet"):
        device.infer(grey(0))


def test_streaming_keeps_the_order_and_the_batch(brightness, program: Path):
    with open_device("brightness") as device:
        device.load(program)
        names = [prediction.name for prediction in device.stream(grey(v) for v in (250, 0, 90, 170, 10, 200, 80))]
        assert names == ["white", "black", "dark", "light", "black", "white", "dark"]
        assert brightness[0].calls == [3, 3, 1]
        assert not brightness[0].closed
    assert brightness[0].closed


def test_streaming_reads_one_batch_ahead_at_most(brightness, program: Path):
    read = []

    def pictures():
        for value in range(10):
            read.append(value)
            yield grey(value)

    with open_device("brightness") as device:
        device.load(program)
        next(device.stream(pictures()))
        assert read == [0, 1, 2]


def answered(logits: list[int], scales: list[float], names: tuple[str, ...]) -> Prediction:
    model = LoadedModel(
        "any", "exact", names, {"classes": np.array(scales)}, "any", lambda picture: np.zeros(0, np.int8)
    )
    return Answer({"classes": np.array([logits])}).under(model)


def test_the_class_follows_the_scaled_logits():
    # The largest integer is class 0's, the largest value class 2's.
    prediction = answered([100, -5, 60], [0.01, 0.5, 0.02], ("a", "b", "c"))
    assert (prediction.label, prediction.name) == (2, "c")
    expected = np.exp([1.0, -2.5, 1.2])
    np.testing.assert_allclose(prediction.probabilities, expected / expected.sum(), rtol=1e-12)
    assert [(entry.index, entry.name) for entry in prediction.top(2)] == [(2, "c"), (0, "a")]
    assert prediction.top(9)[0].probability == pytest.approx(prediction.confidence)
    assert len(prediction.top(9)) == 3


def test_huge_logits_do_not_overflow():
    prediction = answered([2**31 - 1, -(2**31)], [1.0, 1.0], ("a", "b"))
    assert prediction.probabilities.tolist() == [1.0, 0.0]
