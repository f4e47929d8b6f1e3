"""The findings of a check as one self-contained HTML page with pictures of the cases concerned."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from rarelesion import __version__, store
from rarelesion.case_pictures import case_pictures
from rarelesion.check_text import PLURAL, counted
from rarelesion.cohort import read_leniently
from rarelesion.findings import KINDS, SEVERITIES, worst_first
from rarelesion.settings import CohortSettings
from rarelesion.types import Cohort, Finding

SHOWN_CASES = 10
"""Of each code; in all no more than MOST_CASES."""
MOST_CASES = 80
FREE_TEXT = ("RL101", "RL701")
"""Their messages may name files and cells: on the page only what is wrong is said, not what was found."""

Pictures = Sequence[tuple[str, str, str]]
"""Sequence, its whole slice and its lesion, as data addresses."""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A line of the page."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case with its pictures."""

    case_id: str
    label: str
    pictures: Pictures


@dataclass(frozen=True, slots=True)
class Group:
    """All findings of one code."""

    code: str
    severity: str
    title: str
    meaning: str
    remedy: str
    findings: tuple[ShownFinding, ...]
    cases: tuple[ShownCase, ...]
    further: int
    """How many more cases are concerned than are shown."""


def write_page(
    path: Path,
    table: Path,
    settings: CohortSettings,
    findings: Sequence[Finding],
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Write the page. Of patients it holds case ids and pictures, nothing else; it loads nothing from elsewhere."""
    cohort = read_leniently(table, settings)[0]
    wanted = _wanted(findings)
    pictures: dict[str, ShownCase] = {}
    known = {case.case_id: case for case in cohort.cases}
    for done, case_id in enumerate(wanted, start=1):
        if case_id in known:
            pictures[case_id] = _shown(case_id, cohort)
        if progress is not None:
            progress("Drawing cases", done, len(wanted))
    store.write_text(path, render_page(cohort, findings, pictures))


def render_page(cohort: Cohort, findings: Sequence[Finding], pictures: dict[str, ShownCase]) -> str:
    """The page as HTML; `pictures` is case id -> what is shown of it."""
    environment = Environment(
        loader=PackageLoader("rarelesion", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups = list(_groups(findings, pictures))
    labels = [case.label for case in cohort.cases]
    return environment.get_template("check.html.jinja").render(
        cases=len(labels),
        malignant=labels.count(1),
        benign=labels.count(0),
        sequences=", ".join(cohort.sequences),
        summary=counted(findings) if findings else "Nothing found.",
        sections=[
            (severity, PLURAL[severity].capitalize(), [group for group in groups if group.severity == severity])
            for severity in SEVERITIES
        ],
        version=__version__,
    )


def _by_code(findings: Sequence[Finding]) -> Iterator[tuple[str, str, list[Finding]]]:
    for (severity, code), group in groupby(worst_first(findings), key=lambda one: (one.severity, one.code)):
        yield severity, code, list(group)


def _concerned(group: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(case_id for finding in group for case_id in finding.cases))


def _wanted(findings: Sequence[Finding]) -> list[str]:
    """The cases to be drawn: some of every code, before more of any."""
    wanted = (case_id for *_, group in _by_code(findings) for case_id in _concerned(group)[:SHOWN_CASES])
    return list(dict.fromkeys(wanted))[:MOST_CASES]


def _groups(findings: Sequence[Finding], pictures: dict[str, ShownCase]) -> Iterator[Group]:
    for severity, code, group in _by_code(findings):
        concerned = _concerned(group)
        shown = [pictures[case_id] for case_id in concerned[:SHOWN_CASES] if case_id in pictures]
        yield Group(
            code=code,
            severity=severity,
            title=KINDS[code].title,
            meaning=KINDS[code].meaning,
            remedy=KINDS[code].remedy,
            findings=tuple(_line(finding) for finding in group),
            cases=tuple(shown),
            further=len(concerned) - len(shown) if shown else 0,
        )


def _line(finding: Finding) -> ShownFinding:
    if finding.code not in FREE_TEXT:
        return ShownFinding(finding.where, finding.message)
    place = finding.where if finding.code == "RL701" else finding.where.partition(": ")[0]
    return ShownFinding(place, finding.message.partition("; found ")[0])


def _shown(case_id: str, cohort: Cohort) -> ShownCase:
    case = next(one for one in cohort.cases if one.case_id == case_id)
    label = {0: "benign", 1: "malignant"}.get(case.label, "")
    pictures = [(one.sequence, _address(one.whole), _address(one.near)) for one in case_pictures(case)]
    return ShownCase(case_id, label, pictures)


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
