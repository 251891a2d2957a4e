"""No circle of imports: of two files, or of two folders, one stands on the other."""

import pytest

from tests.import_graph import ROOMS, circles, folder_of, graph, module_name, python_files

PACKAGES = {module_name(path) for path in python_files() if path.name == "__init__.py"}
FILES = graph({module_name(path): path.read_text() for path in python_files()}, PACKAGES)


def folders(edges: dict[str, set[str]], packages: set[str]) -> dict[str, set[str]]:
    """The same graph of folders."""
    found: dict[str, set[str]] = {}
    for module, targets in edges.items():
        mine = folder_of(module, packages)
        found.setdefault(mine, set()).update(folder_of(target, packages) for target in targets)
        found[mine].discard(mine)
    return found


def shown(found: list[list[str]]) -> list[str]:
    return [" -> ".join([*circle, circle[0]]) for circle in found]


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_of_files(room: str):
    assert [circle for circle in shown(circles(FILES)) if circle.startswith(room)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_circle_of_folders(room: str):
    found = circles(folders(FILES, PACKAGES))
    assert [circle for circle in shown(found) if circle.startswith(room)] == []


@pytest.mark.parametrize(
    "source",
    ["from host.b import B", "def late():\n    from host import b", "if TYPE_CHECKING:\n    from .b import B"],
)
def test_a_circle_of_files_is_seen(source: str):
    sources = {"host": "", "host.a": source, "host.b": "import host.c", "host.c": "from host.a import A", "host.d": ""}
    sources |= {"host.user": "import host.a"}  # on the circle's side, not in it
    assert shown(circles(graph(sources, {"host"}))) == ["host.a -> host.b -> host.c -> host.a"]


def test_a_circle_of_folders_is_seen():
    packages = {"hw", "hw.asic", "hw.boards", "hw.tools"}
    sources = dict.fromkeys(packages, "")
    sources |= {"hw.asic.build": "import hw.boards.asic", "hw.boards.asic": "import hw.asic.layout"}
    sources |= {"hw.asic.layout": "import hw.errors", "hw.errors": "", "hw.build": "import hw.asic.build"}
    edges = graph(sources, packages)
    assert circles(edges) == []
    assert shown(circles(folders(edges, packages))) == ["hw.asic -> hw.boards -> hw.asic"]


def test_what_stands_beside_folders_is_no_part_of_them():
    packages = {"hw", "hw.asic"}
    sources = {"hw": "", "hw.asic": "", "hw.asic.layout": "import hw.errors", "hw.errors": "", "hw.build": ""}
    sources["hw.build"] = "import hw.asic.layout"
    assert circles(folders(graph(sources, packages), packages)) == []
