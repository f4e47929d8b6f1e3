"""Cohorts from other forms, and patches for other programs: the class is always the user's word."""

import csv
import zipfile

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from rarelesion.bids import convert_bids
from rarelesion.cli_convert import app
from rarelesion.cohort import read_cohort
from rarelesion.conversion import class_of, write_png
from rarelesion.errors import InputError
from rarelesion.images import read_image
from rarelesion.medmnist import convert_medmnist
from rarelesion.patch_export import export_patches
from rarelesion.patches import load_patches
from rarelesion.settings import CohortSettings, ImageSettings


def archive(path, colour=False, classes=2, **changed):
    rng = np.random.default_rng(0)
    shape = (28, 28, 3) if colour else (28, 28)
    arrays = {}
    for part, count in (("train", 8), ("val", 3), ("test", 4)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count) % classes)[:, None].astype(np.uint8)
    np.savez(path, **(arrays | changed))
    return path


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- which class is which -------------------------------------------------------------------------------------------


def test_the_positive_class_is_never_guessed():
    with pytest.raises(InputError, match=r"which label is the positive.*'0' \(1\), '1' \(2\)"):
        class_of(["0", "1", "1"], (), (), "a.npz")


def test_of_two_labels_the_other_is_the_negative():
    assert class_of(["0", "1"], ("0",), (), "a.npz") == {"0": "malignant", "1": "benign"}


def test_of_more_than_two_the_negatives_are_named_too():
    with pytest.raises(InputError, match="which labels are the negative"):
        class_of(["a", "b", "c"], ("a",), (), "x")
    assert class_of(["a", "b", "c"], ("a",), ("c",), "x") == {"a": "malignant", "c": "benign"}


@pytest.mark.parametrize(("positive", "negative", "says"), [
    (("7",), (), "no case has the label '7'"),
    (("0",), ("0",), "'0' is named as both"),
    (("0",), ("9",), "no case has the label '9'"),
])  # fmt: skip
def test_labels_that_cannot_be_are_said(positive, negative, says):
    with pytest.raises(InputError, match=says):
        class_of(["0", "1"], positive, negative, "x")


# --- MedMNIST -------------------------------------------------------------------------------------------------------


def test_an_archive_becomes_a_cohort_with_its_split(tmp_path):
    source = archive(tmp_path / "breast.npz")
    made = convert_medmnist(source, tmp_path / "cohort", ("0",))
    cohort = read_cohort(made.cohort, CohortSettings())
    assert (made.cases, made.positive) == (15, 8)
    assert [case.split for case in cohort.cases] == ["train"] * 8 + ["tune"] * 3 + ["test"] * 4
    assert cohort.labels.tolist() == [1, 0] * 4 + [1, 0, 1] + [1, 0, 1, 0]
    with np.load(source) as stored:
        assert np.array_equal(read_image(cohort.cases[9].images["view"], "view").pixels[0], stored["val_images"][1])
    assert cohort.cases[0].rois["view"].box == (0, 0, 28, 28)
    assert load_patches(cohort, ImageSettings(side_px=32)).pixels.shape == (15, 3, 32, 32)


def test_pictures_in_colour_keep_it(tmp_path):
    made = convert_medmnist(archive(tmp_path / "a.npz", colour=True), tmp_path / "out", ("1",))
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out/images/test000002.png")))
    with np.load(tmp_path / "a.npz") as stored:
        assert np.array_equal(picture, stored["test_images"][2])
    assert made.positive == 7


def test_labels_of_neither_class_are_left_out_and_said(tmp_path):
    made = convert_medmnist(archive(tmp_path / "a.npz", classes=3), tmp_path / "out", ("2",), ("0",))
    assert made.left_out == (("label 1", "named as neither class"),)
    assert {row["subtype"] for row in rows_of(made.cohort)} == {"label 2", "label 0"}


