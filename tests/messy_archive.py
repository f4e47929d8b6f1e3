"""A hospital's disk as it is: DICOM of 100 patients in every awkward form, a spreadsheet, marks from many programs.

Every picture is a function of the place in the patient, so that whatever comes out can be checked at any place, however
the slices lay. Identities are planted in tags, folders, file names and the spreadsheet; none of them may come out.
"""

import itertools
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
import openpyxl
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    MRImageStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

NOISE = 6.0
"""Standard deviation of what every pixel is off by."""
FAMILY = "Quackenbush"
BIRTH = "19530417"
ACCESSION = "ACC7788"
SCAN_DATE = "20190628"
UIDS = "1.2.826.0.1.3680043"
"""How all UIDs of the archive begin."""
PLANTED = (FAMILY, BIRTH, "17.04.1953", ACCESSION, SCAN_DATE, "28.06.2019", "HOSP0", "Drummond", UIDS)
TEXTS = {
    **dict.fromkeys(("PN", "LO", "ST", "LT", "UT", "UC"), f"{FAMILY} t1 {BIRTH}"),
    **{
        "SH": FAMILY,
        "DA": BIRTH,
        "DT": f"{BIRTH}101500",
        "AE": ACCESSION,
        "CS": FAMILY.upper(),
        "UR": f"http://{FAMILY}",
    },
}
"""Kind of tag -> something that identifies."""


@dataclass(frozen=True)
class Patient:
    """Who is drawn: one or two balls in an egg."""

    number: int
    kind: str
    malignant: bool
    lesions: tuple[tuple[tuple[float, float, float], float], ...]
    """(centre in patient mm, diameter in mm) each."""

    @property
    def body(self) -> np.ndarray:
        """Half the lengths of the egg's axes in mm."""
        return np.random.default_rng(self.number).uniform(0.9, 1.1, 3) * (40, 42, 60)

    @property
    def patient_id(self) -> str:
        return f"{self.number:08d}" if self.kind == "leading_zeros" else f"HOSP0{self.number:04d}"

    def value(self, sequence: str, places: np.ndarray) -> np.ndarray:
        """Intensity at (..., 3) patient places."""
        tissue, lesion = {"T1": (400, 150), "T2": (250, 700)}.get(sequence, (300, 350))
        rng, other = np.random.default_rng(self.number), np.random.default_rng((self.number, ord(sequence[-1])))
        found = np.full(places.shape[:-1], float(tissue))
        # Organs lie at one place in all sequences, and are not equally bright in them.
        for waves in rng.normal(scale=0.15, size=(24, 3)):
            found += other.normal(scale=18) * np.cos(places @ waves + rng.uniform(0, 6))
        edge = np.clip(20 * (np.linalg.norm(places / self.body, axis=-1) - 1), -50, 50)
        found = 20 + (found - 20) / (1 + np.exp(edge))
        for centre, diameter in self.lesions:
            away = np.linalg.norm(places - centre, axis=-1) - diameter / 2
            found += (lesion - found) / (1 + np.exp(np.clip(1.5 * away, -50, 50)))
        return found

    def inside(self, lesion: int, places: np.ndarray) -> np.ndarray:
        """Where (..., 3) places lie in one of the lesions."""
        centre, diameter = self.lesions[lesion]
        return np.linalg.norm(places - centre, axis=-1) <= diameter / 2


@dataclass
class Archive:
    """What was written and what must come of it."""

    folder: Path
    expected: dict[str, tuple[Patient, int]] = field(default_factory=dict)
    """Hospital id and lesion, as "id/1" -> patient and which lesion."""
    left_out_files: dict[Path, str] = field(default_factory=dict)
    """File -> why, a code of `headers`."""
    left_out_rows: dict[str, str] = field(default_factory=dict)
    """Hospital id -> a word of the reason."""
    unlabelled: set[str] = field(default_factory=set)

    @property
    def dicom(self) -> Path:
        return self.folder / "dicom"

    @property
    def labels(self) -> Path:
        return self.folder / "diagnoses.xlsx"

    @property
    def rois(self) -> Path:
        return self.folder / "marks"


