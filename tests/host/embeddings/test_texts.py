"""Zero-shot by texts: probabilities at the model's temperature, both kinds of file, and every file that is none."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from host import run
from host.command.errors import HostError
from host.embeddings.texts import load_texts

NAMES = ["a red thing", "a green thing", "a blue thing"]
GOOD: dict[str, Any] = {
    "names": np.array(NAMES),
    "embeddings": np.array([[3, 0, 0], [0, 2, 0], [0, 0, 1]], np.float32),
    "temperature": np.array(0.5, np.float32),
}


def written(path: Path, **changes: Any) -> Path:
    arrays = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        names = {"names": json.dumps(list(map(str, arrays.pop("names"))))}
        path.write_bytes(save({name: np.asarray(value) for name, value in arrays.items()}, names))
    return path


@pytest.mark.parametrize("name", ["texts.npz", "texts.safetensors"])
def test_probabilities(name: str, brightness, program: Path, tmp_path: Path, capsys):
    path, picture = written(tmp_path / name), tmp_path / "red.png"
    Image.new("RGB", (4, 4), (228, 128, 28)).save(picture)  # (100, 0, -100)
    assert run.main(["--device", "brightness", "--json", str(program), str(picture), "--texts", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)["images"][0]
    scores = np.array([2**-0.5, 0, -(2**-0.5)]) / 0.5
    wanted = np.exp(scores) / np.exp(scores).sum()
    assert [entry["name"] for entry in found["top"]] == NAMES
    np.testing.assert_allclose([entry["probability"] for entry in found["top"]], wanted, atol=1e-5)
    assert "unusual" not in found and "logits" not in found


def test_half_precision_and_another_order_in_memory(tmp_path: Path):
    half = np.asfortranarray(GOOD["embeddings"].astype(np.float16))
    np.testing.assert_array_equal(load_texts(written(tmp_path / "t.npz", embeddings=half)).vectors, np.eye(3))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"names": np.array(["A thing", "a  thing", "b"])}, "two classes of one name, 'A thing' and 'a  thing'"),
        ({"names": np.array(["a", "", "b"])}, "'' is no name"),
        ({"names": np.array(["a", "b\tc", "d"])}, "is no name"),
        ({"names": np.array(["a", "b"])}, "a row of floating-point numbers for each of 2 names"),
        ({"embeddings": np.zeros((3, 3), np.float32)}, "zero or not finite"),
        ({"embeddings": np.full((3, 3), np.inf, np.float32)}, "zero or not finite"),
        ({"embeddings": np.ones((3, 3), np.int32)}, "`embeddings` is int32"),
        ({"embeddings": np.ones((3, 0), np.float32)}, "floating-point numbers for each of 3"),
        ({"embeddings": np.ones(3, np.float32)}, "floating-point numbers for each of 3"),
        ({"embeddings": None}, "`embeddings` is missing"),
        ({"temperature": None}, "`temperature` is missing"),
        ({"temperature": np.array(-1.0)}, "`temperature` must be a positive number"),
        ({"temperature": np.array([1.0, 2.0])}, "`temperature` must be a positive number"),
    ],
)
def test_a_bad_file_is_one_sentence(suffix: str, changes: dict[str, Any], says: str, tmp_path: Path):
    with pytest.raises(HostError, match=says) as caught, np.errstate(all="ignore"):
        load_texts(written(tmp_path / f"texts{suffix}", **changes))
    assert "\n" not in str(caught.value)


def npz_with(path: Path, member: bytes) -> Path:
    """Names and temperature as they should be, and this as the embeddings."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("names", "temperature"):
            stream = io.BytesIO()
            np.lib.format.write_array(stream, GOOD[name])
            archive.writestr(f"{name}.npy", stream.getvalue())
        archive.writestr("embeddings.npy", member)
    return path


def header(text: str) -> bytes:
    padded = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1000000000000)}"), "says that it has 12,000"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3)}") + bytes(20), "is cut short"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}") + b"cos\nsystem\n.", "is pickled"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 3)}") + bytes(36), "cannot be used"),
        (b"\x93NUMPY\x09\x00", "array of version"),
        (b"nothing", "cannot be used as texts"),
        (b"", "cannot be used as texts"),
    ],
    ids=["huge", "short", "pickle", "negative", "version", "noise", "empty"],
)
def test_a_hostile_array_is_one_sentence(member: bytes, says: str, tmp_path: Path):
    with pytest.raises(HostError, match=says) as caught:
        load_texts(npz_with(tmp_path / "texts.npz", member))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damage_anywhere_is_a_sentence_or_a_good_file(suffix: str, tmp_path: Path, rng: np.random.Generator):
    content = written(tmp_path / f"good{suffix}").read_bytes()
    path, refused = tmp_path / f"bad{suffix}", 0
    for turn in range(150):
        changed = bytearray(content[: rng.integers(len(content))] if turn % 3 == 0 else content)
        for place in rng.integers(0, max(len(changed), 1), 3) if changed else ():
            changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(changed))
        try:
            with np.errstate(all="ignore"):
                load_texts(path)
        except HostError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 75


def test_texts_of_another_length(brightness, program: Path, folder: Path, tmp_path: Path, capsys):
    path = written(tmp_path / "texts.npz", embeddings=np.eye(3, 5, dtype=np.float32))
    assert run.main(["--device", "brightness", str(program), str(folder), "--texts", str(path)]) == 2
    err = capsys.readouterr().err
    assert "has vectors of 5 numbers, and the program gives 3" in err and err.count("\n") == 1
