"""The nouns of an archive: what is known of a frame, of a series, and of a file that was left out.

Everything in them is safe to keep: numbers in plausible ranges, words of fixed lists, keyed hashes (`pseudonyms`).
"""

from dataclasses import dataclass

IMAGE, SEGMENTATION, CONTOURS = "image", "segmentation", "contours"
"""What a DICOM object is: pixels, DICOM SEG, RTSTRUCT."""
OLDEST = 90
"""The age that stands for everyone older than 89."""

LEFT_OUT = {
    "empty": ("the file is empty", "Copy or export it again."),
    "unreadable": ("the file cannot be opened", "Give this account the right to read it."),
    "no-file": ("not a plain file", "Nothing to do: pipes and devices are passed over."),
    "unreadable-folder": ("the folder cannot be listed", "Give this account the right to read it."),
    "link": ("a link, not followed", "Nothing to do where what it leads to is in the folder; else copy that into it."),
    "not-dicom": ("not a DICOM file", "Nothing to do, unless it should be one."),
    "picture": ("a picture, not a DICOM file", "Nothing to do; pictures have no geometry."),
    "packed": ("a packed archive, not opened", "Unpack it into the folder and run the same command again."),
    "document": ("a document or table, not a DICOM file", "Nothing to do."),
    "volume": ("a NIfTI, NRRD or MetaImage volume", "Nothing to do; a mask is given in the table of diagnoses."),
    "dicomdir": ("a directory of other files (DICOMDIR)", "Nothing to do; the files it names are read themselves."),
    "truncated-header": ("the file ends within its header", "Export it again."),
    "truncated-pixels": ("the file ends within its pixels", "Export it again."),
    "no-pixels": ("an image without pixels", "Export it again."),
    "damaged": ("the header cannot be understood", "Export it again."),
    "no-image": ("a DICOM object that is no image", "Nothing to do."),
    "report": ("a structured report", "Nothing to do."),
    "presentation": ("a presentation state", "Nothing to do; it says how an image was shown."),
    "dicom-document": ("a document within DICOM", "Nothing to do."),
    "raw-data": ("raw data or a spectrum", "Nothing to do."),
    "plan": ("a radiotherapy plan, dose or record", "Nothing to do."),
    "waveform": ("a waveform", "Nothing to do."),
    "duplicate": ("the same image is in the folder already", "Nothing to do; one of the two was kept."),
}
"""Code -> the reason in words and what can be done."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of the archive that is not used, and why."""

    file: str
    """Pseudonym of its path."""
    folder: str
    """Pseudonym of its folder's path."""
    code: str
    """A key of LEFT_OUT."""

    @property
    def reason(self) -> str:
        """In words."""
        return LEFT_OUT[self.code][0]

    @property
    def remedy(self) -> str:
        """What can be done."""
        return LEFT_OUT[self.code][1]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a header says of how an image was made: the same for most frames of a series.

    Lengths are millimetres, times milliseconds, b-values s/mm². None or "" where the header is silent.
    """

    kind: str = IMAGE
    modality: str = ""
    rows: int = 0
    columns: int = 0
    orientation: tuple[float, ...] = ()
    """Direction of increasing column, then of increasing row, six cosines."""
    spacing_row_mm: float | None = None
    spacing_column_mm: float | None = None
    thickness_mm: float | None = None
    gap_mm: float | None = None
    """SpacingBetweenSlices: from centre to centre."""
    field_strength_t: float | None = None
    tr_ms: float | None = None
    te_ms: float | None = None
    ti_ms: float | None = None
    flip_degrees: float | None = None
    b_value: float | None = None
    echo_train: int | None = None
    echo: int | None = None
    technique: tuple[str, ...] = ()
    """ScanningSequence: SE, IR, GR, EP, RM."""
    variant: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """The known words of ImageType."""
    dimension: str = ""
    """2D or 3D acquisition."""
    diffusion: str = ""
    """isotropic, directional or none."""
    contrast: str = ""
    """yes, no, or "" where the tag is missing."""
    fat_saturation: str = ""
    words: tuple[str, ...] = ()
    """Known words of the descriptions, see `vocabulary`."""
    vendor: str = ""
    scanner: str = ""
    sex: str = ""
    age: int | None = None
    colour: bool = False
    burnt_in: bool = False
    """The header says that text is burnt into the pixels."""
    refers_to: tuple[str, ...] = ()
    """Pseudonyms of the series that a segmentation or a set of contours was drawn on."""


@dataclass(frozen=True, slots=True)
class Header:
    """One frame of one file; a segmentation or a set of contours is one frame."""

    patient: str
    study: str
    series: str
    frame: str
    """Pseudonym of the frame of reference."""
    instance: str
    number: int
    """Of the frame in its file, from 0."""
    facts: Facts
    position: tuple[float, ...] = ()
    """Centre of the first pixel, in patient millimetres."""
    instance_number: int | None = None
    acquisition: int | None = None
    time_point: int | None = None
    day: int | None = None
    """Of the study, shifted by the key's secret."""
    moment: float | None = None
    """Of the acquisition in seconds, shifted by the key's secret."""


@dataclass(frozen=True, slots=True)
class Series:
    """One stack of images, one row of series.csv: a DICOM series, or one of several volumes in it."""

    series: str
    patient: str
    study: str
    frame: str
    modality: str
    orientation: str
    """axial, coronal, sagittal, with "oblique " before it beyond 15 degrees; "several" for radial scans; "" unknown."""
    slices: int
    files: int
    rows: int
    columns: int
    spacing_row_mm: float | None
    spacing_column_mm: float | None
    spacing_slice_mm: float | None
    """From centre to centre, measured where there are positions."""
    thickness_mm: float | None
    field_strength_t: float | None
    tr_ms: float | None
    te_ms: float | None
    ti_ms: float | None
    flip_degrees: float | None
    b_value: float | None
    contrast: str
    fat_saturation: str
    words: tuple[str, ...]
    vendor: str
    scanner: str
    sex: str
    age: int | None
    day: int | None
    """Since the patient's first study."""
    year: int | None
    """Whole years since the archive's first study."""
    role: str
    confidence: float
    reason: str
    remarks: tuple[str, ...]
    refers_to: tuple[str, ...]
