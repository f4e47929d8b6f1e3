"""ROC and precision-recall panels: which there are, and that the lines are right."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fabricated import ROWS, make_evaluation, make_scores
from rarelesion.curves import figure6, pr_curves
from rarelesion.types import Scores


def small(recipe: str, label: list[int], score: list[float], fold: list[int] | None = None) -> Scores:
    n = len(label)
    ids = np.array([f"c{place}" for place in range(n)])
    where = np.array(fold or [0] * n)
    return Scores(recipe, np.zeros(n, int), where, np.array(["test"] * n), ids, ids, np.array(label), np.array(score))


def titles(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def entries(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes, start: str):
    """The drawn line whose legend entry begins so."""
    return next(item for item in axes.lines if str(item.get_label()).startswith(start))


def test_the_seventeen_rows_make_the_papers_three_panels():
    rows = [make_scores(recipe) for recipe in reversed(ROWS)]
    figure = figure6(rows, make_evaluation(rows))
    assert titles(figure) == [
        "a   Classifier, readers and CVAE",
        "b   What each step adds to VGG16",
        "c   Backbones with texture +L2 +LOF",
    ]
    names = [[entry.split("   ")[0] for entry in entries(axes)] for axes in figure.axes]
    assert names[0] == ["VGG16 +texture +L2 +LOF", "reader A", "CVAE", "chance"]
    assert names[1] == [
        "conventional",
        "+texture",
        "+texture +L2",
        "+texture +L2 +OCSVM",
        "+texture +L2 +LOF",
        "chance",
    ]
    assert names[2] == ["VGG16", "MobileNet", "ResNet50", "chance"]
    assert "(" in entries(figure.axes[0])[0]


@pytest.mark.parametrize(
    ("recipes", "expected"),
    [
        (["mobilenet"], ["MobileNet"]),
        (["mobilenet", "mobilenet+texture"], ["What each step adds to MobileNet"]),
        (["mobilenet", "vgg16"], ["Backbones"]),
        (["reader:A"], ["Readers"]),
        (["cvae", "reader:A"], ["Readers and CVAE"]),
        (["mobilenet+l2+knn", "reader:A"], ["Classifier and readers"]),
        (["clinical", "radiomics"], ["Features"]),
        (["cvae+clinical"], ["CVAE"]),
        (["cvae", "tiny", "clinical"], ["Classifier, CVAE and features"]),
    ],
)
def test_panels_with_nothing_to_compare_are_left_out(recipes, expected):
    assert titles(figure6([make_scores(recipe) for recipe in recipes])) == expected


def test_one_test_set_is_drawn_point_by_point():
    axes = figure6([small("vgg16", [0, 1, 0, 1], [1, 2, 3, 4])]).axes[0]
    assert_allclose(line(axes, "VGG16").get_xydata(), [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]])


def test_several_test_sets_are_averaged_and_never_pooled():
    # Each fold alone is perfect; pooled, fold 1's benign cases would lie above fold 0's malignant ones.
    axes = figure6([small("vgg16", [0, 1, 0, 1], [1, 2, 11, 12], [0, 0, 1, 1])]).axes[0]
    mean = line(axes, "VGG16")
    assert_allclose(mean.get_ydata()[1:], 1.0)
    assert len([item for item in axes.lines if item.get_alpha()]) == 2


def test_the_mean_curve_is_halfway_between_a_perfect_and_a_useless_fold():
    scores = small("vgg16", [0, 1, 0, 1], [1, 2, 5, 5], [0, 0, 1, 1])  # in fold 1 a tie: the diagonal
    mean = line(figure6([scores]).axes[0], "VGG16").get_xydata()
    assert_allclose(mean[1:, 1], (1 + mean[1:, 0]) / 2)


def test_a_readers_cases_of_all_folds_are_one_set_with_a_marker_at_each_rating():
    scores = small("reader:A", [0, 0, 1, 0, 1, 1], [1, 2, 2, 1, 3, 3], [0, 0, 0, 1, 1, 1])
    drawn = line(figure6([scores]).axes[0], "reader A")
    assert_allclose(drawn.get_xydata(), [[0, 0], [0, 2 / 3], [1 / 3, 1], [1, 1]])
    assert drawn.get_marker() == "D"


def test_precision_recall_steps_have_the_average_precision_as_area_and_chance_is_the_prevalence():
    scores = small("vgg16", [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    axes = pr_curves([scores]).axes[0]
    drawn = line(axes, "VGG16").get_xydata()
    assert_allclose(np.sum(np.diff(drawn[:, 0]) * drawn[1:, 1]), 0.5 + 0.5 * 2 / 3)
    assert_allclose(line(axes, "chance").get_ydata(), 0.5)
    assert "50%" in entries(axes)[-1]


def test_a_fold_without_malignant_test_cases_is_left_out():
    axes = figure6([small("vgg16", [0, 1, 0, 0], [1, 2, 3, 4], [0, 0, 1, 1])]).axes[0]
    assert_allclose(line(axes, "VGG16").get_xydata(), [[0, 0], [0, 1], [1, 1]])


def test_five_test_sets_are_announced_as_vertical_averaging():
    figure = figure6([make_scores("vgg16", folds=5)])
    assert "5 test sets (vertical averaging)" in " ".join(figure.texts[0].get_text().split())
