"""Every setting of `rarelesion import` with its default: the content of `import.toml`."""

from dataclasses import dataclass, field

from rarelesion.settings import PreparationSettings


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """From a folder of DICOM and a table of diagnoses to a cohort."""

    sequences: tuple[str, ...] = ("T1", "T2")  # the roles that every case must have; each becomes an image column
    positive: str = "malignant"  # the word in the label column that means malignant
    negative: str = "benign"  # the word that means benign; rows with any other word are left out and listed
    patient_column: str = "patient_id"  # of the table: the hospital's number, as in DICOM's Patient ID
    label_column: str = "label"  # of the table
    keep: tuple[str, ...] = ()  # further columns of the table that the cohort gets; nothing else is copied
    roi_label: str = ""  # number or name of the lesion in masks with several labels, where the table has no `lesion`
    each_component: bool = False  # true: parts of a mask that do not touch become cases of their own
    blank_text: bool = False  # true: text burnt into the pixels is painted over
    preparation: PreparationSettings = field(default_factory=PreparationSettings)