@pytest.mark.parametrize(("changed", "says"), [
    ({"train_images": np.zeros((8, 28, 28, 28), np.uint8)}, "are volumes"),
    ({"train_images": np.zeros((8, 28, 28), np.float32)}, "are no pictures"),
    ({"train_labels": np.zeros((8, 14), np.uint8)}, "not one label a picture"),
    ({"train_labels": np.zeros((5, 1), np.uint8)}, "not one label a picture"),
    ({"train_labels": np.array([[0.0], [1], [0.5], [np.nan]] * 2)}, "no whole numbers"),
])  # fmt: skip
def test_other_archives_are_refused(tmp_path, changed, says):
    with pytest.raises(InputError, match=says):
        convert_medmnist(archive(tmp_path / "a.npz", **changed), tmp_path / "out", ("0",))
    assert not (tmp_path / "out").exists()


def test_pickles_and_false_headers_are_refused(tmp_path):
    source = archive(tmp_path / "a.npz", val_labels=np.array([["0"], [None], [1]], dtype=object))
    with pytest.raises(InputError, match="val_labels cannot be read"):
        convert_medmnist(source, tmp_path / "out", ("0",))
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    header += b"{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 999, 28), }".ljust(117) + b"\n"
    names = [f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("images", "labels")]
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as file:
        for name in names:
            file.writestr(f"{name}.npy", header + b"0" * 99)
    with pytest.raises(InputError, match="train_images cannot be read"):
        convert_medmnist(tmp_path / "bomb.npz", tmp_path / "out", ("0",))


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.npz").write_text("no archive")
    np.savez(tmp_path / "b.npz", images=np.zeros(3))
    for name, says in (
        ("a.npz", "not a readable"),
        ("none.npz", "not a readable"),
        ("b.npz", "not a MedMNIST archive"),
    ):
        with pytest.raises(InputError, match=says):
            convert_medmnist(tmp_path / name, tmp_path / "out", ("0",))


def test_a_folder_with_files_is_not_written_to(tmp_path):
    with pytest.raises(InputError, match="not an empty folder"):
        convert_medmnist(archive(tmp_path / "a.npz"), tmp_path, ("0",))


# --- BIDS -----------------------------------------------------------------------------------------------------------


