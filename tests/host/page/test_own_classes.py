"""The page's own classes, and vectors: what the server answers, and every question that is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.command.errors import HostError
from host.embeddings.teaching import taught
from host.embeddings.vectors import normalised
from host.page.own_classes import MOST_CLASSES, judged
from tests.host.page.test_page import label, picture, served


def question(**changes: Any) -> bytes:
    rng = np.random.default_rng(1)
    classes = [{"name": name, "vectors": rng.normal(size=(4, 5)).tolist()} for name in ("cup", "spoon", "fork")]
    return json.dumps({"vector": rng.normal(size=5).tolist(), "classes": classes, **changes}).encode()


def test_it_is_what_teaching_gives():
    asked = json.loads(question())
    vectors = normalised(np.array([row for one in asked["classes"] for row in one["vectors"]], np.float32))
    made = taught(vectors, np.repeat(np.arange(3), 4), ("cup", "spoon", "fork"), "", "mean", "here")
    wanted = made.of_vector(normalised(np.array(asked["vector"], np.float32)), unusual=True)
    found: Any = judged(question())
    assert [entry["name"] for entry in found["top"]] == [entry.name for entry in wanted.top(3)]
    assert found["top"][0]["probability"] == pytest.approx(wanted.confidence) and found["unusual"] == wanted.unusual


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be understood"),
        (b"[" * 100_000, "cannot be understood"),
        (b"\xff\xfe", "cannot be understood"),
        (b"[]", "cannot be understood"),
        (question(vector="a"), "cannot be understood"),
        (question(vector=[]), "cannot be understood"),
        (question(vector=[[1, 2, 3, 4, 5]]), "cannot be understood"),
        (question(vector=[1, 2, 3, 4, float("nan")]), "cannot be understood"),
        (question(vector=[1, 2, 3, 4, 10**400]), "cannot be understood"),
        (question(classes=7), "cannot be understood"),
        (question(classes=[{"name": 7, "vectors": [[1] * 5]}]), "cannot be understood"),
        (question(classes=[{"name": "a", "vectors": [[1] * 5, [1] * 4]}]), "cannot be understood"),
        (question(classes=[{"name": "a", "vectors": [[1] * 4]}]), "vectors of 4 numbers, and the program gives 5"),
        (question(classes=[]), "has no classes"),
        (question(classes=[{"name": "a", "vectors": []}]), "The class 'a' has no pictures"),
        (question(classes=[{"name": one, "vectors": [[1] * 5]} for one in ("a", "A")]), "two classes of one name"),
        (question(classes=[{"name": "", "vectors": [[1] * 5]}]), "is no name of a class"),
        (question(classes=[{"name": str(n), "vectors": []} for n in range(MOST_CLASSES + 1)]), "are the most"),
    ],
)
def test_what_is_no_question(content: bytes, says: str):
    with pytest.raises(HostError, match=says) as caught:
        judged(content)
    assert "\n" not in str(caught.value)


def test_a_program_that_gives_classes_alone(brightness, program: Path):
    async def ask(client):
        embedded = await client.post("/api/embed", data=picture(9), headers={"Content-Type": "image/png"})
        judge = await client.post("/api/judge", data=question(), headers={"Content-Type": "application/json"})
        wrong = await client.post("/api/judge", data=b"{", headers={"Content-Type": "application/json"})
        return embedded.status, await embedded.json(), judge.status, await judge.json(), wrong.status

    status, answer, judged_status, found, wrong = served(program, ask)
    assert status == 400 and "gives classes alone" in answer["error"]
    assert judged_status == 200 and len(found["top"]) == 3 and wrong == 400


def test_a_program_that_gives_vectors_alone(brightness, program: Path, monkeypatch):
    monkeypatch.setattr("host.page.shared_device.offered_outputs", lambda path: ("embedding",))

    async def ask(client):
        response = await client.post("/api/embed", data=picture(100), headers={"Content-Type": "image/png"})
        about = await (await client.get("/api/device")).json()
        return about, await label(client, picture(100)), await response.json()

    about, (status, refused), answer = served(program, ask)
    assert about["outputs"] == ["embedding"] and about["model"] == answer["model"] == "brightness"
    assert status == 400 and "gives no classes" in refused["error"]
    np.testing.assert_allclose(answer["vector"], -np.ones(3) / np.sqrt(3), atol=1e-6)
    assert answer["cycles"] == 1000
