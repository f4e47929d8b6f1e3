"""Whether the class can be told without looking at a lesion, and how the cases spread over subgroups."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from rarelesion.case_facts import CaseFacts, ImageFacts
from rarelesion.clinical import CLINICAL, DIAGNOSIS
from rarelesion.confounds import Told, numbers_of, what_is_told, worth_asking
from rarelesion.findings import found
from rarelesion.sizing import auc_width
from rarelesion.splits import SHARE_PARTS
from rarelesion.types import CLASSES, Cohort, Finding

Array = NDArray[np.float64]
Question = Array | Sequence[str]
CIRCUMSTANCE = re.compile(
    r"(^|[_\W\d])(scanner|vendor|manufacturer|model|machine|device|station|software|site|cent(er|re)|hospital|clinic|"
    r"institut\w*|department|ward|room|country|city|field|tesla|t|b0|matrix|rows?|columns?|cols|spacing|pixel|voxel|"
    r"resolution|thickness|slices?|fov|year|month|day|date|time|era|period|protocol|sequence|coil|tr|te|ti|flip|angle|"
    r"bandwidth|averages|bits?|depth|files?|bytes|size|format|operator|technician|reader|contrast|agent|batch|source|"
    r"cohort|split|set|orientation|plane)($|[_\W\d])",
    re.IGNORECASE,
)
EXPECTED_AUC, WIDEST = 0.8, 0.3
FEWEST_OF_KIND, RARE = 5, 5
CHANCE = 0.05
Ask = Callable[[ImageFacts], list[float]]
IMAGE_QUESTIONS: dict[str, Ask] = {
    "matrix": lambda image: [image.size[1], image.size[2]],
    "slices": lambda image: [image.size[0]],
    "spacing": lambda image: _spacing(image),
    "field strength": lambda image: [image.file.field_strength_t] if image.file else [np.nan],
    "repetition and echo time": lambda image: (
        [image.file.repetition_ms, image.file.echo_ms] if image.file else [np.nan, np.nan]
    ),
    "acquisition year": lambda image: [image.file.year] if image.file else [np.nan],
    "file size": lambda image: [np.log(image.file.size_bytes + 1)] if image.file else [np.nan],
    "bit depth": lambda image: [image.file.bits] if image.file else [np.nan],
    "lossy compression": lambda image: [image.file.lossy] if image.file else [np.nan],
}


def check_confounds(
    cohort: Cohort, cases: Sequence[CaseFacts], seed: int, private: Sequence[str] = ()
) -> Iterator[Finding]:
    """Findings about what tells the label, of the cases whose label is known; columns in `private` are not asked."""
    facts = [case for case in cases if case.case.label in (0, 1)]
    where = cohort.source.name
    circumstances, clinical = _column_questions(facts, private)
    circumstances |= {f"{name} (of the files)": values for name, values in _file_questions(facts, cohort).items()}
    surroundings = _background(facts, cohort)
    labels = np.array([case.case.label for case in facts], dtype=np.int64)
    patients = [case.case.patient_id for case in facts]
    asked = len(circumstances) + len(clinical) + (len(circumstances) > 1) + (surroundings is not None)

    def told(questions: Mapping[str, Question]) -> tuple[Told, ...]:
        return what_is_told(questions, labels, patients, seed, asked)

    alone = [one for one in told(circumstances) if one.is_finding]
    for one in alone:
        yield found("RL501", _place(where, one.name), f"{one.name} alone tells the class: {_area(one)}")
    together = told({"all": _all_numbers(circumstances)}) if len(circumstances) > 1 else ()
    for one in together:
        if one.is_finding and len(alone) != 1:
            message = f"{len(circumstances)} circumstances of the acquisition together tell the class: {_area(one)}"
            yield found("RL502", where, message)
    for one in told({"background": surroundings}) if surroundings is not None else ():
        if one.is_finding:
            yield found("RL503", where, f"the pixels around the lesions tell the class: {_area(one)}")
    for one in told(clinical):
        if one.is_finding:
            yield found("RL504", _place(where, one.name), f"{one.name} alone tells the class: {_area(one)}")


def _area(one: Told) -> str:
    return f"cross-validated ROC-AUC {one.auc.value:.2f} ({one.auc.low:.2f} to {one.auc.high:.2f})"


def _place(where: str, name: str) -> str:
    return where if "(of the files)" in name else f"{where}:1:{name}"


def _column_questions(
    facts: Sequence[CaseFacts], private: Sequence[str]
) -> tuple[dict[str, Question], dict[str, Question]]:
    """The columns that say how an image came to be, and the other ones."""
    circumstances: dict[str, Question] = {}
    clinical: dict[str, Question] = {}
    for column in facts[0].case.columns if facts else ():
        if column in (*DIAGNOSIS, *private, "synthetic"):
            continue
        cells = [case.case.columns.get(column, "") for case in facts]
        numbers = numbers_of(cells)
        values: Question = cells if numbers is None else numbers
        if worth_asking(values):
            of_image = column not in CLINICAL and CIRCUMSTANCE.search(column)
            (circumstances if of_image else clinical)[column] = values
    return circumstances, clinical


def _file_questions(facts: Sequence[CaseFacts], cohort: Cohort) -> dict[str, Question]:
    questions: dict[str, Question] = {}
    for name, ask in IMAGE_QUESTIONS.items():
        values = _asked(facts, cohort, ask)
        if values.size and worth_asking(values):
            questions[name] = values
    first = cohort.sequences[0]
    scanners = [_scanner(case, first) for case in facts]
    if facts and worth_asking(scanners):
        questions["scanner"] = scanners
    return questions


def _asked(facts: Sequence[CaseFacts], cohort: Cohort, ask: Ask) -> Array:
    """(n, p) the answers of all sequences side by side; NaN where a case lacks a sequence."""
    rows = []
    for case in facts:
        row: list[float] = []
        for sequence in cohort.sequences:
            image = case.images.get(sequence)
            row += ask(image) if image is not None else []
        rows.append(row)
    width = max((len(row) for row in rows), default=0)
    return np.array([row if len(row) == width else [np.nan] * width for row in rows], dtype=np.float64)


def _scanner(case: CaseFacts, sequence: str) -> str:
    image = case.images.get(sequence)
    return image.file.scanner if image is not None and image.file is not None else ""


def _spacing(image: ImageFacts) -> list[float]:
    if image.affine is None:
        return [np.nan] * 3
    return np.linalg.norm(image.affine[:3, :3], axis=0).tolist()


def _background(facts: Sequence[CaseFacts], cohort: Cohort) -> Array | None:
    values = _asked(facts, cohort, lambda image: image.background.tolist())
    return values if values.size and worth_asking(values) else None


def _all_numbers(questions: Mapping[str, Question]) -> Array:
    """Everything side by side; a word becomes how it ranks by how often it occurs, and its own place if it recurs."""
    parts: list[Array] = []
    for values in questions.values():
        if isinstance(values, np.ndarray):
            parts.append(values)
            continue
        counts = Counter(values)
        common = [word for word, times in counts.most_common(10) if times >= RARE]
        parts.append(np.array([[float(value == word) for word in common] for value in values]).reshape(len(values), -1))
    return np.concatenate(parts, axis=1)


# --- counts ----------------------------------------------------------------------------------------------------------


def check_counts(cohort: Cohort, folds: int, private: Sequence[str] = ()) -> Iterator[Finding]:
    """Findings about how many cases there are of each class and kind."""
    cases = [case for case in cohort.cases if case.label in (0, 1)]
    counts = [sum(case.label == label for case in cases) for label in (0, 1)]
    if min(counts) == 0:
        return
    share = min(1.0, folds / SHARE_PARTS)
    tested = [max(1, round(count * share)) for count in counts]
    width = auc_width(EXPECTED_AUC, tested[1], tested[0])
    if width > WIDEST:
        message = f"{counts[1]} malignant and {counts[0]} benign cases, {tested[1]} and {tested[0]} of them tested; "
        message += f"the interval of a ROC-AUC of {EXPECTED_AUC} will be {width:.2f} wide"
        yield found("RL602", f"{cohort.source.name}:1:label", message)
    kinds: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for case in cases:
        for column, cell in case.columns.items():
            if cell and column not in private:
                kinds[column][cell].append(case.label)
    for column, groups in kinds.items():
        yield from _kinds(cohort.source.name, column, groups, counts)


def _kinds(where: str, column: str, groups: Mapping[str, list[int]], counts: Sequence[int]) -> Iterator[Finding]:
    named = column in DIAGNOSIS or CIRCUMSTANCE.search(column)
    if not named or not 1 < len(groups) <= max(20, sum(counts) / 10):
        return
    if column not in DIAGNOSIS:
        for entry, labels in groups.items():
            chance = _chance_of_one_class(len(labels), counts[labels[0]], sum(counts))
            if len(labels) >= FEWEST_OF_KIND and len(set(labels)) == 1 and chance < CHANCE / len(groups):
                message = f"all {len(labels)} cases of {entry} are {CLASSES[labels[0]]}; "
                message += f"{counts[labels[0]] / sum(counts):.0%} of all cases are"
                yield found("RL601", f"{where}:1:{column}", message)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    said = [f"{entry} {len(labels)} ({sum(labels)} malignant)" for entry, labels in ordered]
    rare = sum(len(labels) < RARE for labels in groups.values())
    message = ", ".join(said[:8]) + (f" and {len(said) - 8} more" if len(said) > 8 else "")
    message += f"; {rare} of {len(groups)} kinds have fewer than {RARE} cases" if rare else ""
    yield found("RL603", f"{where}:1:{column}", message)


def _chance_of_one_class(drawn: int, of_class: int, total: int) -> float:
    """The chance that so many cases, drawn from all, are all of a class that has so many."""
    if drawn > of_class:
        return 0.0
    logs = gammaln([of_class + 1, total - drawn + 1, of_class - drawn + 1, total + 1])
    return float(np.exp(logs[0] + logs[1] - logs[2] - logs[3]))