def volume(path, value=None, spacing=2.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((4, 24, 24), np.uint8 if value is not None else np.float32)
    if value is None:
        pixels[:] = np.random.default_rng(len(str(path))).random(pixels.shape)
    else:
        pixels[1:3, 8:14, 9:16] = value
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((spacing, spacing, 4.0))
    image.SetOrigin((5.0, -7.0, 11.0))
    sitk.WriteImage(image, str(path))


def bids_folder(folder, subjects=("01", "02", "03", "04")):
    lines = ["participant_id\tage\tsex\tdiagnosis\tcomment"]
    for number, subject in enumerate(subjects):
        lines.append(f"sub-{subject}\t{40 + number}\tF\t{('cancer', 'adenoma')[number % 2]}\tJane")
        for suffix in ("T1w", "T2w"):
            volume(folder / f"sub-{subject}/anat/sub-{subject}_{suffix}.nii.gz")
        volume(folder / f"derivatives/masks/sub-{subject}/anat/sub-{subject}_label-lesion_mask.nii.gz", 1)
    (folder / "participants.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_bids_folder_becomes_a_cohort(tmp_path):
    made = convert_bids(bids_folder(tmp_path / "data"), tmp_path / "cohort", "diagnosis", ("cancer",))
    cohort = read_cohort(made.cohort, CohortSettings())
    assert cohort.sequences == ("T1", "T2")
    assert [case.case_id for case in cohort.cases] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert cohort.labels.tolist() == [1, 0, 1, 0]
    assert cohort.cases[1].columns == {"age": "41", "sex": "F"}
    assert "Jane" not in made.cohort.read_text(encoding="utf-8")
    mask, image = (read_image(path, "T1") for path in (cohort.cases[0].rois["T1"], cohort.cases[0].images["T1"]))
    assert mask.affine == pytest.approx(image.affine)
    assert mask.pixels.sum() == 2 * 6 * 7
    assert load_patches(cohort, ImageSettings(side_px=32)).pixels.shape == (4, 3, 32, 32)


def test_sessions_are_cases_of_one_patient_and_contrast_a_sequence_of_its_own(tmp_path):
    folder = bids_folder(tmp_path / "data")
    for session in ("1", "2"):
        place = f"sub-05/ses-{session}/anat/sub-05_ses-{session}"
        for end in ("T1w", "T2w", "ce-gad_T1w"):
            volume(folder / f"{place}_{end}.nii.gz")
        volume(folder / f"derivatives/a/{place}_mask.nii.gz", 1)
    with (folder / "participants.tsv").open("a", encoding="utf-8") as file:
        file.write("\nsub-05\tn/a\tM\tcancer\t")
    made = convert_bids(folder, tmp_path / "cohort", "diagnosis", ("cancer",))
    rows = rows_of(made.cohort)[-2:]
    assert [(row["case_id"], row["patient_id"], row["age"]) for row in rows] == [
        ("sub-05_ses-1", "sub-05", ""), ("sub-05_ses-2", "sub-05", ""),
    ]  # fmt: skip
    assert made.notes == ("Found T1 of 6 sessions, T1C of 2 sessions, T2 of 6 sessions; used T1, T2.",)


def test_what_is_missing_or_double_is_left_out_with_its_reason(tmp_path):
    folder = bids_folder(tmp_path / "data", ("01", "02", "03", "04", "05", "06", "07"))
    (folder / "sub-03/anat/sub-03_T2w.nii.gz").unlink()
    (folder / "derivatives/masks/sub-04/anat/sub-04_label-lesion_mask.nii.gz").unlink()
    volume(folder / "sub-05/anat/sub-05_acq-fast_T2w.nii.gz")
    volume(folder / "derivatives/masks/sub-06/anat/sub-06_label-lesion_mask.nii.gz", 0)
    volume(folder / "derivatives/other/sub-07/anat/sub-07_label-node_mask.nii.gz", 1)
    wanted = {"sequences": ("T1", "T2")}
    made = convert_bids(folder, tmp_path / "one", "diagnosis", ("cancer",), **wanted)
    assert dict(made.left_out) == {
        "sub-03": "has no T2", "sub-04": "has no mask", "sub-05": "has more than one kind of T2",
        "sub-06": "has an empty mask", "sub-07": "has more than one mask: name one with --mask-label",
    }  # fmt: skip
    named = convert_bids(folder, tmp_path / "two", "diagnosis", ("cancer",), **wanted, mask_label="lesion")
    assert "sub-07" in [row["case_id"] for row in rows_of(named.cohort)]


def test_masks_of_no_use_are_left_out_and_the_rest_goes_on(tmp_path):
    folder = bids_folder(tmp_path / "data")
    masks = [folder / f"derivatives/masks/sub-{n}/anat/sub-{n}_label-lesion_mask.nii.gz" for n in ("01", "02")]
    masks[0].write_bytes(masks[0].read_bytes()[:60])
    nib.save(nib.Nifti1Image(np.ones((24, 24, 4), np.uint8), None), masks[1])
    made = convert_bids(folder, tmp_path / "cohort", "diagnosis", ("cancer",))
    assert made.cases == 2
    assert dict(made.left_out) == {
        "sub-01": "has a mask that cannot be read: the file is cut short", "sub-02": "has a mask without coordinates",
    }  # fmt: skip


def test_a_participant_in_two_rows_is_an_error(tmp_path):
    folder = bids_folder(tmp_path / "data")
    with (folder / "participants.tsv").open("a", encoding="utf-8") as file:
        file.write("\n02\t41\tF\tcancer\t")
    with pytest.raises(InputError, match=r"participants\.tsv:6:participant_id: sub-02 stands in row 3 already"):
        convert_bids(folder, tmp_path / "cohort", "diagnosis", ("cancer",))


def test_a_disk_that_refuses_a_picture_is_told(tmp_path):
    (tmp_path / "1.png").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_png(tmp_path / "1.png", np.zeros((4, 5), np.uint8))


def test_a_label_of_a_dseg_is_chosen_by_name_or_number(tmp_path):
    folder = bids_folder(tmp_path / "data")
    for subject in ("01", "02", "03", "04"):
        (folder / f"derivatives/masks/sub-{subject}/anat/sub-{subject}_label-lesion_mask.nii.gz").unlink()
        path = folder / f"derivatives/masks/sub-{subject}/anat/sub-{subject}_dseg.nii.gz"
        volume(path, 4)
        image = sitk.ReadImage(str(path))
        image[0, 0, 0] = 2
        sitk.WriteImage(image, str(path))
        path.with_name(f"sub-{subject}_dseg.tsv").write_text("index\tname\n2\tgland\n4\tTumour\n", encoding="utf-8")
    for number, label in enumerate(("tumour", "4")):
        made = convert_bids(folder, tmp_path / str(number), "diagnosis", ("cancer",), mask_label=label)
        cohort = read_cohort(made.cohort, CohortSettings())
        assert read_image(cohort.cases[0].rois["T1"], "mask").pixels.sum() == 2 * 6 * 7
    with pytest.raises(InputError, match="0 cases"):
        convert_bids(folder, tmp_path / "none", "diagnosis", ("cancer",))


def test_columns_and_files_that_are_missing_are_said(tmp_path):
    folder = bids_folder(tmp_path / "data")
    with pytest.raises(InputError, match=r"a column is missing.*expected histology"):
        convert_bids(folder, tmp_path / "out", "histology", ("cancer",))
    with pytest.raises(InputError, match=r"'adenoma' \(2\), 'cancer' \(2\)"):
        convert_bids(folder, tmp_path / "out", "diagnosis", ())
    with pytest.raises(InputError, match="no such file"):
        convert_bids(tmp_path, tmp_path / "out", "diagnosis", ("cancer",))


# --- patches --------------------------------------------------------------------------------------------------------


def test_patches_are_exported_with_their_split(tmp_path):
    made = convert_medmnist(archive(tmp_path / "a.npz"), tmp_path / "cohort", ("0",))
    cohort = read_cohort(made.cohort, CohortSettings())
    settings = ImageSettings(side_px=32)
    manifest = export_patches(cohort, settings, tmp_path / "patches")
    patches = load_patches(cohort, settings).pixels
    with np.load(tmp_path / "patches/patches.npz", allow_pickle=False) as stored:
        assert sorted(stored) == sorted(
            f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("images", "labels", "case_ids")
        )
        assert stored["val_labels"].tolist() == [[1], [0], [1]]
        assert stored["test_case_ids"].tolist()[2] == "test000002"
        assert stored["val_images"][1].transpose(2, 0, 1) == pytest.approx(patches[9] * 255, abs=0.51)
    rows = rows_of(manifest)
    assert rows[9] == {
        "file": "png/000009.png", "part": "val", "row": "1",
        "case_id": "val000001", "patient_id": "val000001", "label": "benign",
    }  # fmt: skip
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "patches" / rows[9]["file"])))
    assert picture.transpose(2, 0, 1) == pytest.approx(patches[9] * 255, abs=0.51)


