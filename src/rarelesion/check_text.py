"""Findings as text: by severity, worst first, a few lines a code."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rarelesion.findings import SEVERITIES, worst_first
from rarelesion.types import Finding

A_CODE, ERRORS_A_CODE = 3, 10
"""So many findings of a code are shown where there are more; of errors, which have to be mended, more of them."""
PLURAL = {"error": "errors", "warning": "warnings", "note": "notes"}


def findings_text(findings: Sequence[Finding], everything: bool = False) -> str:
    """All findings, or the first of each code with how many more there are, and a last line that counts them."""
    if not findings:
        return "Nothing found."
    lines = [line for group in _by_code(findings) for line in _of_code(group, everything)]
    return "\n".join([*lines, counted(findings)])


def counted(findings: Sequence[Finding]) -> str:
    """How many findings of each severity there are, in a sentence."""
    counts = {severity: sum(one.severity == severity for one in findings) for severity in SEVERITIES}
    parts = [f"{n} {PLURAL[name] if n > 1 else name}" for name, n in counts.items() if n]
    total = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
    return f"{total}: {', '.join(parts)}."


def _by_code(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    for _, group in groupby(worst_first(findings), key=lambda one: (one.severity, one.code)):
        yield list(group)


def _of_code(group: Sequence[Finding], everything: bool) -> Iterator[str]:
    most = ERRORS_A_CODE if group[0].severity == "error" else A_CODE
    shown = group if everything or len(group) <= most + 1 else group[:most]
    remedies = {one.remedy for one in group}
    for one in shown:
        remedy = one.remedy if len(shown) == 1 or len(remedies) > 1 else ""
        yield f"{one.code} {one.severity}: {one.where}: {one.message}. {remedy}".rstrip()
    if len(group) > len(shown):
        yield f"{group[0].code} {group[0].severity}: and {len(group) - len(shown)} more; see --all, --json or --page."
    if len(shown) > 1 and len(remedies) == 1:
        yield f"      {group[0].remedy}"
