"""The check as a user meets it: text, JSON, exit codes and the page."""

import json
import re

from typer.testing import CliRunner

from rarelesion.check_text import A_CODE, counted, findings_text
from rarelesion.cli import app
from rarelesion.findings import found

SECRET = "PLANTED"


def run(*words):
    return CliRunner().invoke(app, ["check", *map(str, words)])


def test_text_is_short_and_says_how_many_more():
    many = [found("RL104", f"case c{number}, T1", "the lesion is 3 pixels long") for number in range(9)]
    note = found("RL709", "cohort.csv:1:site", "the same in every row")
    lines = findings_text([note, *many]).splitlines()
    assert lines[0].startswith("RL104 warning: case c0, T1: the lesion is 3 pixels long.")
    assert lines[A_CODE] == "RL104 warning: and 6 more; see --all, --json or --page."
    assert lines[-2] == "RL709 note: cohort.csv:1:site: the same in every row. Nothing, or delete the column."
    assert lines[-1] == counted([note, *many]) == "10 findings: 9 warnings, 1 note."
    assert len(findings_text([note, *many], everything=True).splitlines()) == 9 + 1 + 1 + 1
    assert findings_text([]) == "Nothing found."


def test_json_has_every_finding_with_stable_keys(picture_cohort):
    result = run(picture_cohort, "--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert all(set(one) == {"code", "severity", "where", "message", "remedy", "cases"} for one in findings)
    assert "RL707" in {one["code"] for one in findings}


def test_the_page_is_one_file_with_pictures_and_no_names(picture_cohort, tmp_path):
    page = tmp_path / "findings.html"
    assert run(picture_cohort, "--page", page).exit_code == 1
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") > 8
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert SECRET not in html
    assert not re.search(r"\bp\d\d\b", html)
    assert "<script" not in html


def test_notes_alone_are_success_and_a_missing_table_is_bad_input(picture_cohort, tmp_path):
    assert run(tmp_path / "none.csv").exit_code == 2
    table = tmp_path / "cohort.csv"
    table.write_text("case_id,patient_id\nc1,p1\n", encoding="utf-8")
    assert run(table).exit_code == 2
