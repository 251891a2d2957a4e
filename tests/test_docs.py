"""The pages: links lead somewhere, every page is in the index, pictures and generated pages are up to date."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests import commands_page
from tests.import_graph import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|^    .*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def headings(text: str) -> set[str]:
    """What GitHub and Sphinx both call the headings of a page."""
    lines = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def broken_links(page: Path) -> list[str]:
    wrong = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if link.startswith("https://"):
            continue
        if not target.exists():
            wrong.append(f"{page.name}: {link} leads to no file")
        elif anchor and anchor not in headings(target.read_text()):
            wrong.append(f"{page.name}: {link} leads to no heading")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](#two) [c](none.md) `[d](none.md)`\n")
    assert broken_links(page) == ["page.md: #two leads to no heading", "page.md: none.md leads to no file"]


def test_every_page_is_in_the_index():
    listed = re.findall(r"^[\w/-]+$", (DOCS / "index.md").read_text(), re.MULTILINE)
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert sorted(listed) == sorted(pages), "name each page once in a toctree of docs/index.md"


def test_pictures_are_drawn_from_their_sources():
    spec = importlib.util.spec_from_file_location("draw", DOCS / "draw.py")
    assert spec is not None and spec.loader is not None
    draw = sys.modules["draw"] = importlib.util.module_from_spec(spec)  # where its dataclasses look for it
    spec.loader.exec_module(draw)
    for source in (DOCS / "pictures").glob("*.txt"):
        assert source.with_suffix(".svg").read_text() == draw.drawn(source.read_text()), "draw: python docs/draw.py"
    with pytest.raises(draw.DrawingError, match="line 2: there is no 'bix'"):
        draw.drawn("size 10 10\nbix a")


def test_the_commands_page_is_the_parsers():
    assert commands_page.PAGE.read_text() == commands_page.page(), "write it anew: python -m tests.commands_page"


def test_the_formats_page_names_everything():
    from firmware.program import file as program_file
    from sim.reference import model_file

    page = (DOCS / "file_formats.md").read_text()
    assert f"`{model_file.FORMAT}`" in page and f"`{model_file.VERSION}`;" in page
    assert f"`{program_file.FORMAT}`, `{program_file.VERSION}`" in page
    for name in (*program_file.TENSORS, *program_file.NUMBERS, program_file.ALLOCATIONS):
        assert f"`{name}`" in page, name
