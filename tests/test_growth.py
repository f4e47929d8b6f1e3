"""Learning curves of made-up scores: nested subsets, forecasts of known growth, and intervals that know how little."""

from itertools import pairwise

import numpy as np
import pytest

from rarelesion.errors import InputError
from rarelesion.growth import LEAST_PATIENTS, Trained, fit_learning_curve, training_subset
from rarelesion.intervals import roc_auc_estimate
from rarelesion.types import Scores, Split

IDS = [f"c{number}" for number in range(60)]
LABEL_OF = {case_id: int(number % 3 == 0) for number, case_id in enumerate(IDS)}
PATIENT_OF = {case_id: f"p{number // 2 if number < 20 else number}" for number, case_id in enumerate(IDS)}
SPLIT = Split(0, 1, tuple(IDS), ("x",), ("y",))


def subset(share, draw=0, seed=0, split=SPLIT):
    return training_subset(split, LABEL_OF, PATIENT_OF, share, draw, seed)


def test_subsets_of_a_draw_are_nested_and_in_the_splits_order():
    found = [subset(share) for share in (0.1, 0.25, 0.5, 0.71, 1.0)]
    for smaller, larger in pairwise(found):
        assert set(smaller) < set(larger)
    assert found[-1] == SPLIT.train
    assert list(found[1]) == sorted(found[1], key=IDS.index)


def test_subsets_keep_patients_whole_and_the_share_of_either_class():
    for share in (0.25, 0.5):
        kept = set(subset(share))
        for patient in set(PATIENT_OF.values()):
            own = {case_id for case_id, name in PATIENT_OF.items() if name == patient}
            assert own <= kept or not own & kept
        malignant = {PATIENT_OF[case_id] for case_id in IDS if LABEL_OF[case_id]}
        benign = set(PATIENT_OF.values()) - malignant
        found = {PATIENT_OF[case_id] for case_id in kept}
        assert len(found & malignant) == round(share * len(malignant))
        assert len(found & benign) == round(share * len(benign))


def test_the_smallest_subset_has_two_patients_of_either_class():
    kept = subset(0.001)
    for label in (0, 1):
        assert len({PATIENT_OF[case_id] for case_id in kept if LABEL_OF[case_id] == label}) >= LEAST_PATIENTS


def test_draws_folds_and_seeds_differ_and_repeat_themselves():
    other_fold = Split(0, 2, SPLIT.train, SPLIT.tune, SPLIT.test)
    found = [subset(0.25), subset(0.25, draw=1), subset(0.25, seed=1), subset(0.25, split=other_fold)]
    assert len(set(found)) == 4
    assert subset(0.25) == found[0]


def scores_of(area_shift, n=200, draws=1, folds=2, noise=0.0, seed=0):
    """Test cases of every fold and draw; the same cases have about the same score in all draws and at all sizes."""
    label = np.tile((np.arange(n) % 4 == 0).astype(int), folds)
    base = np.random.default_rng(seed).normal(size=label.size)
    rows = label.size
    parts = []
    for draw in range(draws):
        own = np.random.default_rng([seed, draw, round(100 * area_shift)]).normal(0, 1, rows)
        parts.append(base + area_shift * label + noise * own)
    case = np.array([f"case{number}" for number in range(rows)])
    return Scores(
        recipe="made-up",
        repeat=np.repeat(np.arange(draws), rows),
        fold=np.tile(np.repeat(np.arange(folds), n), draws),
        part=np.full(rows * draws, "test"),
        case_id=np.tile(case, draws),
        patient_id=np.tile(case, draws),
        label=np.tile(label, draws),
        score=np.concatenate(parts),
    )


def sizes_of(shifts, n=200, noise=0.0, seed=0):
    shares, draws = (0.25, 0.35, 0.5, 0.71, 1.0), (3, 2, 2, 1, 1)
    return [
        Trained(share, 400 * share, scores_of(shift, n, count, noise=noise, seed=seed), count)
        for share, count, shift in zip(shares, draws, shifts, strict=True)
    ]


RISING, LEVEL = (0.6, 0.85, 1.1, 1.3, 1.5), (1.5,) * 5


def curve_of(shifts, n=200, noise=0.0, **options):
    return fit_learning_curve("made-up", sizes_of(shifts, n, noise), 100, 500, resamples=300, **options)


def test_a_rise_is_seen_and_goes_on():
    curve = curve_of(RISING)
    areas = [point.roc_auc.value for point in curve.points]
    assert areas == sorted(areas)
    ahead = curve.forecast
    assert (ahead.cases_now, ahead.cases_then) == (400, 480)
    assert ahead.slope.low > 0
    assert 0 < ahead.gain.low <= ahead.gain.value <= ahead.gain.high < 0.05
    assert ahead.then.value == pytest.approx(ahead.now.value + ahead.gain.value)
    assert ahead.now.value == pytest.approx(areas[-1], abs=0.01)


def test_the_points_are_the_areas_of_the_table():
    curve = curve_of(RISING)
    expected = roc_auc_estimate(sizes_of(RISING)[-1].scores, 0.95, "logit", 300, 0)
    assert curve.points[-1].roc_auc == expected
    assert [point.cases for point in curve.points] == [100, 140, 200, 284, 400]


def test_level_points_give_no_gain_though_the_area_itself_is_uncertain():
    """All sizes share their test patients: that cancels in the gain and not in the area."""
    ahead = curve_of(LEVEL).forecast
    assert ahead.gain.high < 1e-9
    assert ahead.then.high - ahead.then.low > 0.04


def test_intervals_widen_when_the_test_cases_are_few_or_the_training_cases_matter_much():
    many, few, lucky = (curve_of(RISING, n, noise).forecast for n, noise in ((400, 0.1), (60, 0.1), (400, 1.0)))
    for narrow, wide in ((many, few), (many, lucky)):
        assert wide.gain.high - wide.gain.low > narrow.gain.high - narrow.gain.low
    assert few.then.high - few.then.low > many.then.high - many.then.low


def test_the_forecast_is_nowhere_surer_than_the_measurement():
    curve = curve_of(RISING)
    measured, now = curve.points[-1].roc_auc, curve.forecast.now
    assert now.high - now.low > 0.9 * (measured.high - measured.low)
    perfect = curve_of((9.0,) * 5).forecast
    assert perfect.now.value == 1
    assert perfect.now.low < 0.999


def test_the_order_of_the_sizes_does_not_matter_and_the_seed_decides():
    there, back = (
        fit_learning_curve("made-up", sizes, 100, 500, resamples=300)
        for sizes in (sizes_of(RISING), sizes_of(RISING)[::-1])
    )
    assert there.forecast == back.forecast
    assert curve_of(RISING, seed=1).forecast != there.forecast


def test_the_band_is_that_of_the_forecast_at_its_end():
    curve = curve_of(RISING)
    ahead = curve.forecast
    assert curve.cases[-1] == pytest.approx(480)
    assert (np.diff(curve.cases) > 0).all()
    assert (curve.fitted[-1], curve.low[-1], curve.high[-1]) == pytest.approx(
        (ahead.then.value, ahead.then.low, ahead.then.high)
    )


def test_two_sizes_are_too_few():
    with pytest.raises(InputError, match="too few different numbers of training cases"):
        fit_learning_curve("made-up", sizes_of(RISING)[-2:], 100, 500, resamples=300)
