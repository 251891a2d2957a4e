"""A vector by classes that a page has shown pictures of: everything comes with the question, nothing is kept.

The question is `{"vector": [...], "classes": [{"name": NAME, "vectors": [[...], ...]}, ...]}`, the answer
`{"top": [{"name": NAME, "probability": NUMBER}, ...], "unusual": NUMBER}`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from host.command.errors import HostError
from host.embeddings.class_names import check_names
from host.embeddings.teaching import taught
from host.embeddings.vectors import normalised

__all__ = ["MOST_CLASSES", "MOST_VECTORS", "judged"]

MOST_CLASSES = 100
MOST_VECTORS = 2000
HERE = "The page"


def judged(content: bytes) -> dict[str, object]:
    """The answer to a question.

    Raises
    ------
    HostError : it is no question, or a class is empty, or two have one name
    """
    try:
        question = json.loads(content)
        vector, classes = question["vector"], question["classes"]
        names = [one["name"] for one in classes]
        rows = [row for one in classes for row in one["vectors"]]
        labels = [label for label, one in enumerate(classes) for _ in one["vectors"]]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("a name is no text")
        if len(names) > MOST_CLASSES or len(rows) > MOST_VECTORS:
            raise HostError(f"{MOST_CLASSES} classes and {MOST_VECTORS} pictures of them are the most.")
        query, vectors = _numbers(vector, 1), _numbers(rows, 2) if rows else np.zeros((0, 1), np.float32)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise HostError("The question about classes cannot be understood: load the page anew.") from error
    check_names(names, HERE)
    if empty := [name for label, name in enumerate(names) if label not in labels]:
        raise HostError(f"The class {empty[0]!r} has no pictures: give it some, or take it away.")
    model = taught(normalised(vectors), np.array(labels, np.int64), names, "", "mean", HERE)
    answer = model.of_vector(normalised(query), unusual=True)
    top = [{"name": entry.name, "probability": entry.probability} for entry in answer.top(len(names))]
    return {"top": top, "unusual": answer.unusual}


def _numbers(value: Any, axes: int) -> npt.NDArray[np.float32]:
    """Raises ValueError unless they are finite numbers in so many axes."""
    array = np.asarray(value, np.float32)
    if array.ndim != axes or not array.size or not np.isfinite(array).all():
        raise ValueError("no vectors")
    return array
