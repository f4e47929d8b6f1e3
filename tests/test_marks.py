"""Mask files find their patients by name, and only where that is certain."""

from rarelesion.archive import file_pseudonym
from rarelesion.marks import find_marks
from rarelesion.pseudonyms import pseudonym

KEY = bytes(range(32))
PATIENTS = {pseudonym(KEY, "patient", number): number for number in ("12345", "AB-77", "9")}


def found_in(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    by_patient, strangers = find_marks(folder, KEY, set(PATIENTS), ("T1", "T2"))
    return {
        PATIENTS[patient]: [(one.path.name, one.sequence) for one in files] for patient, files in by_patient.items()
    }, strangers


def test_by_whole_name_part_of_a_name_or_folder(tmp_path):
    names = ("12345.nii.gz", "AB-77_T2_seg.seg.nrrd", "9/lesion.nii")
    assert found_in(tmp_path, *names) == (
        {"12345": [("12345.nii.gz", "")], "AB-77": [("AB-77_T2_seg.seg.nrrd", "T2")], "9": [("lesion.nii", "")]},
        (),
    )


def test_a_number_of_a_lesion_is_no_patient(tmp_path):
    by_patient, strangers = found_in(tmp_path, "lesion_9.nii.gz")
    assert by_patient == {}
    assert len(strangers) == 1


def test_leading_zeros_and_capitals_are_found_again_where_one_patient_fits(tmp_path):
    numbers = {pseudonym(KEY, "patient", number): number for number in ("00042", "0007", "007", "HOSP9")}
    for name in ("42_T2.nii.gz", "hosp9.nii", "7.nii"):
        (tmp_path / name).touch()
    by_patient, strangers = find_marks(tmp_path, KEY, set(numbers), ("T1", "T2"))
    found = {numbers[patient]: [one.path.name for one in files] for patient, files in by_patient.items()}
    # A part of two digits may be the lesion's number.
    assert found == {"HOSP9": ["hosp9.nii"]}
    (tmp_path / "42_T2.nii.gz").rename(tmp_path / "42.nii.gz")
    by_patient, strangers = find_marks(tmp_path, KEY, set(numbers), ("T1", "T2"))
    assert {numbers[patient] for patient in by_patient} == {"HOSP9", "00042"}
    assert strangers == (file_pseudonym(KEY, "7.nii"),)


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "12345_seg.nii.gz").symlink_to("gone.nii.gz")
    assert found_in(tmp_path, "AB-77.nii.gz") == (
        {"AB-77": [("AB-77.nii.gz", "")]},
        (file_pseudonym(KEY, "12345_seg.nii.gz"),),
    )


def test_two_patients_in_one_name_belong_to_neither(tmp_path):
    by_patient, strangers = found_in(tmp_path, "12345/AB-77.nii.gz", "12345/notes.txt")
    assert by_patient == {}
    assert strangers == (file_pseudonym(KEY, "12345/AB-77.nii.gz"),)
