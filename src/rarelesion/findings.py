"""What `rarelesion check` can find: a code for each kind of finding, why it matters and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rarelesion.types import Finding

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first. An error stops a study; a warning may spoil its result; a note is for your information."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding."""

    title: str
    severity: Severity
    meaning: str
    """What it is and why it matters."""
    remedy: str


FAMILIES = {
    "RL1": "Images and lesions",
    "RL3": "Likeness",
    "RL4": "Geometry",
    "RL5": "Confounds",
    "RL6": "Counts",
    "RL7": "The table",
}
"""What the first digit of a code says; RL2 are the remarks on a result."""

KINDS: dict[str, Kind] = {
    "RL101": Kind(
        "an image or ROI cannot be used",
        "error",
        "The case cannot be cut: a file is missing, damaged or of an unknown kind, the mask is empty, the box lies "
        "outside the image, or the sequences do not show the same place. A study of this cohort stops before it "
        "trains. The message names the case and the sequence.",
        "Mend the file or the row. All such cases are listed at once.",
    ),
    "RL102": Kind(
        "few patients of a class",
        "warning",
        "With the chosen number of folds a test part holds fewer than two patients of a class. Sensitivity or "
        "specificity of that part then jumps between few values, and the intervals are wide. An error where a part "
        "would hold none.",
        "Use fewer folds, collect more cases, or accept the wide interval and say so.",
    ),
    "RL103": Kind(
        "the same picture in two patients",
        "warning",
        "Two cases with different patient ids show the same picture, pixel by pixel. One may be trained on and the "
        "other tested, and the result is too good.",
        "Take one out, or give both the same patient_id: a patient is never divided between the parts.",
    ),
    "RL104": Kind(
        "a very small lesion",
        "warning",
        "The lesion is only a few pixels long. Often a box was written as column before row, or with a height and a "
        "width in the place of its end.",
        "Check the box or mask. If it is right, the image has little to say about this lesion.",
    ),
    "RL105": Kind(
        "the ROI covers most of the image",
        "warning",
        "The mask or box covers most of its slice. Often a mask was saved inverted, or a box given for the whole "
        "picture because nobody marked the lesion. The patch then shows everything but little of the lesion.",
        "Mark the lesion itself; for an inverted mask, exchange inside and outside.",
    ),
    "RL106": Kind(
        "the ROI reaches the border of the image",
        "warning",
        "The ROI touches the edge of its image, so that the lesion may be cut off, and with it the margin a network "
        "looks at. One such lesion is bad luck; if it happens in one class more than in the other, it tells the class.",
        "Take an image that shows the whole lesion with tissue around it, where there is one.",
    ),
    "RL107": Kind(
        "the mask is in pieces far apart",
        "warning",
        "The mask consists of pieces that lie farther apart than half the length of the largest: a stray click, or two "
        "lesions in one mask. The patch is cut around all pieces of the slice together and shows the lesion too small.",
        "Remove the stray pixels, or give each lesion a row and a mask of its own.",
    ),
    "RL108": Kind(
        "unexpected values in a mask",
        "warning",
        "A mask should hold two values, one of them 0. Several values are several labels or a probability; everything "
        "that is not 0 is taken as lesion, so that a label for the gland or the background would become part of it.",
        "Save the lesion's label alone, as 0 and 1.",
    ),
    "RL109": Kind(
        "rows and columns of a box are exchanged",
        "error",
        "The box lies outside its image as it is written, and inside with rows and columns exchanged. Viewers give x "
        "(the column) before y (the row); here rows come first.",
        "Write row0 col0 row1 col1. Look at the boxes of the other cases too: some may be wrong and still fit.",
    ),
    "RL110": Kind(
        "the ROIs of two sequences disagree",
        "warning",
        "Both sequences are marked, and in the patient's coordinates the two places lie apart. Either one mask belongs "
        "to another lesion or patient, or the sequences are not in the same coordinates. The two colours of the patch "
        "then show different places.",
        "Look at both marks in a viewer that shows them on one image.",
    ),
    "RL111": Kind(
        "part of the lesion lies outside another sequence",
        "warning",
        "The lesion was marked on one sequence, and another shows only part of that place. What is missing is filled "
        "with black, which a network sees.",
        "Take a series that covers the whole lesion, or mark the lesion where it can be seen on both.",
    ),
    "RL112": Kind(
        "bright pixels are clipped",
        "warning",
        "Many pixels share the brightest value, as in a picture saved from a viewer with a narrow window.",
        "Export the image again from the original, in full range.",
    ),
    "RL113": Kind(
        "an 8-bit export among images of more",
        "warning",
        "This image has 256 greys or fewer, and most others of the sequence have more. It went through a viewer, "
        "which also chose a window; it looks different from the others for a reason that is not the lesion.",
        "Take the original. If all of a class, site or year are such exports, treat all images alike.",
    ),
    "RL114": Kind(
        "text burnt into the picture",
        "warning",
        "Letters or marks seem to be part of the pixels. They may name the patient; and calipers drawn where cancer "
        "was suspected are learnt sooner than a lesion.",
        "Blank the regions or take the image without overlay; look whether they occur in one class more often.",
    ),
    "RL115": Kind(
        "a colour picture among grey ones",
        "warning",
        "This picture is in colour and most others are grey: a screenshot, a Doppler image, or marks in colour.",
        "Take the grey image of the same view.",
    ),
    "RL116": Kind(
        "a picture with losses among others without",
        "warning",
        "This image was compressed with losses (JPEG), or shows its blocks of eight pixels; most others do not. "
        "The artefacts are the same over the whole picture, easily learnt, and say where it comes from.",
        "Take the original, or treat all images alike.",
    ),
    "RL117": Kind(
        "an image that is nearly empty",
        "warning",
        "Almost all pixels of the lesion's slice have one value: a failed export, or a mask in the place of the image.",
        "Open the file in a viewer and name the right one.",
    ),
    "RL301": Kind(
        "nearly the same picture in two patients",
        "warning",
        "Two cases of different patients show pictures that agree down to their fine detail, though they are not equal "
        "pixel by pixel: one was resized, compressed, cropped, mirrored or changed in brightness. Two patients never "
        "agree like this. One may be trained on and the other tested, and the result is too good.",
        "Look at both. If they are one patient, give both the same patient_id, or take one out.",
    ),
    "RL302": Kind(
        "two sequences of a case are the same picture",
        "warning",
        "The same file, or a copy of it, was given for two sequences. The second adds nothing, and the case differs "
        "from all others in a way that has nothing to do with the lesion.",
        "Name the right file for each sequence.",
    ),
    "RL303": Kind(
        "two sequences seem exchanged",
        "warning",
        "In nearly all cases the two sequences differ in the same way; in this one the other way round.",
        "Look at both images; if they are exchanged, exchange their cells.",
    ),
    "RL304": Kind(
        "an image seems mirrored",
        "warning",
        "In the patient's coordinates the sequences of a case lie on top of each other; here they do so only if one of "
        "them is mirrored from left to right, as after a conversion that lost a sign. The lesion is then cut out of "
        "the wrong side.",
        "Convert the series again and compare both in a viewer.",
    ),
    "RL305": Kind(
        "an image seems upside down",
        "warning",
        "The picture resembles the others of its sequence only if it is turned upside down.",
        "Convert or export it again; check that the ROI was drawn on this very file.",
    ),
    "RL306": Kind(
        "an image unlike all others of its sequence",
        "warning",
        "The picture is much farther from its nearest likes than any other: another body part, another sequence, a "
        "phantom, a localiser, or a very unusual patient.",
        "Look at it. Name the right file, or keep it and know that it is there.",
    ),
    "RL401": Kind(
        "the sequences share little of their field of view",
        "warning",
        "In the patient's coordinates the one image covers less than half of the other: the sequences come from "
        "different examinations, or one lost its place.",
        "Take both sequences from one examination.",
    ),
    "RL402": Kind(
        "very thick slices",
        "warning",
        "The slices lie so far apart that a small lesion is on one slice only, or between two.",
        "Check the spacing in the file; take thinner slices where there are some.",
    ),
    "RL403": Kind(
        "a size far from that of the others",
        "warning",
        "The field of view or the slice distance differs from that of the other cases by a factor. Either the spacing "
        "in the file is wrong (lost, in centimetres, of another image), or it is another kind of examination.",
        "Compare a known length, as the width of the head, with the spacing in the file.",
    ),
    "RL404": Kind(
        "the mask's coordinates do not match its image",
        "warning",
        "The mask has as many rows, columns and slices as its image but lies elsewhere in the patient's coordinates. "
        "Programs that keep the pixels and lose the header make such masks. The lesion is cut at the place the "
        "mask's coordinates say, which is probably wrong.",
        "Copy the image's geometry to the mask, or draw it again.",
    ),
    "RL405": Kind(
        "the geometry of an image is lost",
        "warning",
        "This image has no patient coordinates, or those a program writes when it has none (origin 0, spacing 1, no "
        "rotation), while most others have real ones.",
        "Convert the original again with a program that keeps the geometry.",
    ),
    "RL406": Kind(
        "the axes are mirrored, unlike the others",
        "warning",
        "The coordinates of this image turn the other way round than those of nearly all others of its sequence. Where "
        "pixels and coordinates were mirrored together nothing is wrong; where only one was, left and right are "
        "exchanged.",
        "Compare left and right with the original in a viewer.",
    ),
    "RL407": Kind(
        "acquired in another plane than the others",
        "warning",
        "Nearly all images of the sequence were acquired in one plane (axial, coronal, sagittal), this one in another.",
        "Take the series in the usual plane, where there is one.",
    ),
    "RL501": Kind(
        "the label can be told from how the image was made",
        "warning",
        "A classifier that sees only this (scanner, field strength, matrix, spacing, year, site, file size ...) and no "
        "lesion finds the class better than chance, in cross-validation by patient. A network reads the same from the "
        "pixels, looks good here, and fails where the classes come from the same machines. Reported where the "
        "interval, widened for the number of such questions asked, lies above .5, and the area above .6.",
        "Choose cases so that both classes come from the same machines, sites and years; report results by subgroup; "
        "set this column beside the networks with `--baselines`.",
    ),
    "RL502": Kind(
        "the label can be told from all circumstances together",
        "warning",
        "No single circumstance of the acquisition need tell the class, but all together do, in cross-validation by "
        "patient. What holds for one holds for all: see RL501.",
        "Compare every result with this area: a network that is not clearly better has shown nothing.",
    ),
    "RL503": Kind(
        "the label can be told from the background",
        "warning",
        "The pixels away from the lesion, with the lesion itself covered, tell the class. A classifier of lesions "
        "should not be able to do that. Usual reasons: another scanner or protocol, other settings where malignancy "
        "was suspected, marks beside the lesion, a crop that follows the lesion's size.",
        "Cut narrowly (`images.margin`), scale intensities by the patch (`images.scaling`), and compare every result "
        "with this area.",
    ),
    "RL504": Kind(
        "a clinical column tells the label",
        "note",
        "Age, sex or another column of the cohort predicts the class. That may be true of the disease, and then the "
        "question is what the image adds; or it may come from how the cases were collected.",
        "Set the column beside the networks with `--baselines`, or add it with the recipes `+clinical`.",
    ),
    "RL601": Kind(
        "a subgroup is in one class only",
        "warning",
        "All cases of a site, scanner or the like are of one class, and more of them than chance explains. Whatever is "
        "peculiar to the subgroup then tells the class.",
        "Add cases of the other class from the same place, or leave the subgroup out.",
    ),
    "RL602": Kind(
        "too few cases for a narrow interval",
        "warning",
        "With the planned folds the interval of a ROC-AUC of .8 will be wider than .30, end to end: nearly any result "
        "is then compatible with a useless and with a good classifier.",
        "See `rarelesion plan` for how many cases are enough.",
    ),
    "RL603": Kind(
        "how many cases of each kind",
        "note",
        "How the cases spread over subtypes, sites and scanners. Kinds with fewer than five cases can't be judged, "
        "and a detector has hardly seen them.",
        "Report the rare kinds as such.",
    ),
    "RL701": Kind(
        "a mistake in the table",
        "error",
        "A cell cannot be used: empty, a label that is none of the two classes, a file that is not there, a malformed "
        "box, an id used twice. A study stops at these. The check goes on without the row.",
        "Mend the cell the message names.",
    ),
    "RL702": Kind(
        "a patient in both classes",
        "error",
        "Several cases have one patient_id and different labels. Mostly a label or an id is wrong.",
        "Correct the label or the patient_id; if it is true, set [cohort] allow_mixed_patients = true.",
    ),
    "RL703": Kind(
        "patient ids that are probably one patient",
        "warning",
        "Ids that differ only in capital letters, spaces, punctuation or leading zeros are probably one patient. "
        "Written differently, the patient is trained on and tested.",
        "Write one patient's id in one way.",
    ),
    "RL704": Kind(
        "a class written in several ways",
        "note",
        "Capital letters in a label do not matter here. They do in other programs.",
        "Write each class in one way.",
    ),
    "RL705": Kind(
        "one word of a column written in several ways",
        "warning",
        "Entries that differ only in capital letters, spaces or punctuation count as different kinds: in subgroups, in "
        "the stratified split and for the recipes that read columns.",
        "Write each word in one way.",
    ),
    "RL706": Kind(
        "ids that may identify a patient",
        "warning",
        "Case ids are shown in every table, figure and report. These look like names, dates or hospital numbers. The "
        "message doesn't repeat them.",
        "Replace them by numbers of your own, and keep the list that leads back where patients' data belong.",
    ),
    "RL707": Kind(
        "a column that may identify patients",
        "warning",
        "The column seems to hold names, dates of birth, addresses or numbers of patients. A run keeps no such column, "
        "but the table itself gets copied. The message doesn't repeat the cells.",
        "Delete the column; give the age in years.",
    ),
    "RL708": Kind(
        "missing values",
        "note",
        "Some cells are empty. They count as the middle of the others, and that they are empty may tell the class.",
        "Fill them in where the value is known.",
    ),
    "RL709": Kind(
        "a column that is the same for all",
        "note",
        "All cases have the same entry: the column says nothing.",
        "Nothing, or delete the column.",
    ),
    "RL710": Kind(
        "a column that gives the label away",
        "warning",
        "The entry decides the class in every case. It is the diagnosis in other words, or was filled in after it. A "
        "recipe that reads this column would be perfect and worthless.",
        "Never name it under `features.clinical`; keep the diagnosis in the column `subtype`.",
    ),
    "RL711": Kind(
        "which number means malignant",
        "note",
        "The classes are written as numbers. Data sets differ in which is which: in BreastMNIST 0 is malignant.",
        "Compare a case you know; change [cohort] positive and negative if it is the wrong way round.",
    ),
    "RL712": Kind(
        "a subtype in both classes",
        "warning",
        "Cases with the same entry under `subtype` have different labels. One of the two is probably a mistake.",
        "Correct the label or the subtype.",
    ),
}
CODES = {code: kind.title for code, kind in KINDS.items()}


def found(
    code: str,
    where: str,
    message: str,
    cases: Iterable[str] = (),
    remedy: str | None = None,
    severity: Severity | None = None,
) -> Finding:
    """A finding of one of the `KINDS`, with its kind's remedy and severity unless others are given.

    `message` has no full stop at its end; `cases` are the ids of the cases to be looked at.
    """
    kind = KINDS[code]
    return Finding(code, severity or kind.severity, where, message, remedy or kind.remedy, tuple(cases))


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, warnings, notes; within each by code, and within a code as they came."""
    return tuple(sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.code)))
