"""The report of a run: results made anew from its scores, and the page about them put together from the run's files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rarelesion import store
from rarelesion.config import flat_settings, read_settings
from rarelesion.evaluation import Evaluation
from rarelesion.paper import DECISIONS, SILENT_SETTINGS
from rarelesion.report import FIGURES, ReportContent, ReportFigure, SettingLine, SmallTable, render_report
from rarelesion.results import write_results
from rarelesion.settings import Settings
from rarelesion.types import CLASSES, Epoch, Split

COUNTED_COLUMNS = 6
"""A column with more different entries than these (an age, say) is not counted in the report."""
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
    )


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
