"""Which file of the project imports which: what the tests of directions and of circles look at."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["ROOMS", "ROOT", "circles", "folder_of", "graph", "imported", "module_name", "python_files"]

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("firmware", "gateware", "host", "hw", "sim")

Graph = dict[str, set[str]]


def python_files() -> list[Path]:
    """Every Python file of the rooms."""
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def module_name(path: Path) -> str:
    """`gateware/array/grid.py` is `gateware.array.grid`, and a package's `__init__.py` the package."""
    relative = path.relative_to(ROOT).with_suffix("")
    return ".".join((relative.parent if relative.name == "__init__" else relative).parts)


def imported(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a module imports: in functions, for types alone, and by
    `import_module("...")` too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                package = package[: len(package) - node.level + is_package]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                yield node.lineno, base if alias.name == "*" else f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def graph(sources: Mapping[str, str], packages: set[str]) -> Graph:
    """From each module to the modules that it imports; of `sources`, the text of each module by its name, those in
    `packages` are a package's `__init__`.
    """
    found: Graph = {module: set() for module in sources}
    for module, source in sources.items():
        for _, name in imported(ast.parse(source), module, module in packages):
            while name and name not in sources:  # of `gateware.isa.Engine` the module is `gateware.isa`
                name = name.rpartition(".")[0]
            if name and name != module:
                found[module].add(name)
    return found


def folder_of(module: str, packages: set[str]) -> str:
    """What a module counts as among folders: its folder, or itself where its folder has folders inside.

    The files beside folders are what those stand on (`gateware.config`) and what is built of them (`gateware.core`).
    """
    folder = module if module in packages else module.rpartition(".")[0]
    return module if any(other.startswith(f"{folder}.") for other in packages) else folder


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of nodes of which each leads to each other, along the shortest way round of one of them."""
    reached = {node: _ways(edges, node) for node in edges}
    found, seen = [], set()
    for node in sorted(edges):
        back = [target for target in reached[node] if node in edges[target]]
        if node in seen or not back:
            continue
        seen |= {other for other in reached[node] if node in reached[other]} | {node}
        found.append(min((reached[node][last] for last in back), key=len))
    return found


def _ways(edges: Mapping[str, set[str]], start: str) -> dict[str, list[str]]:
    """The shortest way from `start` to every node that it leads to, both ends included."""
    ways, queue = {start: [start]}, [start]
    for node in queue:
        for target in sorted(edges[node] - ways.keys()):
            ways[target] = [*ways[node], target]
            queue.append(target)
    del ways[start]
    return ways
