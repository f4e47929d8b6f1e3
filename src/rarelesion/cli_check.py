"""The command `rarelesion check`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rarelesion.console import ConsoleProgress, guarded


def check(
    cohort: Annotated[Path, typer.Argument(metavar="COHORT", help="cohort.csv or .xlsx, one row a lesion.")],
    config: Annotated[Path | None, typer.Option("--config", help="study.toml, as for the study.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every finding, not only the first of each kind.")] = False,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="OUT.html", help="Write a page with pictures of the cases too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """List everything wrong or suspicious with the data, before a second is spent on training.

    The table, every image and lesion, copies, oddities, geometry, and whether the class can be told without looking at
    a lesion. Exit code 1 where there is an error or a warning; notes alone are 0.

    Examples: `rarelesion check cohort.csv`, `rarelesion check cohort.csv --page findings.html`
    """
    from dataclasses import asdict

    from rarelesion.check_text import findings_text
    from rarelesion.checks import check_file
    from rarelesion.config import read_settings

    with guarded(), ConsoleProgress() as progress:
        settings = read_settings(config)
        findings = check_file(cohort, settings, lambda stage, done, total: progress(stage, "", done, total))
        if page is not None:
            from rarelesion.check_page import write_page

            write_page(
                page, cohort, settings.cohort, findings, lambda stage, done, total: progress(stage, "", done, total)
            )
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        print(findings_text(findings, everything))
        if page is not None:
            print(f"Page: {page}")
    if any(finding.severity != "note" for finding in findings):
        raise typer.Exit(1)
