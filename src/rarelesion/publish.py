"""The report of a run: results made anew from its scores, and the page about them put together from the run's files."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rarelesion import store
from rarelesion.config import flat_settings, read_settings
from rarelesion.evaluation import Evaluation
from rarelesion.learning_curve import SUBSET
from rarelesion.paper import DECISIONS, SILENT_SETTINGS
from rarelesion.report import FIGURES, ReportContent, ReportFigure, Section, SettingLine, SmallTable, render_report
from rarelesion.results import write_results
from rarelesion.settings import Settings
from rarelesion.tables import format_estimate, format_share, row_label
from rarelesion.types import CLASSES, Epoch, Estimate, Split

COUNTED_COLUMNS = 6
"""A column with more different entries than these (an age, say) is not counted in the report."""
CURVE_NOTE = (
    "The same test cases are read by networks that learnt from ever fewer training cases, some of them from several "
    "draws; tuning and test cases stay. Beyond the last point nothing was measured: it holds for cases like these, in "
    "the same proportion, and for this recipe with its settings."
)
SYNTHETIC_NOTE = "The cohort was drawn by rarelesion; no patient was examined. It shows how the program works."


def write_report(folder: Path) -> Path:
    """Make a run's tables, figures and report.html anew from its scores and embeddings; gives the page's path.

    Raises InputError where the folder holds no finished run.
    """
    evaluation = write_results(folder)
    path = folder / "report.html"
    store.write_text(path, render_report(_content(folder, evaluation)))
    return path


def _content(folder: Path, evaluation: Evaluation) -> ReportContent:
    settings = read_settings(folder / "study.toml")
    cases = store.read_case_table(folder / "cohort.csv")
    splits = store.read_splits(folder / "splits.json")
    synthetic = any(case.get("synthetic") == "yes" for case in cases)
    return ReportContent(
        title="Synthetic demonstration" if synthetic else "Study of rare lesions",
        synthetic=synthetic,
        evaluation=evaluation,
        split=_split_sentence(splits),
        cohort=tuple(_cohort_tables(cases)),
        figures=tuple(_figures(folder)),
        training=tuple(_training_tables(folder)),
        settings=tuple(_setting_lines(settings)),
        provenance=tuple(_flat(store.read_provenance(folder / "provenance.json"))),
        findings=store.read_findings(folder / "findings.json"),
        notes=(SYNTHETIC_NOTE,) if synthetic else (),
        confidence=settings.statistics.confidence,
        reference=settings.statistics.reference,
        told=tuple(_told(store.read_json(folder / "evaluation.json"))),
    )


def closing_words(folder: Path) -> list[str]:
    """What a finished run has to say beside its table, a sentence each."""
    found = store.read_json(folder / "evaluation.json")
    return [sentence for part in ("choices", "learning_curve") for sentence in found.get(part, {}).get("sentences", ())]


def _told(found: Mapping[str, Any]) -> Iterator[Section]:
    """What stands in evaluation.json beside the evaluation, as sections of the report."""
    if "choices" in found:
        choices = found["choices"]
        rule = f"The rule: {choices['rule']}. Splits that chose differently share the scale of the log-odds that each "
        note = f"{rule}split's tuning cases make of its scores."
        yield Section("choices", "What auto chose", (*choices["sentences"], note), (_choice_table(choices),))
    if "learning_curve" in found:
        tables = (_curve_table(recipe, one["points"]) for recipe, one in found["learning_curve"]["recipes"].items())
        sentences = (*found["learning_curve"]["sentences"], CURVE_NOTE)
        yield Section("growth", "Would more cases help?", sentences, tuple(tables))


def _choice_table(found: Mapping[str, Any]) -> SmallTable:
    rows = [
        (row_label(name), str(count), f"{100 * found['chosen_in_resamples'][name]:.0f} %", format_share(area))
        for (name, count), area in zip(found["chosen"].items(), found["tuning_roc_auc"].values(), strict=True)
    ]
    head = ("Candidate", "Chosen in splits", "In resamples", "ROC-AUC, tuning cases")
    return SmallTable("Candidates, the preferred first", head, tuple(rows))


def _curve_table(recipe: str, points: Sequence[Mapping[str, Any]]) -> SmallTable:
    rows = [
        (f"{point['cases']:.0f}", f"{100 * point['share']:.0f} %", str(point["draws"]), _area(point["roc_auc"]))
        for point in points
    ]
    return SmallTable(row_label(recipe), ("Training cases", "Of all", "Draws", "ROC-AUC"), tuple(rows))


def _area(found: Mapping[str, Any]) -> str:
    return format_estimate(Estimate(found["value"], found["low"], found["high"], found["method"]))


def _split_sentence(splits: Sequence[Split]) -> str:
    first = splits[0]
    sizes = f"{len(first.train)} to train, {len(first.tune)} to tune and {len(first.test)} to test"
    repeats = len({split.repeat for split in splits})
    folds = len(splits) // repeats
    if len(splits) == 1:
        return f"One split of the cases: {sizes}."
    again = f", repeated {repeats} times with new folds" if repeats > 1 else ""
    return f"{folds} folds{again}; in the first, {sizes}. No patient is in two parts of a fold."


def _cohort_tables(cases: Sequence[dict[str, str]]) -> Iterator[SmallTable]:
    labels = Counter(case["label"] for case in cases)
    patients = {case["patient_id"] for case in cases}
    rows = [*((label, str(labels[label])) for label in CLASSES[:2]), ("all cases", str(len(cases)))]
    yield SmallTable("Class", ("Class", "Cases"), (*rows, ("patients", str(len(patients)))))
    for column in [name for name in cases[0] if name not in ("case_id", "patient_id", "label", "synthetic")]:
        counts = Counter((case[column] or "not given", case["label"]) for case in cases)
        entries = sorted({entry for entry, _ in counts}, key=lambda entry: -sum(counts[entry, c] for c in CLASSES))
        if column == "subtype" or len(entries) <= COUNTED_COLUMNS:
            head = (column.replace("_", " "), *CLASSES[:2])
            yield SmallTable(
                head[0].capitalize(), head, tuple((e, *(str(counts[e, c]) for c in CLASSES[:2])) for e in entries)
            )


def _figures(folder: Path) -> Iterator[ReportFigure]:
    for kind in FIGURES:
        path = folder / "figures" / f"{kind}.png"
        if path.exists():
            yield ReportFigure(kind, store.read_bytes(path))


def _training_tables(folder: Path) -> Iterator[SmallTable]:
    rows = [
        (path.parent.name, *_course(store.read_history(path)))
        for path in sorted((folder / "networks").glob("*/history.csv"))
        if SUBSET not in path.parent.name
    ]
    if rows:
        head = ("Network, repeat and fold", "Epochs", "Kept epoch", "Tuning loss", "Minutes")
        yield SmallTable("Networks", head, tuple(rows))


def _course(history: Sequence[Epoch]) -> tuple[str, str, str, str]:
    kept = min(history, key=lambda epoch: epoch.tune_loss)
    minutes = sum(epoch.seconds for epoch in history) / 60
    return str(len(history)), str(kept.epoch), f"{kept.tune_loss:.3f}", f"{minutes:.1f}"


def _setting_lines(settings: Settings) -> Iterator[SettingLine]:
    for key, value in flat_settings(settings).items():
        yield SettingLine(key, _shown(value), SILENT_SETTINGS.get(key, ""))
    for point, decision in DECISIONS:
        yield SettingLine(point, "", decision)


def _shown(value: Any) -> str:
    if value is None:
        return "as the machine allows"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {Path(str(item)).name}" for key, item in value.items()) or "none"
    return str(value)


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}, ")
        elif value is not None:
            yield f"{prefix}{key}".replace("_", " "), str(value)
