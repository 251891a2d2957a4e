"""Program files: what is written comes back; what is damaged or forged is refused in a sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from firmware import compile as command
from firmware.compiler.compiled import program_of
from firmware.compiler.compiler import compile_graph
from firmware.program.allocation import tensors_of
from firmware.program.file import ALLOCATIONS, checksum, load_program, save_program
from firmware.program.layout import pack_matrix
from gateware.config import BEAT_BYTES, PRESETS, config
from gateware.isa import Engine, Op, encode, register
from sim.interpreter.machine import Interpreter
from sim.reference.addressing import patches
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

MODEL = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, machine = IntegerVit(load_model(MODEL)), config("arty_a7", "lean")
    path = tmp_path_factory.mktemp("program") / "digits.program"
    compiled = compile_graph(model.graph, machine, model.model.shape.image)
    save_program(program_of(model, compiled, machine), path)
    return path


def contents(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_what_is_written_comes_back(saved: Path, tmp_path: Path):
    program = load_program(saved)
    again = tmp_path / "again.program"
    save_program(program, again)
    assert again.read_bytes() == saved.read_bytes()
    other = load_program(again)
    np.testing.assert_equal(dataclasses.asdict(other), dataclasses.asdict(program))


def test_for_a_board_with_another_number(tmp_path: Path):
    path = tmp_path / "p"
    arguments = [str(MODEL), "--board", "tiny", "--set", "rows=5", "-o", str(path), "--json"]
    assert command.main(arguments) == 0
    program = load_program(path)
    assert program.settings == ("rows=5",)
    assert program.config == dataclasses.replace(config("tiny", "lean"), rows=5)


@pytest.mark.parametrize("alternate", [False, True])
def test_a_program_file_alone_is_enough_to_run(saved: Path, alternate: bool, rng: np.random.Generator):
    program, model = load_program(saved), IntegerVit(load_model(MODEL))
    picture = rng.normal(0, 1, (1, 3, 32, 32)).astype(np.float32)
    image = program.quantised(picture)
    integers = model.quantised(picture)
    np.testing.assert_array_equal(image, integers)
    memory = rng.integers(0, 256, program.beats * BEAT_BYTES).astype(np.uint8)
    pieces = program.pieces()
    rows = patches(image.astype(np.int64), program.patch)[0]
    place = program.alternate_image if alternate else program.image_allocation.base
    pieces.append((place, pack_matrix(rows, program.image_allocation.size).tobytes()))
    for base, octets in pieces:
        memory[base * BEAT_BYTES : base * BEAT_BYTES + len(octets)] = np.frombuffer(octets, np.uint8)
    Interpreter(program.config, memory).run(program.alternate_start if alternate else program.start)
    expected = model.run(integers, capture=("head",))["head"]
    np.testing.assert_array_equal(tensors_of(program.allocations, memory)["head"], expected)
    np.testing.assert_array_equal(
        expected[0] * program.outputs["classes"].scales.astype(np.float64), model.logits(integers)[0]
    )


@settings(max_examples=60)
@given(st.data())
def test_damage_anywhere_is_one_sentence(saved: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    content = bytearray(saved.read_bytes())
    if data.draw(st.booleans(), label="cut short"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place = data.draw(st.one_of(st.integers(0, 8000), st.integers(0, len(content) - 1)))
        content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "x.program"
    path.write_bytes(bytes(content))
    with pytest.raises(UserError) as caught:
        load_program(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def forged(saved: Path, tmp_path: Path, header: dict[str, Any], tensors: dict[str, Any]) -> Path:
    """The file with other contents and a checksum that fits them."""
    old_header, old_tensors = contents(saved)
    new_header = old_header | header
    new_tensors = old_tensors | tensors
    new_header["checksum"] = checksum(new_tensors, new_header)
    path = tmp_path / "forged.program"
    path.write_bytes(save(new_tensors, new_header))
    return path


def with_allocation(saved: Path, name: str, **changes: Any) -> str:
    allocations = json.loads(contents(saved)[0][ALLOCATIONS])
    allocations[name] |= changes
    return json.dumps(allocations)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"version": "0"}, "version '0'"),
        ({"isa": "99"}, "instruction set '99'"),
        ({"board": "nowhere"}, "unknown board or configuration 'nowhere'"),
        ({"settings": '["rows=3"]'}, "rows must be 4 to 64, not 3"),
        ({"settings": '["clock_mhz=nan"]'}, "clock_mhz must be a positive number, not nan"),
        ({"settings": '["clock_mhz=0"]'}, "clock_mhz must be a positive number, not 0"),
        ({"settings": '["rows=12"]'}, "another version of the machine arty_a7_35"),
        ({"settings": '["name=x"]'}, "names no number of the configuration"),
        ({"settings": "7"}, "cannot be understood"),
        ({"arithmetic": "nothing"}, "nothing"),
        ({"fingerprint": "00000000"}, "another version of the machine arty_a7_35"),
        ({"beats": "100"}, "outside its memory of 100 beats"),
        ({"beats": str(1 << 60)}, "outside its memory"),
        ({"start": "-4"}, "outside its memory"),
        ({"start": "0"}, "another program|outside"),
        ({"alternate_start": "-4"}, "outside its memory"),
        ({"alternate_start": "16777215"}, "another program|outside"),
        ({"alternate_image": "16777215"}, "outside its memory"),
        ({"log": str(1 << 40)}, "outside its memory"),
        ({"patch": "0"}, "outside its memory"),
        ({"patch": "4"}, "images of 32 pixels"),
        ({"image": "nothing"}, "outside its memory"),
        ({"image_scale": "nan"}, "scales"),
        ({"class_names": '["one"]'}, "1 names for 10 classes"),
        ({ALLOCATIONS: "[" * 100_000}, "cannot be understood"),
        ({ALLOCATIONS: "{}"}, "outside its memory"),
        ({"start": "9" * 5000}, "cannot be understood"),
    ],
)
def test_a_forged_header_is_one_sentence(saved: Path, tmp_path: Path, header: dict[str, str], says: str):
    with pytest.raises(UserError, match=says) as caught:
        load_program(forged(saved, tmp_path, header, {}))
    assert "\n" not in str(caught.value)


def test_a_program_of_when_lean_had_eight_bits_is_refused(saved: Path, tmp_path: Path):
    # It says "lean" and the machine that "lean" was, whose probabilities had eight bits.
    header = contents(saved)[0]
    before = config(header["board"], "lean:softmax_bits=8")
    assert header["arithmetic"] == "lean"
    old = {"fingerprint": f"{before.fingerprint:08x}"}
    with pytest.raises(UserError, match="another version of the machine arty_a7_35"):
        load_program(forged(saved, tmp_path, old, {}))


@pytest.mark.parametrize(
    "changes",
    [{"rows": 1 << 23}, {"columns": 1 << 23}, {"base": 1 << 23}, {"base": -1}, {"rows": 0}, {"rows": 1.5}, {"size": 3}],
)
def test_a_forged_allocation_is_one_sentence(saved: Path, tmp_path: Path, changes: dict[str, Any]):
    with pytest.raises(UserError) as caught:
        load_program(forged(saved, tmp_path, {ALLOCATIONS: with_allocation(saved, "head", **changes)}, {}))
    assert "\n" not in str(caught.value)


def test_forged_tensors_are_one_sentence(saved: Path, tmp_path: Path):
    _, tensors = contents(saved)
    far = tensors["segments"].copy()
    far[-1] = 1 << 62
    for name, value, says in (
        ("segments", far, "outside its memory"),
        ("segments", tensors["segments"][:-1], "outside its memory"),
        ("program", tensors["program"][::-1].copy(), "another program"),
        ("memory", tensors["memory"].astype(np.int8), "memory"),
        ("scales.classes", tensors["scales.classes"][:-1], "scales"),
        ("surprise", np.zeros(3), "surprise"),
    ):
        with pytest.raises(UserError, match=says):
            load_program(forged(saved, tmp_path, {}, {name: value}))


def test_a_log_that_moves_after_a_mark_is_one_sentence(saved: Path, tmp_path: Path):
    _, tensors = contents(saved)
    words = tensors["program"]
    base = encode(Engine.CONTROL, register(Engine.CONTROL, "LOG_BASE").number, 0)
    place = int(np.flatnonzero(words >> 24 == base >> 24)[0])
    late = words.copy()
    late[place], late[place + 1] = encode(Engine.EXEC, Op.MARK, 0), words[place]
    memory = tensors["memory"].tobytes().replace(words.tobytes(), late.tobytes())
    changes = {"program": late, "memory": np.frombuffer(memory, tensors["memory"].dtype)}
    with pytest.raises(UserError, match="it sets LOG_BASE after a MARK"):
        load_program(forged(saved, tmp_path, {}, changes))


def test_the_command_writes_a_program_and_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "p.program"
    assert command.main([str(MODEL), "--board", "arty_a7", "-o", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert load_program(path).board == report["board"] == "arty_a7_35"
    # 17 tokens, 64 channels, 4 blocks: patches, Q K V, scores and product, projection, both of the MLP; the head.
    patch, qkv, attention, projection, mlp = (
        16 * 192 * 64,
        17 * 64 * 192,
        2 * 17 * 17 * 64,
        17 * 64 * 64,
        2 * 17 * 64 * 256,
    )
    exact = patch + 4 * (qkv + attention + projection + mlp) + 64 * 10
    assert exact <= sum(layer["macs"] for layer in report["layers"]) <= 1.1 * exact
    assert report["instructions"] == len(load_program(path).words)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([str(MODEL), "--board", "nowhere"], "nowhere"),
        (["absent.model", "--board", "arty_a7"], "absent.model"),
    ],
)
def test_the_command_refuses_in_a_sentence(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "p.program"
    assert command.main([*arguments, "-o", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and "\n" not in error and not path.exists()


def test_every_board_has_its_own_fingerprint():
    assert len({machine.fingerprint for machine in PRESETS.values()}) == len(PRESETS)
