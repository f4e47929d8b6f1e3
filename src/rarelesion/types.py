"""The nouns of rarelesion. Frozen; those that hold arrays are read-only and compare by identity."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "tune", "test"]
PARTS: tuple[Part, ...] = ("train", "tune", "test")
CLASSES = ("benign", "malignant", "texture")
"""Class names by index: a label is 0 for benign, 1 for malignant; the network's third output is texture."""

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Ids = NDArray[np.str_] | NDArray[np.integer]


def _freeze_arrays(instance: object) -> None:
    for item in fields(instance):  # pyright: ignore[reportArgumentType]
        value = getattr(instance, item.name)
        if isinstance(value, np.ndarray):
            view = value.view()
            view.flags.writeable = False
            object.__setattr__(instance, item.name, view)


@dataclass(frozen=True, eq=False, slots=True)
class Roi:
    """Where the lesion is in one image: a box or a mask, in (slice, row, column) order of that image.

    `box` is (row0, col0, row1, col1), half-open, in pixels, on slice `slice_index` (None for a plain image);
    `mask` is a boolean array (slices, rows, columns). Exactly one of the two is given.
    """

    box: tuple[int, int, int, int] | None = None
    slice_index: int | None = None
    mask: NDArray[np.bool_] | None = None
    affine: Floats | None = None
    """(4, 4), from (slice, row, column, 1) of the mask to patient millimetres (x, y, z); None: the image's own grid."""

    def __post_init__(self) -> None:
        if (self.box is None) == (self.mask is None):
            raise ValueError("a Roi is either a box or a mask")
        _freeze_arrays(self)


@dataclass(frozen=True, slots=True)
class Case:
    """One lesion, the unit that is diagnosed."""

    case_id: str
    patient_id: str
    label: int
    """0 benign, 1 malignant (see CLASSES)."""
    images: Mapping[str, Path]
    """Sequence -> a file, or a folder holding one DICOM series."""
    rois: Mapping[str, Path | Roi]
    """Sequence -> mask file or box, for the sequences on which the lesion was marked."""
    split: Part | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Every other column of the cohort, as text."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cases of a study, never mutated."""

    source: Path
    cases: tuple[Case, ...]
    sequences: tuple[str, ...]

    @property
    def labels(self) -> Ints:
        """(n,) 0 benign, 1 malignant, in the order of `cases`."""
        return np.array([case.label for case in self.cases], dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """An image as it was acquired; a plain picture is a volume of one slice."""

    pixels: NDArray[np.float32]
    """(slices, rows, columns), in the units of the file (rescaled where DICOM says so)."""
    sequence: str
    affine: Floats | None = None
    """(4, 4), from (slice, row, column, 1) to patient millimetres (x to the left, y to the back, z to the head).
    None where the file carries no patient coordinates."""

    def __post_init__(self) -> None:
        _freeze_arrays(self)

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Distance between neighbouring slices, rows and columns; None without patient coordinates."""
        if self.affine is None:
            return None
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])


@dataclass(frozen=True, eq=False, slots=True)
class Patches:
    """The network's input: pseudo-colour crops of the lesions."""

    pixels: NDArray[np.float32]
    """(n x slices, 3, side, side), red, green, blue, in 0..1; in memory, or mapped from `file`. The slices of a case
    follow each other, the one with the largest cross-section first."""
    case_ids: tuple[str, ...]
    """(n,)"""
    file: Path | None = None
    """The array file the pixels are mapped from: whoever takes them whole takes the memory they were kept out of."""
    slices: int = 1
    """Of each case."""
    greys: Floats | None = None
    """(n x slices, 3, k) the landmarks of each patch's greys, the ends at 0 and 1, where the pixels are in even steps
    of them and each split learns a standard scale; None where the pixels are as they are to be."""

    def __post_init__(self) -> None:
        _freeze_arrays(self)

    @property
    def largest(self) -> NDArray[np.float32]:
        """(n, 3, side, side) of each case the slice with the largest cross-section."""
        return self.pixels[:: self.slices]

    def rows(self, cases: "Ints") -> "Ints":
        """The rows of the pixels that show these cases, slice by slice."""
        return (np.asarray(cases)[:, None] * self.slices + np.arange(self.slices)).ravel()


@dataclass(frozen=True, eq=False, slots=True)
class PatchRows:
    """Some rows of an array of patches, in any order, fetched only when they are asked for."""

    pixels: NDArray[np.float32]
    """(n, 3, side, side), in memory or mapped from a file."""
    rows: Ints
    """(m,) which of them."""
    scale: Floats | None = None
    """(3, k) the grey of each colour to which each of k even steps is brought; None leaves the pixels as they are."""

    def __post_init__(self) -> None:
        _freeze_arrays(self)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, wanted: Ints | NDArray[np.bool_] | slice) -> NDArray[np.float32]:
        """(k, 3, side, side), the patches at these of the m places: a copy in memory, to be written at will."""
        fetched = np.asarray(self.pixels[self.rows[wanted]])
        if self.scale is None:
            return fetched
        steps = np.linspace(0, 1, self.scale.shape[1])
        brought = [np.interp(fetched[:, colour], steps, self.scale[colour]) for colour in range(len(self.scale))]
        return np.stack(brought, axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Split:
    """Three disjoint lists of case ids."""

    repeat: int
    fold: int
    train: tuple[str, ...]
    tune: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Embeddings:
    """What one network of one split says of every case: waist 1 of the system."""

    network: str
    repeat: int
    fold: int
    case_ids: NDArray[np.str_]
    parts: NDArray[np.str_]
    """(n,) train, tune or test."""
    labels: Ints
    """(n,) 0 benign, 1 malignant."""
    vectors: NDArray[np.float32]
    """(n, dim) the embedding; for the CVAE its latent mean."""
    logits: NDArray[np.float32]
    """(n, classes) before the softmax; for the CVAE one column, its anomaly score."""

    def __post_init__(self) -> None:
        _freeze_arrays(self)


@dataclass(frozen=True, eq=False, slots=True)
class FeatureTable:
    """Numbers on every case that no network made, as radiomics; beside the embeddings, waist 1 of the system."""

    case_ids: NDArray[np.str_]
    """(n,)"""
    names: tuple[str, ...]
    values: NDArray[np.float64]
    """(n, len(names)); NaN where a case does not have the feature."""

    def __post_init__(self) -> None:
        _freeze_arrays(self)


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """One recipe's scores over all its splits: waist 2. Higher is more suspicious, always.

    All arrays have one row for each (repeat, fold, case): a case is in the test part of at most one fold a repeat.
    """

    recipe: str
    repeat: Ints
    fold: Ints
    part: NDArray[np.str_]
    """tune or test."""
    case_id: Ids
    patient_id: Ids
    label: Ints
    """0 benign, 1 malignant."""
    score: NDArray[np.float64]

    def __post_init__(self) -> None:
        _freeze_arrays(self)

    def where(self, rows: NDArray[np.bool_]) -> "Scores":
        """The same recipe with only the rows for which `rows` is true."""
        arrays = {item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name != "recipe"}
        return Scores(recipe=self.recipe, **arrays)


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """A ROC or PR curve: points (x, y) with the threshold at which each is reached (score >= threshold)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    def __post_init__(self) -> None:
        _freeze_arrays(self)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval and how both were made."""

    value: float
    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True)
