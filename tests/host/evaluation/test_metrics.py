"""Counts of an evaluation."""

from host.evaluation.metrics import Outcome, Tally


def test_agreement_counts_only_compared_images():
    tally = Tally(3)
    assert tally.accuracy == 0
    tally.add(Outcome("a", 0, 0, same_label=True, same_integers=True))
    tally.add(Outcome("b", 1, 2, 70, same_label=True, same_integers=False))
    tally.add(Outcome("c", 1, 2, 60, same_label=False, same_integers=False))
    tally.add(Outcome("d", 2, 0))
    assert (tally.images, tally.correct, tally.accuracy) == (4, 1, 0.25)
    assert (tally.compared, tally.same_labels, tally.same_integers) == (3, 2, 1)
    assert tally.cycles == [70, 60]
    assert tally.mistakes() == [(1, 2, 2), (2, 0, 1)]
