"""What a check finds in cohorts made to be wrong in one way each, and that it finds nothing in a clean one."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import gaussian_filter, zoom

from planted import Bench, make_clean
from rarelesion import case_facts, checks
from rarelesion.checks import CODES, check_cohort, check_file, find_suspicions
from rarelesion.findings import KINDS
from rarelesion.patches import cut_case
from rarelesion.settings import CohortSettings, Settings, SplitSettings
from rarelesion.types import Case, Cohort, Finding, Roi

LOOKED_AT: dict[str, case_facts.CaseFacts] = {}


def look_once(case: Case, channels: dict[str, str], settings: Any) -> case_facts.CaseFacts:
    """As `look_at`, remembering what was not changed: the images of the clean cohort are shared by all benches."""
    key = repr((sorted(case.images.items()), sorted(map(str, case.rois.items())), channels))
    shared = "own_" not in key
    if key not in LOOKED_AT or not shared:
        LOOKED_AT[key] = case_facts.look_at(case, channels, settings)
    kept = LOOKED_AT[key]
    problems = tuple(
        replace(one, where=one.where.replace(f"case {kept.case.case_id},", f"case {case.case_id},"))
        for one in kept.problems
    )
    return replace(kept, case=case, problems=problems)


@pytest.fixture(scope="module")
def clean_rows(tmp_path_factory):
    return make_clean(tmp_path_factory.mktemp("clean"))


@pytest.fixture
def bench(clean_rows, tmp_path, monkeypatch) -> Bench:
    monkeypatch.setattr(checks, "look_at", look_once)
    return Bench(tmp_path, copy.deepcopy(clean_rows))


def check_bench(bench: Bench) -> tuple[Finding, ...]:
    findings = check_file(bench.write(), replace(Settings(), cohort=CohortSettings(**bench.settings)))
    assert {one.code for one in findings} <= set(CODES)
    assert all(one.remedy and one.message and not one.message.endswith(".") for one in findings)
    return findings


def serious(findings: tuple[Finding, ...]) -> set[str]:
    return {one.code for one in findings if one.severity != "note"}


def test_a_clean_cohort_has_nothing_but_notes(bench):
    findings = check_bench(bench)
    assert serious(findings) == set()
    assert {one.code for one in findings} == {"RL603"}


# --- the faults ------------------------------------------------------------------------------------------------------


def shares_a_file(bench):
    bench.rows[3]["image_T1"], bench.rows[3]["mask_T1"] = bench.rows[9]["image_T1"], bench.rows[9]["mask_T1"]
    bench.rows[3]["image_T2"] = bench.rows[9]["image_T2"]


def shrunk_copy(bench):
    copy_of(bench, lambda pixels: np.stack([zoom(zoom(plane, 0.7, order=1), 1 / 0.7, order=1) for plane in pixels]))


def brighter_copy(bench):
    copy_of(bench, lambda pixels: 1500 * (pixels / pixels.max()) ** 0.7)


def mirrored_copy(bench):
    copy_of(bench, lambda pixels: pixels[:, :, ::-1])


def cropped_copy(bench):
    for column in ("image_T1", "mask_T1"):
        image = bench.image(9, column)
        affine = np.array(image.affine)
        affine[:3, 3] += affine[:3, :3] @ [0, 3, 4]
        bench.put(3, column, image.pixels[:, 3:-2, 4:-1].astype(np.int16), affine)
    bench.rows[3]["image_T2"] = bench.rows[9]["image_T2"]
    bench.change(3, "image_T2", lambda pixels: pixels + np.random.default_rng(0).normal(0, 15, pixels.shape))


def copy_of(bench, edit):
    """Case 3 becomes an edited copy of case 9, another patient."""
    for column in ("image_T1", "image_T2"):
        image = bench.image(9, column)
        pixels = edit(np.array(image.pixels))
        bench.put(3, column, pixels[:, : image.pixels.shape[1], : image.pixels.shape[2]].astype(np.int16), image.affine)
    mask = bench.image(9, "mask_T1")
    flipped = edit is not None and np.array_equal(edit(np.array(mask.pixels)), mask.pixels[:, :, ::-1])
    bench.put(3, "mask_T1", (mask.pixels[:, :, ::-1] if flipped else mask.pixels).astype(np.uint8), mask.affine)


def t1_given_as_t2(bench):
    bench.rows[5]["image_T2"] = bench.rows[5]["image_T1"]


def exchanged(bench):
    row = bench.rows[5]
    plane, *box = bench.box(5)
    del plane, box
    row["image_T1"], row["image_T2"] = row["image_T2"], row["image_T1"]


def mirrored_t2(bench):
    bench.change(6, "image_T2", lambda pixels: pixels[:, :, ::-1])


def upside_down(bench):
    for column in ("image_T1", "image_T2", "mask_T1"):
        bench.change(7, column, lambda pixels: pixels[:, ::-1])


def other_body_part(bench):
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:112, :112]
    legs = sum((rows - 56) ** 2 + (columns - middle) ** 2 < 24**2 for middle in (28, 84))
    for column in ("image_T1", "image_T2"):
        bench.change(
            8, column, lambda p: np.abs(rng.normal(0, 20, p.shape)) + 900 * legs[: p.shape[1], : p.shape[2]]
            if p.shape[1] == 112 else np.abs(rng.normal(0, 20, p.shape)) + 900 * np.pad(legs, 8)
        )  # fmt: skip


def tiny_roi(bench):
    mask = np.zeros(bench.image(2, "mask_T1").pixels.shape, np.uint8)
    plane, row0, col0, row1, col1 = bench.box(2)
    row, column = (row0 + row1) // 2, (col0 + col1) // 2
    mask[plane, row : row + 4, column : column + 5] = 1
    bench.put(2, "mask_T1", mask, bench.image(2, "mask_T1").affine)


def empty_roi(bench):
    bench.change(2, "mask_T1", np.zeros_like, np.uint8)


def inverted_roi(bench):
    bench.change(2, "mask_T1", lambda mask: mask == 0, np.uint8)


def lesion_cut_off(bench):
    """The field of view of T1 ends within the lesion."""
    _, _, col0, _, col1 = bench.box(2)
    image, mask = bench.image(2, "image_T1"), bench.image(2, "mask_T1")
    middle = (col0 + col1) // 2
    part = slice(0, middle) if middle > image.pixels.shape[2] // 2 else slice(middle, None)
    affine = np.array(image.affine)
    affine[:3, 3] += affine[:3, 2] * (part.start or 0)
    bench.put(2, "image_T1", image.pixels[:, :, part].astype(np.int16), affine)
    bench.put(2, "mask_T1", mask.pixels[:, :, part].astype(np.uint8), affine)


def stray_pixels(bench):
    def add(mask):
        plane = bench.box(2)[0]
        mask[plane, 2:4, 2:4] = 1
        return mask

    bench.change(2, "mask_T1", add, np.uint8)


def several_labels(bench):
    def add(mask):
        plane, row0, col0, row1, _ = bench.box(2)
        mask[plane, row0:row1, col0 : col0 + 3] *= 2
        return mask

    bench.change(2, "mask_T1", add, np.uint8)


def exchanged_box(bench):
    image = bench.image(2, "image_T1")
    wide = np.pad(image.pixels, ((0, 0), (0, 0), (60, 60)))
    affine = np.array(image.affine)
    affine[:3, 3] -= affine[:3, 2] * 60
    bench.put(2, "image_T1", wide[:, :, 30:].astype(np.int16), affine + np.outer([0, 0, 0, 0], [0] * 4))
    bench.rows[2] |= {"mask_T1": "", "box_T1": "1 150 40 170 60"}


def marks_apart(bench):
    mask = bench.image(2, "mask_T1")
    affine = np.array(mask.affine)
    affine[0, 3] += 25
    bench.put(2, "mask_T2", mask.pixels.astype(np.uint8), affine)


def lesion_half_outside_t2(bench):
    plane, _, col0, _, col1 = bench.box(2)
    t1, t2 = bench.image(2, "image_T1"), bench.image(2, "image_T2")
    assert t1.affine is not None
    assert t2.affine is not None
    edge = t1.affine[:3, :3] @ [plane, 0, col0 + 0.7 * (col1 - col0)] + t1.affine[:3, 3]
    column = round((edge[0] - t2.affine[0, 3]) / t2.affine[0, 2])
    if col0 > t1.pixels.shape[2] // 2:
        bench.put(2, "image_T2", t2.pixels[:, :, :column].astype(np.int16), t2.affine)
    else:
        edge = t1.affine[:3, :3] @ [plane, 0, col0 + 0.3 * (col1 - col0)] + t1.affine[:3, 3]
        column = round((edge[0] - t2.affine[0, 3]) / t2.affine[0, 2])
        affine = np.array(t2.affine)
        affine[:3, 3] += affine[:3, 2] * column
        bench.put(2, "image_T2", t2.pixels[:, :, column:].astype(np.int16), affine)


def other_examination(bench):
    t2 = bench.image(2, "image_T2")
    affine = np.array(t2.affine)
    affine[2, 3] += 400
    bench.put(2, "image_T2", t2.pixels.astype(np.int16), affine)


def clipped(bench):
    bench.change(4, "image_T1", lambda pixels: np.minimum(pixels, np.quantile(pixels, 0.9)))


def eight_bits(bench):
    bench.change(4, "image_T1", lambda pixels: np.rint(pixels / pixels.max() * 255), np.uint8)


def eight_bits_stored_as_more(bench):
    bench.change(4, "image_T1", lambda pixels: np.rint(pixels / pixels.max() * 255))


def empty_image(bench):
    def all_but_a_corner(pixels):
        rng = np.random.default_rng(0)
        pixels[:, 8:] = 0
        pixels[:, :, 12:] = 0
        return pixels + 0 * rng.random(pixels.shape)

    bench.change(4, "image_T2", all_but_a_corner)


def burnt_in(bench):
    def write(pixels):
        picture = Picture.new("L", pixels.shape[:0:-1])
        ImageDraw.Draw(picture).text((6, 4), "ID 4711 R", fill=255)
        return np.where(np.asarray(picture) > 128, 1.1 * pixels.max(), pixels)

    bench.change(4, "image_T1", write)


def thick_slices(bench):
    stretch(bench, 15.0)


def stretch(bench, to_mm):
    """All slices of a case lie farther apart, around the one with the lesion."""
    plane = bench.box(4)[0]
    for column in ("image_T1", "image_T2", "mask_T1"):
        image = bench.image(4, column)
        affine = np.array(image.affine)
        centre = affine[:3, :3] @ [plane, 0, 0] + affine[:3, 3]
        affine[:3, 0] *= to_mm / np.linalg.norm(affine[:3, 0])
        affine[:3, 3] = centre - affine[:3, 0] * plane
        bench.put(4, column, image.pixels.astype(np.int16), affine)


def wrong_spacing(bench):
    for column in ("image_T1", "image_T2", "mask_T1"):
        image = bench.image(4, column)
        affine = np.array(image.affine)
        affine[:3, 1:3] *= 3
        affine[:2, 3] *= 3
        bench.put(4, column, image.pixels.astype(np.int16), affine)


def mask_elsewhere(bench):
    mask = bench.image(4, "mask_T1")
    affine = np.array(mask.affine)
    affine[1, 3] += 12
    bench.put(4, "mask_T1", mask.pixels.astype(np.uint8), affine)


def lost_geometry(bench):
    for column in ("image_T1", "image_T2", "mask_T1"):
        image = bench.image(4, "image_T1" if column == "image_T2" else column)
        noise = np.random.default_rng(0).normal(0, 9, image.pixels.shape) if column == "image_T2" else 0
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, ::-1]
        pixels = (
            np.maximum(0, 0.5 * image.pixels.max() - image.pixels + noise) if column == "image_T2" else image.pixels
        )
        bench.put(4, column, pixels.astype(np.int16), affine)


def mirrored_coordinates(bench):
    for column in ("image_T1", "image_T2", "mask_T1"):
        image = bench.image(4, column)
        affine = np.array(image.affine)
        affine[:3, 3] += affine[:3, 2] * (image.pixels.shape[2] - 1)
        affine[:3, 2] *= -1
        bench.put(4, column, image.pixels[:, :, ::-1].astype(np.int16), affine)


def other_plane(bench):
    for column in ("image_T1", "image_T2", "mask_T1"):
        image = bench.image(4, column)
        affine = np.array(image.affine)
        affine[:3, :3] = affine[[0, 2, 1], :3]
        affine[:3, 3] = affine[[0, 2, 1], 3]
        bench.put(4, column, image.pixels.astype(np.int16), affine)


def confounded(column, words):
    def plant(bench):
        rng = np.random.default_rng(1)
        for row in bench.rows:
            told = rng.random() < 0.85
            row[column] = words[(row["label"] == "malignant") == told]

    return plant


def larger_matrix_if_malignant(bench):
    for index in bench.of("malignant"):
        image = bench.image(index, "image_T2")
        if index % 5:
            affine = np.array(image.affine)
            affine[:3, 1:3] *= 2
            affine[:3, 3] += affine[:3, 1:3] @ [0.25, 0.25]
            small = image.pixels.reshape(3, 64, 2, 64, 2).mean(axis=(2, 4))
            bench.put(index, "image_T2", small.astype(np.int16), affine)


def darker_background_if_malignant(bench):
    rng = np.random.default_rng(0)
    for index in bench.of("malignant"):
        bench.change(index, "image_T1", lambda pixels: pixels + np.abs(rng.normal(0, 90, pixels.shape)))


def one_sided_site(bench):
    for index in bench.of("malignant")[:6]:
        bench.rows[index]["site"] = "east"


def few_cases(bench):
    keep = bench.of("malignant")[:10] + bench.of("benign")[:11]
    bench.rows = [bench.rows[index] for index in sorted(keep)]


def too_few_malignant(bench):
    keep = bench.of("malignant")[:9] + bench.of("benign")
    bench.rows = [bench.rows[index] for index in sorted(keep)]


def in_both_classes(bench):
    bench.rows[bench.of("benign")[0]]["patient_id"] = bench.rows[bench.of("malignant")[0]]["patient_id"]


def written_differently(bench):
    bench.rows[1]["patient_id"] = "P 00" + str(int(bench.rows[2]["patient_id"][1:]))


def wrong_label(bench):
    bench.rows[1]["label"] = "perhaps"


def missing_file(bench):
    bench.rows[1]["image_T1"] = "nowhere.nii"


def id_twice(bench):
    bench.rows[1]["case_id"] = bench.rows[0]["case_id"]


def labels_in_capitals(bench):
    bench.rows[1]["label"] = bench.rows[1]["label"].capitalize()


def subtype_in_two_ways(bench):
    index = next(i for i, row in enumerate(bench.rows) if row["subtype"] == "Warthin tumour")
    bench.rows[index]["subtype"] = "warthin  tumour"


def names_as_ids(bench):
    bench.rows[1]["case_id"], bench.rows[2]["case_id"] = "SECRET^ANNA", "Secret, Berta"


def numbers_as_ids(bench):
    for index, row in enumerate(bench.rows):
        row["patient_id"] = str(40_123_456 + 97 * index)


def birth_dates(bench):
    for index, row in enumerate(bench.rows):
        row["born"] = f"19{40 + index}-02-{10 + index % 10}"


def missing_ages(bench):
    for index in (3, 4, 5):
        bench.rows[index]["age"] = ""


def one_site(bench):
    for row in bench.rows:
        row["site"] = "north"


def second_diagnosis(bench):
    for row in bench.rows:
        row["histology"] = "carcinoma" if row["label"] == "malignant" else "no tumour cells"


def labels_as_numbers(bench):
    bench.settings = {"positive": "0", "negative": "1"}
    for row in bench.rows:
        row["label"] = "0" if row["label"] == "malignant" else "1"


def age_tells(bench):
    rng = np.random.default_rng(0)
    for row in bench.rows:
        row["age"] = str(int(rng.normal(45 + 16 * (row["label"] == "malignant"), 9)))


def subtype_in_both(bench):
    bench.rows[bench.of("benign")[0]]["subtype"] = bench.rows[bench.of("malignant")[0]]["subtype"]


FAULTS = {
    "the same files in two patients": (shares_a_file, {"RL103"}),
    "a resized copy": (shrunk_copy, {"RL301"}),
    "a copy of other brightness": (brighter_copy, {"RL301"}),
    "a mirrored copy": (mirrored_copy, {"RL301"}),
    "a cropped copy": (cropped_copy, {"RL301"}),
    "T1 given as T2": (t1_given_as_t2, {"RL302"}),
    "T1 and T2 exchanged": (exchanged, {"RL303"}),
    "T2 mirrored": (mirrored_t2, {"RL304"}),
    "upside down": (upside_down, {"RL305"}),
    "another body part": (other_body_part, {"RL306"}),
    "a tiny ROI": (tiny_roi, {"RL104"}),
    "an empty ROI": (empty_roi, {"RL101"}),
    "an inverted ROI": (inverted_roi, {"RL105"}),
    "a lesion cut off": (lesion_cut_off, {"RL106"}),
    "stray pixels in a mask": (stray_pixels, {"RL107"}),
    "several labels in a mask": (several_labels, {"RL108"}),
    "a box with x before y": (exchanged_box, {"RL109"}),
    "two marks apart": (marks_apart, {"RL110"}),
    "a lesion partly outside T2": (lesion_half_outside_t2, {"RL111"}),
    "T2 of another examination": (other_examination, {"RL101", "RL401"}),
    "clipped": (clipped, {"RL112"}),
    "an 8-bit export": (eight_bits, {"RL113"}),
    "an 8-bit export stored as 16": (eight_bits_stored_as_more, {"RL113"}),
    "an empty image": (empty_image, {"RL101", "RL117"}),
    "burnt-in text": (burnt_in, {"RL114"}),
    "thick slices": (thick_slices, {"RL402"}),
    "wrong spacing": (wrong_spacing, {"RL403"}),
    "a mask beside its image": (mask_elsewhere, {"RL404"}),
    "lost geometry": (lost_geometry, {"RL405"}),
    "mirrored coordinates": (mirrored_coordinates, {"RL406"}),
    "another plane": (other_plane, {"RL407"}),
    "the scanner tells": (confounded("scanner", ("Alpha", "Beta")), {"RL501"}),
    "the year tells": (confounded("year", ("2012", "2019")), {"RL501"}),
    "the matrix tells": (larger_matrix_if_malignant, {"RL501"}),
    "the background tells": (darker_background_if_malignant, {"RL503"}),
    "a site of one class": (one_sided_site, {"RL601"}),
    "few cases": (few_cases, {"RL602"}),
    "too few malignant cases for the folds": (too_few_malignant, {"RL102", "RL602"}),
    "a patient in both classes": (in_both_classes, {"RL702"}),
    "a patient id written in two ways": (written_differently, {"RL703"}),
    "an unknown label": (wrong_label, {"RL701"}),
    "a missing file": (missing_file, {"RL701"}),
    "a case id twice": (id_twice, {"RL701"}),
    "labels in capitals": (labels_in_capitals, {"RL704"}),
    "a subtype in two ways": (subtype_in_two_ways, {"RL705"}),
    "names as ids": (names_as_ids, {"RL706"}),
    "hospital numbers as ids": (numbers_as_ids, {"RL706"}),
    "dates of birth": (birth_dates, {"RL707"}),
    "missing ages": (missing_ages, {"RL708"}),
    "one site": (one_site, {"RL709"}),
    "a second diagnosis": (second_diagnosis, {"RL710"}),
    "labels as numbers": (labels_as_numbers, {"RL711"}),
    "age tells": (age_tells, {"RL504"}),
    "a subtype in both classes": (subtype_in_both, {"RL712"}),
}
"""What is done to the clean cohort, and the codes that follow: these, and no other error or warning."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(bench, name):
    plant, codes = FAULTS[name]
    plant(bench)
    findings = check_bench(bench)
    assert serious(findings) == {code for code in codes if KINDS[code].severity != "note"}
    assert codes <= {one.code for one in findings}


