"""Draw the pictures of docs/how-to/import-from-dicom.md from a synthetic archive, with the commands a user gives.

    python docs/make_import_pictures.py

writes docs/images/import_contact.png, import_overlay.png and, where chromium is at hand, check_page.png. The archive
is made of the demo's synthetic patients, with further series and one patient who moved between T1 and T2. For the page
of the check two faults are planted: a patient who is there twice, and a T2 that is not one.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

from rarelesion.synthetic import make_cohort

IMAGES = Path(__file__).parent / "images"
MOVED_MM = (5.0, -3.0, 0.0)
TAGS = {
    "T1": {"RepetitionTime": "520", "EchoTime": "11", "ScanningSequence": "SE", "SeriesDescription": "t1_tse_tra"},
    "T2": {"RepetitionTime": "4300", "EchoTime": "96", "ScanningSequence": "SE", "SeriesDescription": "t2_tse_tra"},
}
FURTHER = {
    "T1C": ("T1", {**TAGS["T1"], "ContrastBolusAgent": "Gd", "SeriesDescription": "t1_tse_tra_gd"}),
    "STIR": ("T2", {**TAGS["T2"], "ScanningSequence": ["SE", "IR"], "InversionTime": "160", "EchoTime": "45",
                    "SeriesDescription": "stir_tra"}),
    "unclear": ("T1", {"ScanningSequence": "RM", "SeriesDescription": "series 7"}),
}  # fmt: skip


def main() -> None:
    """Make the archive, import it, and keep the pictures."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        table = make_cohort(work / "drawn", 12, 10)
        with table.open(encoding="utf-8", newline="") as file:
            cases = list(csv.DictReader(file))
        (work / "masks").mkdir()
        for number, case in enumerate(cases):
            _disguise(work, case, number)
            shutil.copy(table.parent / case["mask_T1"], work / "masks" / f"{case['case_id']}.nii.gz")
        rows = [f"{case['case_id']},{case['label']}" for case in cases]
        (work / "diagnoses.csv").write_text("\n".join(["patient_id,label", *rows]), encoding="utf-8")
        words = ["import", "hospital", "--labels", "diagnoses.csv", "--rois", "masks", "--out", "cohort"]
        subprocess.run([sys.executable, "-m", "rarelesion", *words], cwd=work, check=True)
        shutil.copyfile(work / "cohort" / "contact" / "page-001.png", IMAGES / "import_contact.png")
        overlays = sorted((work / "cohort" / "volumes").glob("*/overlay_T2.png"))
        assert len(overlays) == 1, "one patient moved"
        shutil.copyfile(overlays[0], IMAGES / "import_overlay.png")
        _show_check(work)


def _show_check(work: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("no chromium: check_page.png stays as it is")
        return
    volumes = sorted((work / "cohort" / "volumes").iterdir())
    for sequence in ("T1", "T2", "mask1_T1"):
        shutil.copyfile(volumes[0] / f"{sequence}.nii.gz", volumes[3] / f"{sequence}.nii.gz")
    shutil.copyfile(volumes[5] / "T1.nii.gz", volumes[5] / "T2.nii.gz")
    words = ["check", "cohort/cohort.csv", "--page", "check.html"]
    subprocess.run([sys.executable, "-m", "rarelesion", *words], cwd=work, check=False, stdout=subprocess.DEVNULL)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,1300"]
    target = f"--screenshot={IMAGES / 'check_page.png'}"
    subprocess.run([browser, *flags, target, (work / "check.html").as_uri()], check=True, capture_output=True)


def _disguise(work: Path, case: dict[str, str], number: int) -> None:
    """Write a case's series as a hospital would send them: a patient's number, timing, a description."""
    home = work / "hospital" / case["case_id"]
    for sequence, tags in TAGS.items():
        _write(
            work / "drawn" / case[f"image_{sequence}"], home / sequence, case["case_id"], sequence, tags, number == 4
        )
    if number < 3:
        name = list(FURTHER)[number]
        source, tags = FURTHER[name]
        _write(work / "drawn" / case[f"image_{source}"], home / name, case["case_id"], name, tags, False)


def _write(source: Path, target: Path, patient: str, name: str, tags: dict[str, object], moves: bool) -> None:
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        dataset = dcmread(path)
        dataset.PatientID, dataset.SeriesInstanceUID = patient, generate_uid(entropy_srcs=[patient, name])
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[patient, name, path.name])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        if moves and name == "T2":
            moved = np.array(dataset.ImagePositionPatient, dtype=float) + MOVED_MM
            dataset.ImagePositionPatient = [f"{value:.6g}" for value in moved]
        dataset.save_as(target / path.name)


if __name__ == "__main__":
    main()
