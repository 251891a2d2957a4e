"""docs/verification.md lists the contracts that the machine states."""

from tests.contracts_page import PAGE, page_with_tables


def test_the_page_lists_the_contracts():
    text = PAGE.read_text()
    assert text == page_with_tables(text), "run `python -m tests.contracts_page`"
