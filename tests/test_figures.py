"""The figures show what the arrays say."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

from fabricated import ROWS, make_evaluation, make_scores
from rarelesion import figures
from rarelesion.recipes import PROPOSED
from rarelesion.types import Embeddings, Epoch, Patches, Scores


@pytest.fixture(scope="module")
def embeddings() -> Embeddings:
    rng = np.random.default_rng(3)
    labels = (np.arange(120) % 4 == 0).astype(int)
    vectors = rng.normal(size=(120, 6)) * [5, 3, 1, 1, 1, 1] + labels[:, None] * [9, 0, 0, 0, 0, 0]
    parts = np.repeat(["train", "tune", "test"], [80, 20, 20])
    ids = np.array([f"c{number}" for number in range(120)])
    return Embeddings("vgg16+texture+l2", 0, 0, ids, parts, labels, vectors.astype("f4"), np.zeros((120, 3), "f4"))


def scores_of(embeddings: Embeddings, score: np.ndarray) -> Scores:
    rows = embeddings.parts != "train"
    ids, zeros = embeddings.case_ids[rows], np.zeros(rows.sum(), int)
    return Scores(PROPOSED, zeros, zeros, embeddings.parts[rows], ids, ids, embeddings.labels[rows], score[rows])


def drawn(axes, label: str) -> np.ndarray:
    """Positions of the cases whose legend entry begins with `label`."""
    found = [item for item in axes.collections if str(item.get_label()).startswith(label)]
    return np.asarray(found[0].get_offsets())


def test_the_plane_is_the_principal_plane_of_the_training_cases(embeddings):
    axes = figures.figure4(embeddings).axes[0]
    train = embeddings.parts == "train"
    expected = PCA(2).fit(embeddings.vectors[train]).transform(embeddings.vectors)
    chosen = expected[(embeddings.parts == "test") & (embeddings.labels == 1)]
    assert_allclose(np.abs(drawn(axes, "malignant, test")), np.abs(chosen), rtol=1e-3, atol=1e-3)
    assert len(drawn(axes, "benign, training")) == 60
    share = PCA(2).fit(embeddings.vectors[train]).explained_variance_ratio_[0]
    assert f"({share:.0%} of the variance)" in axes.get_xlabel()


def test_the_region_holds_nine_in_ten_of_the_benign_training_cases(embeddings):
    axes = figures.figure4(embeddings).axes[0]
    outline = next(
        item
        for item in axes.collections
        if item.get_paths() and to_rgba(figures.BLUE, 0.09) in map(tuple, item.get_facecolor())
    )
    inside = outline.get_paths()[0].contains_points(drawn(axes, "benign, training"))
    assert 0.85 <= inside.mean() <= 0.95


def test_missed_cases_are_the_malignant_below_the_threshold_of_the_tuning_cases(embeddings):
    score = embeddings.labels * 10.0 + np.arange(120) / 1000
    score[[100, 108]] = -1.0  # two malignant test cases that look benign
    scores = scores_of(embeddings, score)
    assert figures.missed_cases(scores, 0, 0) == ["c100", "c108"]
    axes = figures.figure4(embeddings, scores).axes[0]
    assert len(drawn(axes, "malignant, missed")) == 2
    assert {text.get_text() for text in axes.texts} == {"c100", "c108"}


def test_without_tuning_cases_nothing_is_called_missed(embeddings):
    scores = scores_of(embeddings, np.zeros(120))
    assert figures.missed_cases(scores.where(scores.part == "test"), 0, 0) == []
    assert figures.missed_cases(scores.where(scores.label == 1), 0, 0) == []


def test_benign_cases_on_a_line_have_no_region(embeddings):
    flat = np.zeros_like(embeddings.vectors)
    flat[:, 0] = np.arange(120)
    names = ("network", "repeat", "fold", "case_ids", "parts", "labels")
    line = Embeddings(*(getattr(embeddings, name) for name in names), vectors=flat, logits=embeddings.logits)
    labels = figures.figure4(line).axes[0].get_legend_handles_labels()[1]
    assert not any("region" in label for label in labels)


def test_patches_are_shown_by_class_with_their_ids_and_textures_last():
    pixels = np.linspace(0, 1, 5 * 3 * 4 * 4, dtype="f4").reshape(5, 3, 4, 4)
    patches = Patches(pixels, ("a", "b", "c", "d", "a-very-long-case-id"))
    figure = figures.patch_examples(patches, np.array([1, 0, 0, 0, 1]), n_each=2, textures=pixels[:1])
    assert [axes.get_title() for axes in figure.axes] == ["b", "c", "a", "a-very-long-c…", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["benign", "", "malignant", "", "texture"]
    assert_allclose(figure.axes[0].images[0].get_array(), pixels[1].transpose(1, 2, 0))


def test_the_epoch_with_the_lowest_tuning_loss_is_marked():
    history = [Epoch(number, 1 / number, abs(number - 3) + 0.5, 1.0) for number in range(1, 7)]
    figure = figures.training_curves({"vgg16": history, "cvae": history})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["VGG16", "CVAE"]
    kept = next(line for line in figure.axes[0].lines if line.get_label() == "epoch kept")
    assert (kept.get_xdata()[0], kept.get_ydata()[0]) == (3, 0.5)


def test_the_forest_has_every_row_in_the_papers_order_with_its_interval():
    evaluation = make_evaluation([make_scores(recipe) for recipe in reversed(ROWS)])
    axes = figures.forest(evaluation).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert len(names) == 17
    assert (names[0], names[4], names[-1]) == ("VGG16", "VGG16 +texture +L2 +LOF", "reader A")
    heights = axes.get_yticks()
    assert all(np.diff(heights) > 0)
    assert axes.yaxis_inverted()
    reader = next(result for result in evaluation.results if result.recipe == "reader:A")
    bar = next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] == heights[-1])
    assert_allclose(bar.get_xdata(), [reader.roc_auc.low, reader.roc_auc.high])
