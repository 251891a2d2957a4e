"""`python -m sim.reference`: what it writes, and one sentence for what it cannot read."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sim.reference.__main__ import main

# A header that claims far more than the file or the memory holds.
HUGE = b"\x93NUMPY\x01\x00\x49\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 3, 32, 32)}"
MODEL = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"


def test_every_tensor_of_an_image_file_and_of_the_same_floats(tmp_path: Path):
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.save(
        tmp_path / "a.npy", ((pixels.transpose(2, 0, 1) / np.float32(255) - np.float32(0.5)) / np.float32(0.5))[None]
    )
    for name in ("a.png", "a.npy"):
        assert main([str(MODEL), str(tmp_path / name), "-o", str(tmp_path / f"{name}.npz")]) == 0
    with np.load(tmp_path / "a.png.npz") as first, np.load(tmp_path / "a.npy.npz") as second:
        assert first.files == second.files
        assert first["head"].shape == (1, 10) and first["blocks.3.attn.int_softmax"].shape == (1, 2, 17, 17)
        for name in first.files:
            assert first[name].dtype.kind == "i"
            np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (np.zeros((1, 3, 16, 16), np.float32), r"float images \(batch, 3, 32, 32\) are expected"),
        (np.zeros((1, 3, 32, 32), np.int8), "float images"),
        (np.full((1, 3, 32, 32), np.nan, np.float32), "NaN or infinity"),
        (np.zeros((0, 3, 32, 32), np.float32), "holds 0 images"),
        (b"no array at all", "not a readable .npy"),
        (
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 3, 32, 32)}",
            "readable",
        ),
    ],
)
def test_bad_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | np.ndarray, sentence: str):
    path, out = tmp_path / "x.npy", tmp_path / "out.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    assert main([str(MODEL), str(path), "-o", str(out)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.search(sentence, message), message
    assert list(tmp_path.iterdir()) == [path]


def test_a_pickle_is_never_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "x.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert main([str(MODEL), str(path), "-o", str(tmp_path / "out.npz")]) == 2
    assert "not a readable .npy" in capsys.readouterr().err


def test_a_missing_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none"), "x.png", "-o", str(tmp_path / "out.npz")]) == 2
    assert "is not a file" in capsys.readouterr().err
