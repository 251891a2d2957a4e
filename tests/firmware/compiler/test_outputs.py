"""Programs that give other than classes: each output, compiled and run word by word, is the reference's integers."""

import numpy as np
import pytest

from firmware.compiler.compiled import program_of
from firmware.compiler.place.memory import Memory
from firmware.program.allocation import tensors_of
from firmware.quantiser.random_model import random_model
from gateware.config import config
from sim.interpreter.machine import Interpreter
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.vit_shape import POOLS
from tests.firmware.compiler.compiled_model import compiled_for, memory_with, random_image, too_short

VIT = "vit:image=32,patch=8,dim=48,depth=2,heads=2,classes=10"
SWIN = "swin:image=32,patch=4,dim=32,depths=1-1,heads=1-2,window=4,classes=10"
VARIATIONS = ["", ",registers=3", ",distilled=1", ",pool=mean", *(f",class_token=0,pool={one}" for one in POOLS[2:])]
ALL = ("classes", "embedding", "mean", "tokens")


def run(architecture: str, kinds: tuple[str, ...], arithmetic: str, rng: np.random.Generator):
    """Of each output the program's integers and the reference's; and the model."""
    model, machine = (
        IntegerVit(random_model(parse_architecture(architecture), arithmetic, rng), kinds),
        config("tiny", arithmetic),
    )
    compiled = compiled_for(model, machine)
    program, image = program_of(model, compiled, machine), random_image(model, rng)
    memory = memory_with(compiled, model, image)
    Interpreter(machine, memory).run(compiled.program)
    found, expected = tensors_of(program.allocations, memory), model.run(image)
    assert tuple(program.outputs) == kinds
    pairs = {kind: (found[one.tensor], np.atleast_2d(expected[one.tensor][0])) for kind, one in program.outputs.items()}
    return pairs, model, compiled, program


@pytest.mark.parametrize(
    "variation",
    [
        "",
        ",registers=3",
        ",pool=mean",
        ",class_token=0,pool=attention",
        ",class_token=0,pool=mean_norm",
        ",distilled=1",
    ],
)
@pytest.mark.parametrize(("kinds", "arithmetic"), [(("tokens",), "lean"), (ALL, "lean"), (ALL, "official")])
def test_a_vit(variation: str, kinds: tuple[str, ...], arithmetic: str, rng: np.random.Generator):
    pairs, model, _, program = run(VIT + variation, kinds, arithmetic, rng)
    for kind, (found, expected) in pairs.items():
        assert (found.shape, len(np.unique(found)) > 3) == (expected.shape, True)
        np.testing.assert_array_equal(found, expected, err_msg=kind)
        assert program.outputs[kind].scales.shape == (expected.shape[1],)
    shape = model.model.shape
    if "tokens" in pairs:
        assert len(pairs["tokens"][0]) == shape.tokens


def test_a_swin(rng: np.random.Generator):
    pairs, *_ = run(SWIN, ALL, "lean", rng)
    for kind, (found, expected) in pairs.items():
        np.testing.assert_array_equal(found, expected, err_msg=kind)


def test_a_models_own_output_is_what_its_head_gives(rng: np.random.Generator):
    pairs, model, *_ = run(VIT + ",gives=embedding", ("embedding",), "lean", rng)
    assert model.outputs["embedding"].tensor == "head" and pairs["embedding"][0].shape == (1, 10)
    own = IntegerVit(model.model)
    assert (list(own.outputs), own.graph.output) == (["embedding"], "head")


def test_a_program_without_classes_has_no_head(rng: np.random.Generator):
    """What no output needs is not computed: the head, and of an embedding all but the class token's norm."""
    _, _, compiled, _ = run(VIT, ("embedding",), "lean", rng)
    assert "head" not in compiled.allocations and compiled.allocations["qact2"].rows == 1


def test_an_output_has_a_place_of_its_own(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    """The host reads it while the next frame runs, whose layers write where others of this one have been."""
    model = IntegerVit(random_model(parse_architecture(VIT.replace("depth=2", "depth=4")), "lean", rng), ("tokens",))
    enough, placed = compiled_for(model, config("tiny")).beats, []

    def allocate(self, *arguments, real=Memory.allocate, **options):
        placed.append(real(self, *arguments, **options))
        return placed[-1]

    monkeypatch.setattr(Memory, "allocate", allocate)
    with too_short(enough):
        compiled = compiled_for(model, config("tiny"))
    output = compiled.allocations["qact2_tokens"]
    shared = placed[next(i for i, one in enumerate(placed) if one is not output and one.name == placed[0].name) :]
    others = [one for one in shared if one.name != output.name]
    assert compiled.overwritten and len(others) > 10
    assert all(one.end <= output.base or output.end <= one.base for one in others)


def test_the_mean_is_of_patches(rng: np.random.Generator):
    pairs, *_ = run(VIT + ",registers=2", ("mean", "tokens"), "lean", rng)
    patches = pairs["tokens"][0][3:]
    assert np.abs(pairs["mean"][0][0] - patches.mean(axis=0)).max() <= 0.51


@pytest.mark.parametrize(
    ("kinds", "says"),
    [(("nothing",), "There is no output 'nothing'"), (("classes",), "gives no classes: name one of embedding, mean")],
)
def test_outputs_that_there_are_not(kinds: tuple[str, ...], says: str, rng: np.random.Generator):
    model = random_model(parse_architecture(VIT + ",gives=embedding"), "lean", rng)
    with pytest.raises(UserError, match=says):
        IntegerVit(model, kinds)
