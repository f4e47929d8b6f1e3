"""The outline found inside a box: against lesions drawn with known edges, and on what has none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from rarelesion.cli import app
from rarelesion.crop import cut_region
from rarelesion.figures import outline_examples
from rarelesion.measurements import read_features
from rarelesion.outline_search import find_outline, outlined_region
from rarelesion.radiomics import case_features
from rarelesion.settings import FeatureSettings, ImageSettings
from rarelesion.types import Case, Image, Roi

SIDE = 120


def place() -> tuple[np.ndarray, np.ndarray]:
    down, across = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return down, across


def lesion(lobes: int = 0, slant: float = 0.0, half: tuple[float, float] = (22, 34)) -> np.ndarray:
    """An ellipse, slanted, with so many lobes."""
    down, across = place()
    down, across = down * np.cos(slant) - across * np.sin(slant), down * np.sin(slant) + across * np.cos(slant)
    angle = np.arctan2(down / half[0], across / half[1])
    return np.hypot(down / half[0], across / half[1]) < 1 + 0.18 * np.cos(lobes * angle) * (lobes > 0)


def speckled(mask: np.ndarray, contrast: float, seed: int = 0) -> np.ndarray:
    """Tissue with the grain of ultrasound, and a lesion darker (contrast below 0) or brighter than it."""
    rng = np.random.default_rng(seed)
    grain = gaussian_filter(rng.rayleigh(size=mask.shape), 1.0)
    return (0.5 + contrast * gaussian_filter(mask.astype(float), 1)) * grain / grain.mean()


def box_of(mask: np.ndarray) -> np.ndarray:
    box = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return box


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Dice's coefficient."""
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("contrast", [-0.25, 0.25])
@pytest.mark.parametrize(("lobes", "slant"), [(0, 0.0), (0, 0.7), (3, 0.0), (5, 0.4)])
def test_the_outline_of_dark_and_bright_lesions_is_found_much_better_than_by_box_or_ellipse(contrast, lobes, slant):
    mask = lesion(lobes, slant)
    box = box_of(mask)
    found = find_outline(speckled(mask, contrast), box)
    assert found is not None
    assert overlap(found, mask) > 0.93
    assert overlap(found, mask) > overlap(box, mask) + 0.05
    assert not (found & ~box).any()


def test_where_the_picture_says_nothing_the_place_does():
    box = box_of(lesion())
    found = find_outline(np.full((SIDE, SIDE), 0.4), box)
    assert found is not None
    assert overlap(found, lesion()) > 0.97


def test_turned_and_mirrored_pictures_have_turned_and_mirrored_outlines():
    mask = lesion(5, 0.4)
    values, box = speckled(mask, -0.25), box_of(mask)
    found = find_outline(values, box)
    assert found is not None
    for turned in (np.rot90, np.flipud, np.transpose):
        other = find_outline(turned(values).copy(), turned(box).copy())
        assert other is not None
        assert overlap(other, turned(found)) > 0.99


def test_a_box_of_five_pixels_stays_a_box():
    box = np.zeros((40, 40), dtype=bool)
    box[10:15, 10:30] = True
    assert find_outline(np.random.default_rng(0).random((40, 40)), box) is None


def test_a_box_up_to_the_edge_of_the_picture_is_searched_as_far_as_it_goes():
    mask = lesion()[38:, 26:]
    found = find_outline(speckled(mask, -0.25), box_of(mask))
    assert found is not None
    assert overlap(found, mask) > 0.93


def region_of(roi: Roi, mask: np.ndarray):
    image = Image(speckled(mask, -0.25)[None].astype(np.float32), "view1")
    return cut_region("view1", {"view1": image}, {"view1": roi}, ImageSettings(), FeatureSettings())


def test_only_a_box_is_searched_and_the_ring_follows_the_outline():
    mask = lesion()
    marked = region_of(Roi(mask=mask[None]), mask)
    assert outlined_region(marked, 0.25) is marked
    rows, columns = np.nonzero(mask)
    boxed = region_of(Roi(box=(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)), mask)
    found = outlined_region(boxed, 0.25)
    assert found.outlined
    assert found.size == boxed.size
    assert overlap(found.lesion, marked.lesion) > 0.93
    assert overlap(found.ring, marked.ring) > 0.9
    assert not (found.ring & found.lesion).any()


def test_radiomics_of_a_box_measure_the_outline_where_it_is_asked_for():
    mask = lesion(3)
    rows, columns = np.nonzero(mask)
    boxed = Roi(box=(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    images = {"view1": Image(speckled(mask, -0.25)[None].astype(np.float32), "view1")}
    plain, search = FeatureSettings(), FeatureSettings(outline="found")
    by_box, by_search, by_mask = (
        case_features(images, {"view1": roi}, ImageSettings(), settings)
        for roi, settings in ((boxed, plain), (boxed, search), (Roi(mask=mask[None]), search))
    )
    assert list(by_box) == list(by_search)
    assert np.isnan(by_box["view1_circularity"])
    for name in ("circularity", "log_area", "area_density_convex_hull", "mean_intensity"):
        assert by_search[f"view1_{name}"] == pytest.approx(by_mask[f"view1_{name}"], rel=0.1)


def studied(cohort: Path, out: Path, config: Path, outline: str) -> Path:
    config.write_text(f'recipes = ["radiomics"]\n[features]\noutline = "{outline}"\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["study", str(cohort), "--out", str(out), "--config", str(config)])
    assert result.exit_code == 0, result.output
    return out


def test_a_study_shows_the_outlines_it_found_and_goes_by_them(picture_cohort, tmp_path):
    marked, found = (
        studied(picture_cohort, tmp_path / outline, tmp_path / "study.toml", outline) for outline in ("marked", "found")
    )
    assert not (marked / "figures" / "outlines.png").exists()
    assert (found / "figures" / "outlines.png").exists()
    title = "Which outlines were found"
    assert [title in (run / "report.html").read_text(encoding="utf-8") for run in (marked, found)] == [False, True]
    by_box, by_outline = (read_features(run / "embeddings" / "radiomics.npz") for run in (marked, found))
    assert by_box.names == by_outline.names
    place = by_box.names.index("view1_circularity")
    assert np.isnan(by_box.values[:, place]).all()
    assert (by_outline.values[:, place] > 0.3).all()


def test_the_picture_of_outlines_has_a_row_for_each_class_and_sequence_that_is_there():
    mask = lesion()
    region = region_of(Roi(mask=mask[None]), mask)
    filled = replace(region, lesion=np.ones_like(region.lesion))
    cases = [Case(f"case{label}{place}", "p", label, {}, {}) for label in (0, 1) for place in range(3)]
    figure = outline_examples([(case, {"long": region, "trans": filled}) for case in cases])
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == [
        "benign\nlong",
        "benign\ntrans",
        "malignant\nlong",
        "malignant\ntrans",
    ]
    assert len(outline_examples([(cases[0], {"long": region})]).axes) == 1