def test_several_faults_at_once_are_each_found(bench):
    for plant in (tiny_roi, mirrored_t2, upside_down, eight_bits, mask_elsewhere, written_differently, missing_file):
        plant(bench)
    wanted = {"RL104", "RL113", "RL304", "RL305", "RL404", "RL701", "RL703"}
    assert serious(check_bench(bench)) == wanted


def test_worst_come_first_and_name_their_cases(bench):
    tiny_roi(bench)
    missing_file(bench)
    labels_in_capitals(bench)
    findings = check_bench(bench)
    assert [one.severity for one in findings] == ["error", "warning", "note", "note", "note", "note"]
    assert findings[0].where == "cohort.csv:3:image_T1"
    assert findings[1].cases == ("c02",)


def test_what_identifies_a_patient_is_not_repeated(bench):
    names_as_ids(bench)
    birth_dates(bench)
    for index, row in enumerate(bench.rows):
        row["surname"] = f"Secretova{index}"
    findings = check_bench(bench)
    said = json.dumps([one.message for one in findings])
    assert "ecret" not in said
    assert "SECRET" not in said
    assert "-02-" not in said
    assert [one.where.rpartition(":")[2] for one in findings if one.code == "RL707"] == ["born", "surname"]


def test_an_acknowledged_patient_with_both_kinds_of_lesion_is_no_fault(bench):
    in_both_classes(bench)
    bench.settings = {"allow_mixed_patients": True}
    assert serious(check_bench(bench)) == set()