def test_patches_without_a_split_have_no_parts(tmp_path):
    made = convert_bids(bids_folder(tmp_path / "data"), tmp_path / "cohort", "diagnosis", ("cancer",))
    export_patches(
        read_cohort(made.cohort, CohortSettings()), ImageSettings(side_px=32, slices=2), tmp_path / "patches"
    )
    with np.load(tmp_path / "patches/patches.npz", allow_pickle=False) as stored:
        assert stored["images"].shape == (8, 32, 32, 3)
        assert stored["case_ids"].tolist()[:3] == ["sub-01", "sub-01", "sub-02"]


# --- commands -------------------------------------------------------------------------------------------------------


def test_the_commands_say_what_they_made(tmp_path):
    run = CliRunner().invoke
    source = str(archive(tmp_path / "a.npz"))
    done = run(app, ["medmnist", source, "--out", str(tmp_path / "one"), "--positive", "0"])
    assert done.exit_code == 0
    assert "15 cases, 8 malignant, 7 benign" in done.output
    assert run(app, ["medmnist", source, "--out", str(tmp_path / "two")]).exit_code == 2
    data = str(bids_folder(tmp_path / "data"))
    wanted = ["--label-column", "diagnosis", "--positive", "cancer", "--json"]
    done = run(app, ["bids", data, "--out", str(tmp_path / "three"), *wanted])
    assert '"malignant": 2' in done.output
    done = run(app, ["patches", str(tmp_path / "three/cohort.csv"), "--out", str(tmp_path / "four")])
    assert "4 cases" in done.output