class PredictiveValues:
    """How far a call can be believed where this share of the cases is malignant."""

    prevalence: float
    ppv: Estimate
    """The share of malignant cases among those called malignant."""
    npv: Estimate
    """The share of benign cases among those called benign."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what it does to the test cases: malignant is called where score >= threshold."""

    threshold: float
    """The mean over folds where each fold has its own."""
    sensitivity: Estimate
    specificity: Estimate
    chosen_on: Literal["tune", "test"]
    rule: str = "youden"
    """How it was chosen on those cases, as `thresholds.parse_rule` reads it."""
    at_prevalence: PredictiveValues | None = None
    """PPV and NPV at a prevalence that was stated; None where none was."""


@dataclass(frozen=True, slots=True)
class RecipeResult:
    """One row of Table 3."""

    recipe: str
    n_benign: int
    n_malignant: int
    roc_auc: Estimate
    pr_auc: Estimate
    youden: OperatingPoint
    """At the Youden index of the test cases, as the paper reports it: optimistic."""
    tuned: OperatingPoint | None
    """At the threshold that a rule chose on the tuning cases: honest. None where the scores hold no tuning cases."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measure of recipe a minus that of recipe b, on the same cases."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    test: str
    measure: str = "ROC-AUC"


Light = Literal["green", "amber", "red"]
"""Nothing speaks against it, care is needed, it should not be relied on."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that speaks for or against believing a row of the table."""

    code: str
    light: Light
    fact: str
    """The number, in a few words."""
    meaning: str
    """What it means, in a sentence."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """A recipe on the test cases that share an entry of a column."""

    recipe: str
    column: str
    entry: str
    n_benign: int
    n_malignant: int
    roc_auc: Estimate | None
    """None where no fold tests both classes in the subgroup."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A human reader's number for a case; higher is more suspicious."""

    case_id: str
    reader: str
    rating: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    code: str
    severity: Literal["error", "warning", "note"]
    where: str
    message: str
    remedy: str
    cases: tuple[str, ...] = ()
    """The ids of the cases to be looked at."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of a network's training history."""

    epoch: int
    train_loss: float
    tune_loss: float
    seconds: float