SPECIAL = (
    *("one_folder", "reversed", "sagittal", "oblique", "missing_slice", "copies", "uneven", "tilted", "no_thickness"),
    *("two_echoes", "b_values", "multiframe", "monochrome1", "signed", "rle", "jpeg", "jpeg2000", "no_preamble"),
    *("dicomdir", "truncated", "no_t2", "no_row", "no_dicom", "other_word", "seg", "rtstruct", "nrrd_other_grid"),
    *("point", "box", "two_lesions", "named_segment", "contrast", "many_series", "two_studies", "leading_zeros"),
    *("mark_elsewhere", "empty_mark", "two_labels", "no_mark", "capture", "planted"),
)


def make_archive(folder: Path, patients: int = 100) -> Archive:
    """Write the archive; the first patients are the special ones, each of another kind, the rest plain."""
    archive = Archive(folder)
    archive.rois.mkdir(parents=True)
    rows = []
    for number in range(patients):
        kind = SPECIAL[number] if number < len(SPECIAL) else "plain"
        patient = _patient(number, kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is planted is no proper value of its tag
            rows += list(_write_patient(archive, patient))
    book = openpyxl.Workbook()
    sheet = book.active
    columns = ("patient_id", "name", "born", "label", "subtype", "roi", "lesion", "point_mm", "diameter_mm", "box_T1")
    sheet.append(columns)
    for row in rows:
        sheet.append([row.get(column) for column in columns])
    book.save(archive.labels)
    return archive


def _patient(number: int, kind: str) -> Patient:
    rng = np.random.default_rng(number)
    sign = rng.choice((-1, 1))
    first = ((sign * rng.uniform(12, 20), rng.uniform(-10, 10), rng.uniform(-8, 8)), float(rng.uniform(14, 22)))
    second = ((-first[0][0], first[0][1] + 4, first[0][2] / 2), 14.0)
    return Patient(number, kind, number % 4 == 0, (first, second) if kind == "two_lesions" else (first,))


def _write_patient(archive: Archive, patient: Patient) -> Iterator[dict[str, object]]:
    """Write all of a patient; yields the spreadsheet's rows."""
    kind, name = patient.kind, patient.patient_id
    home = archive.dicom / f"{FAMILY}_{patient.number}" / ACCESSION
    word = "adenocarcinoma" if patient.malignant else "adenoma"
    row: dict[str, object] = {"patient_id": name, "name": f"{FAMILY}, Ann", "born": "17.04.1953", "label": word}
    row["subtype"] = "a" if patient.number % 3 else "b"
    if kind == "no_dicom":
        archive.left_out_rows[name] = "no DICOM"
        yield row
        return
    series = Writer(patient, home)
    first = _write_images(archive, patient, series)
    expected = _mark(archive, patient, row, first)
    if kind == "leading_zeros":
        row["patient_id"] = f"{patient.number}"
    if kind == "no_row":
        archive.unlabelled.add(name)
        return
    if kind == "other_word":
        row["label"] = "not operated"
        archive.left_out_rows[name] = "neither"
    elif kind == "no_t2":
        archive.left_out_rows[name] = "T2"
    elif expected:
        for lesion in range(len(patient.lesions)):
            archive.expected[f"{name}/{lesion + 1}"] = (patient, lesion)
    if kind == "two_lesions":
        yield {**row, "lesion": 1}
        yield {**row, "lesion": 2}
    else:
        yield row


def _write_images(archive: Archive, patient: Patient, series: "Writer") -> list[Path]:
    """All series of a patient; returns the files of the first T1."""
    kind = patient.kind
    t1_grid = {"sagittal": turned("sagittal"), "oblique": turned("oblique")}.get(kind, axial())
    first = series.write("T1", t1_grid, T1_TAGS)
    if kind != "no_t2":
        _write_t2(archive, patient, series)
    if kind == "contrast":
        series.write("T1", axial(), {**T1_TAGS, "ContrastBolusAgent": "Gadovist"}, name="t1c")
    if kind in ("many_series", "contrast"):
        series.write("other", axial(), STIR_TAGS, name="stir")
        series.write("other", axial(), FLAIR_TAGS, name="flair")
        series.write("other", turned("coronal", 3), LOCALISER_TAGS, name="loc")
    if kind == "b_values":
        for value in (0, 500, 1000):
            series.write("other", axial(), {**DWI_TAGS, "DiffusionBValue": float(value)}, name="dwi", first=value * 10)
    if kind == "two_studies":
        series.write("T1", axial(), T1_TAGS, name="later", study="later", tags_after={"StudyDate": "20200103"})
    if kind == "capture":
        capture = series.write("other", axial(1), {**T1_TAGS, "SeriesDescription": f"{FAMILY} KEY IMAGE"}, name="key")
        for path in capture:
            dataset = dcmread(path)
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
            dataset.BurnedInAnnotation = "YES"
            dataset.save_as(path)
    if kind == "dicomdir":
        _write_strangers(archive, series.home)
    return first


def _write_t2(archive: Archive, patient: Patient, series: "Writer") -> None:
    kind = patient.kind
    grid, tags, options = axial(12, 1.6, (0.7, -1.3, 2.1)), dict(T2_TAGS), {}
    if kind == "missing_slice":
        grid = Grid(grid.affine, np.delete(grid.steps, 1), grid.size)
    elif kind == "uneven":
        steps = grid.steps.astype(float)
        steps[-2:] += (0.3, 0.75)
        grid = Grid(grid.affine, steps, grid.size)
    elif kind == "tilted":
        affine = grid.affine.copy()
        affine[:3, 0] += (0, 1.5, 0)
        grid = Grid(affine, grid.steps, grid.size)
    elif kind == "oblique":
        grid = turned("oblique", 12)
    elif kind == "no_thickness":
        tags["SliceThickness"] = tags["SpacingBetweenSlices"] = None
    elif kind == "signed":
        options = {"slope": 0.5, "intercept": -100.0, "signed": True}
    elif kind == "monochrome1":
        options = {"inverted": True}
    elif kind == "multiframe":
        series.write_multiframe("T2", grid, T2_TAGS)
        return
    elif kind in SYNTAXES:
        options = {"syntax": SYNTAXES[kind]}
    files = series.write("T2", grid, tags, **options)
    if kind == "two_echoes":
        series.write("other", grid, {**T2_TAGS, "EchoTime": "15", "EchoNumbers": "2"}, name="T2", first=100)
    elif kind == "copies":
        for path in files[:3]:
            copy = path.with_name(f"zz_copy_{path.name}")
            shutil.copy(path, copy)
            archive.left_out_files[copy] = "duplicate"
    elif kind == "no_preamble":
        for path in files:
            path.write_bytes(path.read_bytes()[132:])
    elif kind == "truncated":
        files[1].write_bytes(files[1].read_bytes()[:-3000])
        archive.left_out_files[files[1]] = "truncated-pixels"


def _write_strangers(archive: Archive, home: Path) -> None:
    """What lies about on such a disk."""
    strangers = {
        "DICOMDIR": ("dicomdir", None),
        "readme.txt": ("not-dicom", b"Ask Dr. Drummond."),
        "photo.jpg": ("picture", b"\xff\xd8\xff\xe0 no picture"),
        "empty.dcm": ("empty", b""),
        "cut.dcm": ("truncated-header", next(home.rglob("IM0001*")).read_bytes()[:700]),
        "backup.zip": ("packed", b"PK\x03\x04 no"),
    }
    for name, (code, content) in strangers.items():
        path = home / name
        if content is None:
            _file_dataset(path, "1.2.840.10008.1.3.10", "dir").save_as(path, enforce_file_format=True)
        else:
            path.write_bytes(content)
        archive.left_out_files[path] = code


def _mark(archive: Archive, patient: Patient, row: dict[str, object], first: Sequence[Path]) -> bool:
    """Mark the lesions as this kind has it; says whether the patient's rows can become cases."""
    kind, name, rois = patient.kind, patient.patient_id, archive.rois
    grid = axial(20, 1.2)
    planes = [patient.inside(lesion, grid.places()) for lesion in range(len(patient.lesions))]
    whole = np.any(planes, axis=0).astype(np.uint8)
    home = first[0].parent
    if kind == "seg":
        write_seg(patient, first, home / "seg.dcm")
    elif kind == "rtstruct":
        _write_rtstruct(patient, first, home / "rs.dcm")
    elif kind == "nrrd_other_grid":
        grid = turned("oblique", 24, 1.0)
        _write_mask(rois / f"{name}.nrrd", patient.inside(0, grid.places()).astype(np.uint8), grid)
    elif kind == "point":
        centre, diameter = patient.lesions[0]
        row |= {"point_mm": " ".join(f"{value:.2f}" for value in centre), "diameter_mm": diameter}
    elif kind == "box":
        row["box_T1"] = _box(patient)
    elif kind == "two_lesions":
        _write_mask(rois / f"{name}.nii.gz", (planes[0] + 2 * planes[1]).astype(np.uint8), grid)
    elif kind == "named_segment":
        gland = np.linalg.norm(grid.places() - patient.lesions[0][0], axis=-1) <= 20
        labels = np.where(whole > 0, 2, gland.astype(np.uint8))
        header = {f"Segment{n}_{key}": value for n, one in enumerate(SEGMENTS) for key, value in one.items()}
        _write_mask(rois / f"{name}.seg.nrrd", labels.astype(np.uint8), grid, header)
        row["lesion"] = "tumour"
    elif kind == "two_labels":
        _write_mask(rois / f"{name}.nii.gz", whole + np.roll(whole, 8, axis=0).astype(np.uint8) * 2, grid)
        archive.left_out_rows[name] = "labels"
    elif kind == "mark_elsewhere":
        far = grid.affine.copy()
        far[:3, 3] += 500
        _write_mask(rois / f"{name}.nii.gz", whole, Grid(far, grid.steps, grid.size))
        archive.left_out_rows[name] = "outside"
    elif kind == "empty_mark":
        _write_mask(rois / f"{name}.nii.gz", whole * 0, grid)
        archive.left_out_rows[name] = "empty"
    elif kind == "no_mark":
        archive.left_out_rows[name] = "not marked"
    elif patient.number % 5 == 1 and kind == "plain":
        (rois / "elsewhere").mkdir(exist_ok=True)
        _write_mask(rois / "elsewhere" / f"mark_{patient.number}.nii.gz", whole, grid)
        row["roi"] = f"marks/elsewhere/mark_{patient.number}.nii.gz"
    else:
        _write_mask(rois / f"{name}.nii.gz", whole, grid)
    return name not in archive.left_out_rows


SEGMENTS = (
    {"ID": "Segment_1", "Name": "gland", "LabelValue": "1", "Layer": "0"},
    {"ID": "Segment_2", "Name": "tumour", "LabelValue": "2", "Layer": "0"},
)


def _box(patient: Patient) -> str:
    """On the T1 grid, on the slice nearest the lesion's centre."""
    centre, diameter = patient.lesions[0]
    to_index = np.linalg.inv(axial().affine)
    middle = to_index[:3, :3] @ centre + to_index[:3, 3]
    low, high = middle[1:] - diameter / 4, middle[1:] + diameter / 4
    numbers = (round(middle[0]), *np.floor(low).astype(int), *np.ceil(high).astype(int) + 1)
    return " ".join(str(int(number)) for number in numbers)


# --- grids ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Slices at `steps` along the first axis of an affine from (slice, row, column) to patient mm."""

    affine: np.ndarray
    steps: np.ndarray
    size: tuple[int, int]

    def places(self) -> np.ndarray:
        """(slices, rows, columns, 3) patient mm."""
        index = np.stack(np.meshgrid(self.steps, *map(np.arange, self.size), indexing="ij"), axis=-1)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


def _grid(directions: np.ndarray, slices: int, pixel: float, shift: Sequence[float] = (0, 0, 0)) -> Grid:
    """Centred on the patient; `directions` (3, 3) in columns, of slices, rows and columns."""
    rows = round(96 / pixel)
    affine = np.eye(4)
    affine[:3, :3] = directions * (50 / slices if slices > 3 else 15.0, pixel, pixel)
    centre = np.array([(slices - 1) / 2, (rows - 1) / 2, (rows - 1) / 2])
    affine[:3, 3] = np.array(shift, dtype=float) - affine[:3, :3] @ centre
    return Grid(affine, np.arange(slices), (rows, rows))


def axial(slices: int = 10, pixel: float = 2.0, shift: Sequence[float] = (0, 0, 0)) -> Grid:
    """From feet to head."""
    return _grid(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float), slices, pixel, shift)


