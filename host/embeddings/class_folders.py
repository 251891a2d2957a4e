"""Pictures in folders, one folder a class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from host.command.errors import HostError, reason
from host.embeddings.class_names import check_names
from host.embeddings.vectors import Vectors
from host.images.files import Pictures, find_images

__all__ = ["ClassPictures", "Examples", "find_classes"]


@dataclass(frozen=True)
class ClassPictures:
    """The files of pictures, and the class of each by its place among `names`."""

    names: tuple[str, ...]
    files: list[Path]
    labels: list[int]


@dataclass(frozen=True, eq=False)
class Examples:
    """The vectors of pictures of length 1, (pictures, channels), and their classes, (pictures,); what cannot be read is
    not among them.
    """

    vectors: Vectors
    labels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, found: ClassPictures, pictures: Pictures, vectors: Callable[[Pictures], Iterable[Vectors]]) -> Examples:
        """Those of `found`, which `pictures` reads.

        Raises
        ------
        HostError : no picture of a class can be read
        """
        made = list(vectors(pictures))
        label = dict(zip(found.files, found.labels, strict=True))
        labels = [label[file] for file in pictures.read]
        for number in sorted({*found.labels} - {*labels}):
            name = found.names[number]
            raise HostError(f"No picture of the class {name!r} can be read: give it others, or leave it out.")
        return cls(np.stack(made), np.array(labels, np.int64))


def find_classes(folder: Path, names: tuple[str, ...] | None = None) -> ClassPictures:
    """The classes that are the folders inside a folder, by name; hidden ones are none.

    Parameters
    ----------
    names : the classes, where they are known already

    Raises
    ------
    HostError : there are none, one has no images, two have one name, or one is not among `names`
    """
    try:
        inside = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError as error:
        raise HostError(f"Cannot look into {folder}: {reason(error)}.") from error
    if not inside:
        raise HostError(f"{folder} has no folders inside: make one for each class, with its pictures.")
    check_names([one.name for one in inside], str(folder))
    if names is not None and (strange := [one.name for one in inside if one.name not in names]):
        raise HostError(f"{folder} has the class {strange[0]!r}, which was not taught: leave it out.")
    known = names or tuple(one.name for one in inside)
    files = [(file, known.index(one.name)) for one in inside for file in find_images([one])]
    return ClassPictures(known, [file for file, _ in files], [label for _, label in files])
