"""Float checkpoints and images: what is wrong with them is said in one sentence; nothing in them runs."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from firmware.checkpoints.arrays import load_arrays
from firmware.checkpoints.checked import checked_weights
from sim.reference.errors import UserError
from sim.reference.preprocess import Preprocessing, image_files
from tests.firmware.quantiser import small_vit


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_both_formats_load(tmp_path: Path, rng: np.random.Generator, suffix: str):
    arrays = small_vit.weights(rng)
    path = small_vit.write_weights(tmp_path / f"w.{suffix}", arrays)
    found = checked_weights(load_arrays(path), small_vit.SHAPE.weight_shapes(), path)
    assert found.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)


def changed(arrays: dict[str, np.ndarray], change: str) -> dict[str, np.ndarray]:
    key = "blocks.1.mlp.fc1.weight"
    if change == "missing":
        del arrays[key]
    elif change == "extra":
        arrays["blocks.2.norm1.weight"] = np.ones(32, np.float32)
    elif change == "shape":
        arrays[key] = arrays[key].T.copy()
    elif change == "nan":
        arrays[key][3, 4] = np.nan
    elif change == "infinite":
        arrays[key] = arrays[key].astype(np.float64) * 1e300
    elif change == "integers":
        arrays[key] = arrays[key].astype(np.int32)
    return arrays


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", r"w\.npz: the weight 'blocks\.1\.mlp\.fc1\.weight' is missing; \(128, 32\) is expected"),
        ("extra", r"'blocks\.2\.norm1\.weight' is no weight of this architecture"),
        ("shape", r"'blocks\.1\.mlp\.fc1\.weight' has shape \(32, 128\), but \(128, 32\) is expected"),
        ("nan", r"'blocks\.1\.mlp\.fc1\.weight' holds NaN or infinity"),
        ("infinite", r"'blocks\.1\.mlp\.fc1\.weight' holds NaN or infinity"),
        ("integers", r"'blocks\.1\.mlp\.fc1\.weight' holds int32"),
    ],
)
def test_wrong_weights_are_named(tmp_path: Path, rng: np.random.Generator, change: str, message: str):
    path = small_vit.write_weights(tmp_path / "w.npz", changed(small_vit.weights(rng), change))
    with pytest.raises(UserError, match=message):
        checked_weights(load_arrays(path), small_vit.SHAPE.weight_shapes(), path)


def test_pickles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Malicious()))
    np.savez(tmp_path / "object.npz", cls_token=np.array([Malicious()], dtype=object))
    for name in ("plain.npz", "object.npz"):
        with pytest.raises(UserError, match=name):
            load_arrays(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_never_raise_anything_else(tmp_path: Path, suffix: str, data: st.DataObject):
    small = {"cls_token": np.arange(12, dtype=np.float32), "head.bias": np.ones((2, 3), np.float32)}
    path = small_vit.write_weights(tmp_path / f"w.{suffix}", small)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        arrays = load_arrays(path)
    except UserError as error:
        assert re.search(rf"w\.{suffix}", str(error))
        assert "\n" not in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 not a photograph", b"P6 4"])
def test_unreadable_images_are_named(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^Cannot read the image \S+broken\.jpg: .+\.$"):
        Preprocessing.default(16).load(path)


def test_a_truncated_image_is_named(tmp_path: Path, rng: np.random.Generator):
    path = small_vit.write_images(tmp_path / "images", rng, 1) / "0.png"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match=r"^Cannot read the image \S+0\.png: .+\.$"):
        Preprocessing.default(16).load(path)


def test_preprocessing_crops_the_centre(tmp_path: Path):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 8:24] = 255, 0, 51
    path = tmp_path / "wide.png"
    Image.fromarray(pixels).save(path)
    found = Preprocessing(16, 16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 1.0)).load(path)
    assert found.shape == (3, 16, 16)
    np.testing.assert_allclose(found[:, 0, 0], [1, -2, -0.3], atol=1e-6)
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1, :1], found.shape))


def test_folders_without_images_are_named(tmp_path: Path):
    with pytest.raises(UserError, match="holds no image"):
        image_files(tmp_path)
    with pytest.raises(UserError, match="absent is not a folder"):
        image_files(tmp_path / "absent")
