"""Compiled programs, run word by word, against the reference at every tensor that they store."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from firmware.compiler.errors import CompileError
from gateware.config import PRESETS, AcceleratorConfig, config
from gateware.isa import MOST_COUNT, Engine
from sim.interpreter.machine import Interpreter
from sim.interpreter.state import MachineError
from sim.reference.arithmetic import preset
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model
from sim.reference.vit_shape import VitShape
from tests.firmware.compiler.compiled_model import (
    STORED_A_BLOCK,
    compiled_for,
    different,
    interpreted,
    memory_with,
    random_image,
    random_model,
    too_short,
)
from tests.firmware.compiler.interleaving import READS, WRITES, Interleaver

MODEL = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"
# One block of DeiT-Tiny's: rows in chunks, weights streamed, nothing that fits at once.
BLOCK = VitShape(image=224, patch=16, dim=192, depth=1, heads=3, classes=1000)
SMALL = VitShape(image=20, patch=4, dim=32, depth=1, heads=2, classes=7)  # 26 tokens: no multiple of any grid's rows

T, B, E, V = Engine.LOADT, Engine.LOADB, Engine.EXEC, Engine.VEC
ORDERS: dict[str, Sequence[Engine | str] | None] = {
    "T loads first": (T, B, V, E, READS, WRITES),
    "B loads first": (B, T, V, E, READS, WRITES),
    "array first": (E, READS, WRITES, V, T, B),
    "Shiftmax first, results last": (V, E, READS, T, B, WRITES),
    "operands first, results last": (E, READS, T, B, V, WRITES),
    "by lot": None,
}


def shipped() -> IntegerVit:
    return IntegerVit(load_model(MODEL))


@pytest.mark.parametrize("board", sorted(PRESETS))
def test_the_shipped_model_is_exact_on_every_machine(board: str, rng: np.random.Generator):
    model, machine = shipped(), config(board, "lean")
    assert interpreted(compiled_for(model, machine), machine, model, random_image(model, rng)) == []


@pytest.mark.parametrize("board", ["tiny", "arty_a7_35", "asic"])
def test_official_arithmetic_is_exact(board: str, rng: np.random.Generator):
    model, machine = random_model(SMALL, "official", rng), config(board, "official")
    assert interpreted(compiled_for(model, machine), machine, model, random_image(model, rng)) == []


@pytest.mark.parametrize("arithmetic", ["lean", "official"])
def test_a_block_of_deit_tiny_is_exact_in_any_order(arithmetic: str, rng: np.random.Generator):
    model, machine = random_model(BLOCK, arithmetic, rng), config("arty_a7_35", arithmetic)
    compiled, image = compiled_for(model, machine), random_image(model, rng)
    expected = model.run(image)
    assert interpreted(compiled, machine, model, image, expected) == []
    for order in ORDERS.values():
        memory = memory_with(compiled, model, image)
        run = Interleaver(machine, memory, order, rng)
        run.run(compiled.program)
        assert different(compiled, model, image, memory, expected) == []
        assert run.most <= MOST_COUNT, "a semaphore would overflow"


def test_a_distilled_model_is_exact(rng: np.random.Generator):
    """Two tokens in front of 25 patches, and a head that reads both side by side."""
    model, machine = random_model(dataclasses.replace(SMALL, distilled=1), "lean", rng), config("tiny", "lean")
    assert interpreted(compiled_for(model, machine), machine, model, random_image(model, rng)) == []


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("distilled", [0, 1])
def test_tensors_share_places_where_memory_is_short(distilled: int, order: str, rng: np.random.Generator):
    shape = dataclasses.replace(SMALL, depth=5, distilled=distilled)
    model, machine = random_model(shape, "lean", rng), config("tiny", "lean")
    roomy = compiled_for(model, machine)
    with too_short(roomy.beats):
        compiled, image = compiled_for(model, machine), random_image(model, rng)
    assert roomy.overwritten == () and compiled.beats < roomy.beats
    # All blocks but the last two: a block's tensors are there while the next one's are made.
    assert len(compiled.overwritten) >= 3 * STORED_A_BLOCK and not {*compiled.overwritten} & {*compiled.allocations}
    memory = memory_with(compiled, model, image)
    run = Interleaver(machine, memory, ORDERS[order], rng)
    run.run(compiled.program)
    assert different(compiled, model, image, memory) == []
    # A second frame finds what the first one left.
    Interpreter(machine, memory).run(compiled.program)
    assert different(compiled, model, image, memory) == []


@st.composite
def models_and_machines(draw: st.DrawFn) -> tuple[VitShape, AcceleratorConfig]:
    heads = draw(st.integers(1, 3))
    width = 16 * draw(st.integers(1, 4 // heads + 1))
    patch = draw(st.sampled_from([2, 4, 6, 8]))
    shape = VitShape(
        image=patch * draw(st.integers(1, 6)),
        patch=patch,
        dim=heads * width,
        depth=draw(st.integers(1, 2)),
        heads=heads,
        classes=draw(st.integers(1, 40)),
        distilled=draw(st.integers(0, 1)),
    )
    machine = AcceleratorConfig(
        "drawn",
        preset(draw(st.sampled_from(["lean", "official"]))),
        rows=draw(st.integers(4, 30)),
        a_depth=draw(st.sampled_from([320, 512, 2048])),
        # K and V of a head are 400 words at most here; half as much again, and they find room wherever the ring stands.
        b_depth=draw(st.sampled_from([640, 1024, 2048])),
        const_depth=draw(st.sampled_from([256, 512])),
        ln_channels=192,
        softmax_length=64,
        max_rows=64,
    )
    return shape, machine


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(models_and_machines(), st.integers(0, 1 << 32))
# Rows that are no whole number of slabs: what a load brings beyond them must not land in another row.
@example((VitShape(10, 2, 96, 1, 3, 15), AcceleratorConfig("narrow patches", rows=6, softmax_length=64)), 1)
def test_any_small_model_is_exact_on_any_machine(drawn: tuple[VitShape, AcceleratorConfig], seed: int):
    shape, machine = drawn
    rng = np.random.default_rng(seed)
    model = random_model(shape, machine.arithmetic.name, rng)
    assert interpreted(compiled_for(model, machine), machine, model, random_image(model, rng)) == []


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("arithmetic", ["lean", "official"])
@pytest.mark.parametrize("board", ["tiny", "arty_a7_35"])
def test_no_order_of_the_engines_changes_a_result(board: str, arithmetic: str, order: str, rng: np.random.Generator):
    model = shipped() if arithmetic == "lean" else random_model(SMALL, arithmetic, rng)
    machine = config(board, arithmetic)
    compiled, image = compiled_for(model, machine), random_image(model, rng)
    memory = memory_with(compiled, model, image)
    run = Interleaver(machine, memory, ORDERS[order], rng)
    run.run(compiled.program)
    assert different(compiled, model, image, memory) == []
    assert run.most <= MOST_COUNT, "a semaphore would overflow"


TOO_EARLY = ("there is no block of scores", "scores come before there is a place for them")


@pytest.mark.parametrize("waiting", [T, B, E, V], ids=lambda engine: engine.name)
def test_every_engines_waits_are_needed(waiting: Engine, rng: np.random.Generator):
    """The test above would notice: without one engine's waits, some order gives wrong results."""
    model, machine = shipped(), config("tiny", "lean")
    compiled, image = compiled_for(model, machine), random_image(model, rng)
    for order in ORDERS.values():
        memory = memory_with(compiled, model, image)
        run = Interleaver(machine, memory, order, rng, deaf=waiting)
        try:
            run.run(compiled.program)
        except (AssertionError, MachineError) as error:
            assert any(sentence in str(error) for sentence in TOO_EARLY)
            return
        if different(compiled, model, image, memory):
            return
    pytest.fail(f"the waits of {waiting.name} do nothing")