def test_a_table_without_a_column_stops_the_check(bench):
    for row in bench.rows:
        del row["label"]
    with pytest.raises(checks.InputError, match="a column is missing"):
        check_bench(bench)


def test_labels_of_unknown_words_leave_the_images_to_be_checked(bench):
    for row in bench.rows:
        row["label"] = row["label"].replace("malignant", "1").replace("benign", "0")
    tiny_roi(bench)
    assert serious(check_bench(bench)) == {"RL104", "RL701"}


def test_progress_is_told(bench):
    told = []
    check_file(bench.write(), Settings(), lambda *step: told.append(step))
    assert told[0] == ("Reading images", 1, 44)
    assert told[43] == ("Reading images", 44, 44)
    assert told[-1] == ("Comparing cases", 4, 4)


# --- pictures without coordinates ------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Cohort:
    """Twenty patients of each class with a picture each: nothing to find."""
    cases = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        noise = gaussian_filter(np.random.default_rng(number).normal(size=(40, 40)), 1.2)
        pixels = np.clip(120 + 150 * noise, 0, 255).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
        cases.append(Case(f"c{number}", f"p{number}", number % 2, {"US": path}, {"US": Roi(box=(10, 10, 30, 30))}))
    return Cohort(tmp_path / "cohort.csv", tuple(cases), ("US",))