def turned(name: str, slices: int = 20, pixel: float = 2.0) -> Grid:
    """Sagittal, coronal, or turned about two axes."""
    if name == "sagittal":
        return _grid(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=float), slices, pixel)
    if name == "coronal":
        return _grid(np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], dtype=float), slices, pixel)
    a, b = np.radians((18, 11))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return _grid(about_x @ about_z @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float), slices, pixel)


# --- DICOM ---------------------------------------------------------------------------------------------------------

SYNTAXES = {"rle": RLELossless, "jpeg": JPEGLosslessSV1, "jpeg2000": JPEG2000Lossless}
T1_TAGS = {
    **{"ScanningSequence": "SE", "SequenceVariant": "SK", "RepetitionTime": "520", "EchoTime": "11"},
    **{"SeriesDescription": "t1_tse_tra"},
}
T2_TAGS = {
    **{"ScanningSequence": "SE", "SequenceVariant": "SK", "RepetitionTime": "4200", "EchoTime": "95"},
    **{"SeriesDescription": "t2_tse_tra", "EchoNumbers": "1"},
}
STIR_TAGS = {
    **{"ScanningSequence": ["SE", "IR"], "RepetitionTime": "5100", "EchoTime": "45", "InversionTime": "160"},
    **{"SeriesDescription": "stir_tra"},
}
FLAIR_TAGS = {
    **{"ScanningSequence": ["SE", "IR"], "RepetitionTime": "9000", "EchoTime": "110", "InversionTime": "2500"},
    **{"SeriesDescription": "flair_tra"},
}
DWI_TAGS = {
    **{"ScanningSequence": "EP", "RepetitionTime": "6000", "EchoTime": "75", "SeriesDescription": "dwi_tra"},
    **{"ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]},
}
LOCALISER_TAGS = {
    **{"ScanningSequence": "GR", "RepetitionTime": "8", "EchoTime": "3.5", "SeriesDescription": "localizer"},
    **{"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
}


def _uid(*words: object) -> str:
    return generate_uid(entropy_srcs=["messy", *map(str, words)])


def _file_dataset(path: Path, sop_class: str, key: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, _uid(key)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, _uid(key)
    return dataset


@dataclass
class Writer:
    """Writes one patient's series."""

    patient: Patient
    home: Path
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def _header(self, path: Path, key: str, name: str, study: str, sop_class: str = MRImageStorage) -> FileDataset:
        dataset = _file_dataset(path, sop_class, key)
        number = self.patient.number
        drawn = np.random.default_rng((number, 1)).random(3)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(number, study), _uid(number, study, name)
        dataset.FrameOfReferenceUID = _uid(number, study, "frame")
        dataset.PatientName, dataset.PatientBirthDate = f"{FAMILY}^Ann^{number}", BIRTH
        dataset.PatientID, dataset.PatientSex = self.patient.patient_id, "F" if drawn[0] < 0.5 else "M"
        dataset.AccessionNumber, dataset.StudyID = ACCESSION, ACCESSION
        dataset.StudyDate, dataset.StudyTime = SCAN_DATE, "101500"
        dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = SCAN_DATE
        dataset.ReferringPhysicianName, dataset.InstitutionName = "Drummond^Eve", "Drummond Memorial"
        dataset.PatientComments = f"{FAMILY} born 17.04.1953"
        dataset.Modality, dataset.Manufacturer = "MR", "SIEMENS" if number % 3 else "GE MEDICAL SYSTEMS"
        dataset.ManufacturerModelName, dataset.DeviceSerialNumber = f"Scanner of {FAMILY}", ACCESSION
        dataset.MagneticFieldStrength = "1.5" if drawn[1] < 0.75 else "3"
        dataset.StudyDescription = dataset.ProtocolName = f"NECK {FAMILY}"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        if self.patient.kind == "planted":
            _plant(dataset)
        block = dataset.private_block(0x0029, f"{FAMILY} HEADER", create=True)
        block.add_new(0x10, "LO", f"{FAMILY} {BIRTH}")
        return dataset

    def _acquired(self, sequence: str, grid: Grid) -> np.ndarray:
        values = self.patient.value(sequence, grid.places())
        noise = np.random.default_rng((self.patient.number, len(values), ord(sequence[-1]))).normal(size=values.shape)
        return np.rint(np.maximum(values + NOISE * noise, 0)).astype(np.int64)

    def write(
        self,
        sequence: str,
        grid: Grid,
        tags: dict[str, object],
        name: str = "",
        study: str = "first",
        first: int = 0,
        tags_after: dict[str, object] | None = None,
        **options: object,
    ) -> list[Path]:
        """One file a slice."""
        name = name or sequence
        planes = self._acquired(sequence, grid)
        order = list(range(len(planes)))
        if self.patient.kind == "reversed":
            order = [*order[::-2], *order[-2::-2]]
        files = []
        for position, index in enumerate(order):
            number = position + 1 if self.patient.kind == "reversed" else index + 1
            path = self._path(name, study, first + number)
            dataset = self._header(path, f"{self.patient.number}{study}{name}{first}{index}", name, study)
            dataset.SeriesNumber, dataset.InstanceNumber = 1 + len(name), first + number
            dataset.SliceThickness = dataset.SpacingBetweenSlices = f"{np.linalg.norm(grid.affine[:3, 0]):.6g}"
            for keyword, value in {**tags, **(tags_after or {})}.items():
                setattr(dataset, keyword, value)
                if value is None:
                    delattr(dataset, keyword)
            _place(dataset, grid, grid.steps[index])
            _pixels(dataset, planes[index], path, **options)
            path.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(path, enforce_file_format=True)
            files.append(path)
        return files

    def _path(self, name: str, study: str, number: int) -> Path:
        if self.patient.kind == "one_folder":
            return self.home / f"{FAMILY}{next(self.counter):05d}"
        return self.home / study / f"{name}" / f"IM{number:04d}_{FAMILY}.dcm"

    def write_multiframe(self, sequence: str, grid: Grid, tags: dict[str, object]) -> None:
        """One enhanced file for all slices."""
        path = self.home / "enhanced" / "IM1"
        path.parent.mkdir(parents=True)
        dataset = self._header(path, f"{self.patient.number}enhanced", "enhanced", "first", EnhancedMRImageStorage)
        dataset.InstanceNumber, dataset.SeriesDescription = 1, tags["SeriesDescription"]
        planes = self._acquired(sequence, grid)
        dataset.NumberOfFrames = len(planes)
        shared, measures, orientation, timing, echo = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
        step = Dataset()
        _place(step, grid, 0)
        measures.PixelSpacing = step.PixelSpacing
        measures.SliceThickness = f"{np.linalg.norm(grid.affine[:3, 0]):.6g}"
        orientation.ImageOrientationPatient = step.ImageOrientationPatient
        timing.RepetitionTime, timing.EchoTrainLength, timing.FlipAngle = float(tags["RepetitionTime"]), 9, 150.0
        echo.EffectiveEchoTime = float(tags["EchoTime"])
        shared.PixelMeasuresSequence = Items([measures])
        shared.PlaneOrientationSequence = Items([orientation])
        shared.MRTimingAndRelatedParametersSequence = Items([timing])
        shared.MREchoSequence = Items([echo])
        dataset.SharedFunctionalGroupsSequence = Items([shared])
        groups = []
        for index in np.random.default_rng(0).permutation(len(planes)):
            group, position, content = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = _decimals(grid.affine[:3, 3] + grid.steps[index] * grid.affine[:3, 0])
            content.StackID, content.InStackPositionNumber = "1", int(index) + 1
            content.DimensionIndexValues = [1, int(index) + 1]
            group.PlanePositionSequence, group.FrameContentSequence = Items([position]), Items([content])
            groups.append((int(index), group))
        dataset.PerFrameFunctionalGroupsSequence = Items([group for _, group in groups])
        _pixels(dataset, planes[[index for index, _ in groups]], path)
        dataset.save_as(path, enforce_file_format=True)


def _plant(dataset: Dataset) -> None:
    """Something that identifies in every tag of the dictionary that can hold text, but those that are set already.

    Tags of a contrast agent stay empty: whatever stands in them makes a series one after contrast.
    """
    for tag, (kind, _, _, retired, keyword) in DicomDictionary.items():
        usable = kind in TEXTS and keyword and not retired and not keyword.startswith("Contrast")
        if usable and keyword not in dataset and tag >> 16 not in (0, 2, 0x28):
            setattr(dataset, keyword, TEXTS[kind])
    inner = Dataset()
    inner.PatientName, inner.StudyDate, inner.SeriesInstanceUID = f"{FAMILY}^Ann", SCAN_DATE, _uid("inner")
    dataset.RequestAttributesSequence = dataset.ReferencedSeriesSequence = Items([inner])


def _decimals(values: np.ndarray) -> list[str]:
    return [f"{float(value):.9g}" for value in values]


def _place(dataset: Dataset, grid: Grid, step: float) -> None:
    spacing = np.linalg.norm(grid.affine[:3, 1:3], axis=0)
    down, across = (grid.affine[:3, 1:3] / spacing).T
    dataset.ImageOrientationPatient = _decimals(np.concatenate([across, down]))
    dataset.ImagePositionPatient = _decimals(grid.affine[:3, 3] + step * grid.affine[:3, 0])
    dataset.PixelSpacing = _decimals(spacing)


def _pixels(
    dataset: FileDataset,
    planes: np.ndarray,
    path: Path,
    slope: float = 1.0,
    intercept: float = 0.0,
    signed: bool = False,
    inverted: bool = False,
    syntax: str = "",
) -> None:
    stored = np.rint((planes - intercept) / slope).astype(np.int64)
    if inverted:
        stored = 4095 - stored
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.Rows, dataset.Columns = planes.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = int(signed)
    if slope != 1 or intercept:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = str(slope), str(intercept), "US"
    dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    elif syntax:
        dataset.PixelData = _squeezed(
            stored.astype(np.uint16), path, {JPEG2000Lossless: "JPEG2000"}.get(syntax, "JPEG")
        )
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax


def _squeezed(plane: np.ndarray, path: Path, compressor: str) -> bytes:
    """As GDCM encodes it; all 16 bits are said to be stored, as GDCM has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".gdcm.dcm")
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(beside))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(plane[None]))
    encoded = dcmread(beside)
    beside.unlink()
    assert encoded.file_meta.TransferSyntaxUID.is_compressed
    return encoded.PixelData


# --- marks ---------------------------------------------------------------------------------------------------------


def _write_mask(path: Path, mask: np.ndarray, grid: Grid, header: dict[str, str] | None = None) -> None:
    image = sitk.GetImageFromArray(mask)
    spacing = np.linalg.norm(grid.affine[:3, :3], axis=0)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetDirection((grid.affine[:3, :3] / spacing)[:, ::-1].ravel().tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())
    for key, value in (header or {}).items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), True)


def write_seg(patient: Patient, first: Sequence[Path], path: Path) -> None:
    """A DICOM SEG with two segments is what a PACS gives; here the lesion alone."""
    sources = sorted((dcmread(file) for file in first), key=lambda item: float(item.ImagePositionPatient[2]))
    mask = patient.inside(0, axial().places())
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=f"lesion of {FAMILY}",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    made = hd.seg.Segmentation(
        sources,
        mask.astype(np.uint8)[..., None],
        hd.seg.SegmentationTypeValues.BINARY,
        [description],
        _uid(patient.number, "seg series"),
        9,
        _uid(patient.number, "seg"),
        1,
        "Maker",
        "Model",
        "1",
        "1",
        omit_empty_frames=True,
    )
    made.save_as(path)


def _write_rtstruct(patient: Patient, first: Sequence[Path], path: Path) -> None:
    source = dcmread(first[0])
    dataset = _file_dataset(path, RTStructureSetStorage, f"{patient.number}rs")
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        setattr(dataset, keyword, getattr(source, keyword))
    dataset.Modality, dataset.SeriesInstanceUID = "RTSTRUCT", _uid(patient.number, "rs series")
    dataset.StructureSetLabel, dataset.StructureSetDate = FAMILY, SCAN_DATE
    series, study, frame, roi = Dataset(), Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.SeriesInstanceUID
    study.RTReferencedSeriesSequence = Items([series])
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", source.StudyInstanceUID
    frame.FrameOfReferenceUID = source.FrameOfReferenceUID
    frame.RTReferencedStudySequence = Items([study])
    dataset.ReferencedFrameOfReferenceSequence = Items([frame])
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 1, f"GTV {FAMILY}", "MANUAL"
    roi.ReferencedFrameOfReferenceUID = source.FrameOfReferenceUID
    dataset.StructureSetROISequence = Items([roi])
    contours = Dataset()
    contours.ReferencedROINumber = 1
    contours.ContourSequence = Items(list(_contours(patient)))
    dataset.ROIContourSequence = Items([contours])
    dataset.save_as(path, enforce_file_format=True)


def _contours(patient: Patient) -> Iterator[Dataset]:
    (x, y, z), diameter = patient.lesions[0]
    grid = axial()
    for step in grid.steps:
        height = grid.affine[2, 3] + step * grid.affine[2, 0]
        if abs(height - z) < diameter / 2:
            radius = np.sqrt((diameter / 2) ** 2 - (height - z) ** 2)
            angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
            points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles), np.full(60, height)], axis=1)
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 60
            contour.ContourData = [f"{value:.4f}" for value in points.ravel()]
            yield contour
