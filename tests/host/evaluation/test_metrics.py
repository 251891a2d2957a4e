"""Counts of an evaluation."""

from host.evaluation.metrics import Metrics, Outcome


def test_agreement_counts_only_compared_images():
    metrics = Metrics(3)
    assert metrics.accuracy == 0
    metrics.add(Outcome("a", 0, 0, same_label=True, same_integers=True))
    metrics.add(Outcome("b", 1, 2, 70, same_label=True, same_integers=False))
    metrics.add(Outcome("c", 1, 2, 60, same_label=False, same_integers=False))
    metrics.add(Outcome("d", 2, 0))
    assert (metrics.images, metrics.correct, metrics.accuracy) == (4, 1, 0.25)
    assert (metrics.compared, metrics.same_labels, metrics.same_integers) == (3, 2, 1)
    assert metrics.cycles == [70, 60]
    assert metrics.mistakes() == [(1, 2, 2), (2, 0, 1)]