def changed(cohort: Cohort, index: int, **fields: object) -> Cohort:
    cases = list(cohort.cases)
    cases[index] = replace(cases[index], **fields)  # pyright: ignore[reportArgumentType]
    return replace(cohort, cases=tuple(cases))


def test_good_pictures_have_no_findings(pictures):
    assert check_cohort(pictures, Settings()) == ()


def test_images_that_cannot_be_used_are_errors_and_come_first(pictures):
    pictures.cases[4].images["US"].write_bytes(b"torn")
    broken = changed(pictures, 7, rois={"US": Roi(box=(10, 10, 41, 30))})
    broken = changed(broken, 1, rois={"US": Roi(box=(10, 10, 15, 14))})
    findings = check_cohort(broken, Settings())
    assert [(item.code, item.severity, item.where) for item in findings] == [
        ("RL101", "error", "case c4, US: 4.png"),
        ("RL101", "error", "case c7, US"),
        ("RL104", "warning", "case c1, US"),
    ]
    assert findings[1].message.startswith("the box lies outside the image; found box 10 10 41 30")


def test_few_patients_are_counted_by_patient_and_class(pictures):
    for index in range(1, 24, 2):
        pictures = changed(pictures, index, patient_id="p1")
    (finding,) = [one for one in check_cohort(pictures, Settings()) if one.code == "RL102"]
    assert finding.where == "cohort.csv:1:label"
    assert finding.message.startswith("9 malignant patients; 10 put 2")
    tenfold = [one for one in check_cohort(pictures, Settings(split=SplitSettings(folds=10))) if one.code == "RL102"]
    assert [item.message[:11] for item in tenfold] == ["no malignan", "9 malignant"]