@pytest.mark.parametrize(
    ("shape", "changes", "says"),
    [
        (
            VitShape(16, 4, 128, 1, 2, 4),
            {"ln_channels": 64},
            r"norm1.*128 channels.*64.*ln_channels|qact1.*ln_channels",
        ),
        (VitShape(36, 4, 32, 1, 2, 4), {"softmax_length": 64}, r"rows have 82 scores.*64.*softmax_length"),
        (
            VitShape(16, 4, 20, 1, 1, 4),
            {},
            r"rows of 20 channels of 2 bytes are not a multiple of 16.*change the model's",
        ),
        (VitShape(16, 4, 96, 1, 2, 4), {"a_depth": 64}, r"384 columns.*A buffer, which has 64; enlarge a_depth"),
        (VitShape(9, 3, 32, 1, 2, 4), {}, r"27 inputs.*multiple of 4; change its patch"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    shape: VitShape, changes: dict[str, Any], says: str, rng: np.random.Generator
):
    model = random_model(shape, "lean", rng)
    with pytest.raises(CompileError, match=says) as caught:
        compiled_for(model, dataclasses.replace(PRESETS["arty_a7_35"], **changes))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_more_rows_than_the_machine_keeps_maxima_of(rng: np.random.Generator):
    model = random_model(VitShape(36, 4, 32, 1, 2, 4), "lean", rng)
    machine = dataclasses.replace(PRESETS["arty_a7_35"], max_rows=32)
    assert interpreted(compiled_for(model, machine), machine, model, random_image(model, rng)) == []


def test_accumulators_that_may_overflow_are_refused(rng: np.random.Generator):
    """1,024 inputs of the largest weights may reach 2^24, and 24 signed bits end at 2^23."""
    model = random_model(VitShape(16, 4, 256, 1, 4, 4), "lean", rng)
    node = next(node for node in model.graph.nodes if node.name == "blocks.0.mlp.fc2")
    node.operation.weight[:] = 127
    machine = dataclasses.replace(PRESETS["arty_a7_35"], acc_width=24)
    with pytest.raises(CompileError, match=r"blocks\.0\.qact4: an accumulator.*acc_width"):
        compiled_for(model, machine)


def test_a_program_is_the_same_every_time():
    machine = config("arty_a7_35", "lean")
    first, second = (compiled_for(shipped(), machine) for _ in range(2))
    np.testing.assert_array_equal(first.words, second.words)
    assert [base for base, _ in first.initial] == [base for base, _ in second.initial]
