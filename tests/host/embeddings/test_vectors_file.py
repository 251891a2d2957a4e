"""`host.run --embeddings`: what stands in the file, and what is asked for in vain."""

from pathlib import Path

import numpy as np
import pytest

from host import run


def written(program: Path, folder: Path, path: Path, *arguments: str) -> int:
    return run.main(["--device", "brightness", str(program), str(folder), "--embeddings", str(path), *arguments])


def test_names_vectors_and_integers(brightness, program: Path, folder: Path, tmp_path: Path):
    assert written(program, folder, tmp_path / "v.npz") == 0
    assert written(program, folder, tmp_path / "u.npz", "--normalise") == 0
    with np.load(tmp_path / "v.npz", allow_pickle=False) as file, np.load(tmp_path / "u.npz") as units:
        assert [Path(name).name for name in file["names"]] == [f"grey_{grey:03}.png" for grey in range(16, 256, 32)]
        assert (file["vectors"].dtype, file["vectors"].shape, file["integers"].shape) == (np.float32, (8, 3), (8, 1, 3))
        np.testing.assert_array_equal(file["integers"][:, 0, 0], np.arange(16, 256, 32) - 128)
        np.testing.assert_array_equal(file["vectors"], file["integers"][:, 0] * file["scales"])
        assert (str(file["model"]), str(file["output"])) == ("brightness", "embedding")
        np.testing.assert_allclose(np.linalg.norm(units["vectors"], axis=1), 1, atol=1e-6)
    again = tmp_path / "again.npz"
    assert written(program, folder, again) == 0
    assert again.read_bytes() == (tmp_path / "v.npz").read_bytes()


def test_features_of_all_tokens(brightness, program: Path, folder: Path, tmp_path: Path):
    assert written(program, folder, tmp_path / "t.npz", "--output", "tokens") == 0
    with np.load(tmp_path / "t.npz") as file:
        assert file["vectors"].shape == (8, 2, 3) and str(file["output"]) == "tokens"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--json"], "--embeddings takes images"),
        (["--texts", "t"], "only one of the three"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, brightness, program: Path, folder: Path, tmp_path: Path, capsys):
    assert written(program, folder, tmp_path / "v.npz", *arguments) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "v.npz").exists()


def test_a_bad_picture_and_none_but_bad_ones(brightness, program: Path, folder: Path, tmp_path: Path, capsys):
    (folder / "cut.png").write_bytes(b"no picture")
    assert written(program, folder, tmp_path / "v.npz") == 2
    with np.load(tmp_path / "v.npz") as file:
        assert len(file["names"]) == 8
    assert written(program, folder / "cut.png", tmp_path / "n.npz") == 2
    assert "None of the pictures could be read" in capsys.readouterr().err and not (tmp_path / "n.npz").exists()