def test_a_cohort_that_cannot_be_divided_is_an_error_before_the_study_says_so(pictures):
    kept = tuple(case for case in pictures.cases if case.label == 0 or case.case_id in ("c1", "c3"))
    findings = check_cohort(replace(pictures, cases=kept), Settings(split=SplitSettings(folds=2)))
    errors = [finding for finding in findings if finding.severity == "error"]
    assert {finding.code for finding in errors} == {"RL102"}
    assert all("no malignant case is left for this part" in finding.message for finding in errors)


def test_colour_and_lossy_pictures_among_grey_ones(pictures):
    noise = gaussian_filter(np.random.default_rng(99).normal(size=(40, 40, 3)), (1.2, 1.2, 0))
    colour = np.clip(120 + 150 * noise, 0, 255).astype(np.uint8)
    Picture.fromarray(colour).save(pictures.cases[3].images["US"])
    jpeg = pictures.cases[6].images["US"].with_suffix(".jpg")
    Picture.fromarray(colour[..., 0].T.copy()).save(jpeg)
    findings = check_cohort(changed(pictures, 6, images={"US": jpeg}), Settings())
    assert [(one.code, one.where) for one in findings] == [("RL115", "case c3, US"), ("RL116", "case c6, US")]


def test_a_patch_is_kept_of_no_case(pictures, monkeypatch):
    """The memory of a check grows by some kilobytes a case."""
    facts = case_facts.look_at(pictures.cases[0], dict.fromkeys(("red", "green", "blue"), "US"), Settings().images)
    arrays = [facts.images["US"].picture, facts.images["US"].background, *facts.patches.values()]
    assert sum(array.nbytes for array in arrays) < 10_000
    assert all(array.base is None or array.base.nbytes < 10_000 for array in arrays)


