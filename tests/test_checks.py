"""What a check finds in cohorts made to be wrong in one way each."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import pytest
import SimpleITK as sitk

from rarelesion.checks import CODES, check_cohort
from rarelesion.patches import cut_case
from rarelesion.settings import Settings, SplitSettings
from rarelesion.types import Case, Cohort, Finding, Roi


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Ten patients of each class with a picture each: nothing to find."""
    cases = []
    for number in range(20):
        path = tmp_path / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
        cases.append(Case(f"c{number}", f"p{number}", number % 2, {"US": path}, {"US": Roi(box=(10, 10, 30, 30))}))
    return Cohort(tmp_path / "cohort.csv", tuple(cases), ("US",))


def changed(cohort: Cohort, index: int, **fields: object) -> Cohort:
    cases = list(cohort.cases)
    cases[index] = replace(cases[index], **fields)  # pyright: ignore[reportArgumentType]
    return replace(cohort, cases=tuple(cases))


def check(cohort: Cohort, settings: Settings | None = None) -> list[Finding]:
    findings = check_cohort(cohort, settings or Settings())
    assert {finding.code for finding in findings} <= set(CODES)
    assert all(finding.remedy for finding in findings)
    return list(findings)


def test_a_good_cohort_has_no_findings(cohort: Cohort) -> None:
    told: list[tuple[int, int]] = []
    assert check_cohort(cohort, Settings(), lambda done, of: told.append((done, of))) == ()
    assert told == [(number, 20) for number in range(1, 21)]


def test_images_that_cannot_be_used_are_errors_and_come_first(cohort: Cohort) -> None:
    cohort.cases[4].images["US"].write_bytes(b"torn")
    broken = changed(cohort, 7, rois={"US": Roi(box=(10, 10, 41, 30))})
    broken = changed(broken, 1, rois={"US": Roi(box=(10, 10, 15, 14))})
    findings = check(broken)
    assert [(item.code, item.severity, item.where) for item in findings] == [
        ("RL101", "error", "case c4, US: 4.png"),
        ("RL101", "error", "case c7, US"),
        ("RL104", "warning", "case c1, US"),
    ]
    assert findings[1].message.startswith("the box lies outside the image; found box 10 10 41 30")


def test_few_patients_are_counted_by_patient_and_class(cohort: Cohort) -> None:
    same_patient = changed(cohort, 3, patient_id="p1")
    (finding,) = check(same_patient)
    assert (finding.code, finding.where) == ("RL102", "cohort.csv:1:label")
    assert finding.message.startswith("9 malignant patients; 10 put 2")
    tenfold = check(cohort, Settings(split=SplitSettings(folds=10)))
    assert [item.message[:12] for item in tenfold] == ["10 benign pa", "10 malignant"]


def test_the_same_picture_in_two_patients_is_a_leak(cohort: Cohort) -> None:
    copied = changed(cohort, 5, images=cohort.cases[2].images)
    (finding,) = check(copied)
    assert (finding.code, finding.severity) == ("RL103", "warning")
    assert "c2 and c5" in finding.message
    assert "even of different classes" in finding.message
    assert check(changed(copied, 5, images=cohort.cases[2].images, patient_id="p2")) == []


def test_a_small_mask_is_measured_by_its_longer_side(cohort: Cohort, tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10, 10:17] = 1
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(tmp_path / "mask.png"))
    (finding,) = check(changed(cohort, 0, rois={"US": tmp_path / "mask.png"}))
    assert (finding.code, finding.message[:29]) == ("RL104", "the lesion is 7 pixels long; ")


def test_a_cohort_that_cannot_be_divided_is_an_error_before_the_study_says_so(cohort: Cohort) -> None:
    few = replace(cohort, cases=tuple(case for case in cohort.cases if case.label == 0 or case.case_id in ("c1", "c3")))
    findings = check(few, Settings(split=SplitSettings(folds=2)))
    errors = [finding for finding in findings if finding.severity == "error"]
    assert {finding.code for finding in errors} == {"RL102"}
    assert all("no malignant case is left for this part" in finding.message for finding in errors)


def test_a_check_holds_one_patch_at_a_time(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[int] = set()
    most: list[int] = []

    def watched(*arguments: Any) -> np.ndarray:
        patch = cut_case(*arguments)
        held.add(id(patch))
        finalize(patch, held.discard, id(patch))
        most.append(len(held))
        return patch

    monkeypatch.setattr("rarelesion.checks.cut_case", watched)
    assert check(cohort) == []
    assert len(most) == 20
    assert max(most) <= 2
