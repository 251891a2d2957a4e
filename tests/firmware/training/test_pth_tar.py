"""The authors' own file format: the same model as from an npz, no code in it runs, damage is one sentence."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware import import_ivit
from firmware.quantiser.ivit_checkpoint import load_checkpoint
from sim.reference.errors import UserError
from tests.shared_data import shared_data
from tests.vectors.golden import SOURCES, golden_model

ARCH = "vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["e2e_vit_small", "e2e_swin_small"])
def test_a_pth_tar_holds_the_same_arrays(tmp_path: Path, name: str, source: str):
    """The authors' own files where they are; elsewhere the same state, as `torch.save` writes it."""
    state = golden_model(name, source).state
    if source == "full":
        path = shared_data("vectors", f"{name}.pth.tar")
    else:
        path = tmp_path / "c.pth.tar"
        torch.save({key: torch.from_numpy(array) for key, array in state.items()}, path)
    found = load_checkpoint(path)
    assert found.keys() == state.keys()
    for key, array in state.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array, err_msg=key)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_code_in_a_pickle_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("plain.pth.tar").write_bytes(pickle.dumps(Malicious()))
    torch.save({"cls_token": Malicious()}, "zipped.pth.tar")
    for name in ("plain.pth.tar", "zipped.pth.tar"):
        assert import_ivit.main([name, "--arch", ARCH, "-o", "out.model"]) == 2
        assert name in capsys.readouterr().err
    assert not Path("executed").exists()
    assert not Path("out.model").exists()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_pth_files_never_raise_anything_else(tmp_path: Path, data: st.DataObject):
    path = tmp_path / "c.pth.tar"
    torch.save({"head.bias": torch.arange(6.0)}, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        load_checkpoint(path)
    except UserError as error:
        assert "c.pth.tar" in str(error)
        assert "\n" not in str(error)