# --- as a study starts -----------------------------------------------------------------------------------------------


def test_a_study_is_told_what_its_patches_show(pictures):
    channels = dict.fromkeys(("red", "green", "blue"), "US")
    copied = changed(pictures, 5, images=pictures.cases[2].images)
    copied = changed(copied, 1, rois={"US": Roi(box=(10, 10, 15, 14))})
    patches = ((case, cut_case(case, channels, Settings().images)) for case in copied.cases)
    same, small = find_suspicions(copied, patches, 5)
    assert (same.code, same.cases) == ("RL103", ("c2", "c5"))
    assert "c2 and c5" in same.message
    assert "even of different classes" in same.message
    assert (small.code, small.message[:29]) == ("RL104", "the lesion is 5 pixels long; ")
    mended = changed(pictures, 5, images=pictures.cases[2].images, patient_id="p2")
    patches = ((case, cut_case(case, channels, Settings().images)) for case in mended.cases)
    assert find_suspicions(mended, patches, 5) == ()


def test_every_code_is_explained():
    assert all(kind.meaning.endswith(".") and kind.remedy.endswith(".") for kind in KINDS.values())
    assert len(FAULTS) >= 28
    planted = set().union(*(codes for _, codes in FAULTS.values()))
    assert set(CODES) - planted == {"RL115", "RL116", "RL502", "RL603"}
