import html
import re
import shutil
from dataclasses import replace

import pytest

from rarelesion import publish, store
from rarelesion.config import flat_settings, read_settings
from rarelesion.errors import InputError
from rarelesion.evaluation import evaluate
from rarelesion.publish import write_report


@pytest.fixture
def run(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def no_results(finished_run, quick_settings, monkeypatch):
    """Leave a run's tables and figures as they are: only the page is made anew."""
    scores = store.read_scores(finished_run / "scores.csv")
    evaluation = evaluate(scores, replace(quick_settings.statistics, bootstrap=100), 0)
    monkeypatch.setattr(publish, "write_results", lambda folder: evaluation)


@pytest.fixture(scope="module")
def page(finished_run) -> str:
    return html.unescape((finished_run / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_made_again_the_same(run, finished_run):
    assert write_report(run) == run / "report.html"
    assert (run / "report.html").read_bytes() == (finished_run / "report.html").read_bytes()


def test_the_page_loads_nothing_from_elsewhere(page):
    loads = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert loads
    assert all("".join(pair).startswith(("data:", "#")) for pair in loads)
    assert "<script" not in page
    assert "@import" not in page


def cells(row: str) -> list[str]:
    """The cells of a table's row, without their intervals."""
    plain = re.sub(r"<small>.*?</small>", "", row)
    return [cell.strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", plain, re.DOTALL)]


def test_the_page_holds_both_operating_points_of_every_row(page, finished_run):
    table = re.search(r'<table class="table3">.*?</table>', page, re.DOTALL)
    assert table
    head, *rows = re.findall(r"<tr.*?</tr>", table[0], re.DOTALL)
    assert re.findall(r'class="tag">(\w+)<', head) == ["honest", "optimistic"]
    with (finished_run / "table3.md").open(encoding="utf-8") as file:
        expected = [
            [cell.split(" (")[0] for cell in line.strip("| \n").split(" | ")] for line in file if line[0] == "|"
        ]
    found = [[row[0], *row[5:7], *row[1:5]] for row in map(cells, rows[1:])]
    assert found == expected[2:]


def test_the_page_holds_every_setting_and_the_provenance(page, finished_run):
    for name in flat_settings(read_settings(finished_run / "study.toml")):
        assert name in page
    provenance = store.read_provenance(finished_run / "provenance.json")
    assert provenance["patches_sha256"] in page
    assert provenance["versions"]["torch"] in page
    assert "trained on procedural textures" in page


def test_the_page_describes_cohort_split_and_course_of_training(page, finished_run):
    text = re.sub(r"<[^>]+>|\s+", " ", page)
    assert re.search(r"benign\s+24\s+malignant\s+12\s+all cases\s+36\s+patients\s+36", text)
    assert re.search(r"plain\s+24\s+0\s+spotted\s+0\s+12", text)
    first = store.read_splits(finished_run / "splits.json")[0]
    parts = f"{len(first.train)} to train, {len(first.tune)} to tune and {len(first.test)} to test"
    assert f"2 folds; in the first, {parts}." in text
    assert "tiny+texture+l2-r0f1" in text


def test_only_a_synthetic_cohort_bears_the_banner(page, run, no_results):
    assert "Synthetic demonstration" not in page
    rows = store.read_case_table(run / "cohort.csv")
    header = [*rows[0], "synthetic"]
    store.write_text(run / "cohort.csv", store.csv_text(header, ([*row.values(), "yes"] for row in rows)))
    write_report(run)
    marked = (run / "report.html").read_text(encoding="utf-8")
    assert "<title>Synthetic demonstration" in marked
    assert "no patient was examined" in marked


def test_paths_of_weight_files_are_cut_to_their_names(run, no_results):
    path = run / "study.toml"
    text = path.read_text(encoding="utf-8").replace("[weights.files]\n", "")
    path.write_text(text + '\n[weights.files]\ntiny = "/home/someone/secret/tiny.h5"\n', encoding="utf-8")
    write_report(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "tiny = tiny.h5" in page
    assert "someone" not in page


def test_columns_of_many_entries_are_not_counted(run, no_results):
    rows = store.read_case_table(run / "cohort.csv")
    lines = ([*row.values(), str(20 + number), "3 T"] for number, row in enumerate(rows))
    store.write_text(run / "cohort.csv", store.csv_text([*rows[0], "age", "field_strength_t"], lines))
    write_report(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Field strength t" in page
    assert "<caption>Age" not in page
    assert ">55<" not in page


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("findings.json", '[{"a": 1}]', "is not a list of findings"),
        ("provenance.json", "[]", "is not the record of a run"),
        ("splits.json", "[]", "is not a list of splits"),
    ],
)
def test_a_damaged_file_is_named_and_the_old_page_stays(name, content, sentence, run, no_results):
    before = (run / "report.html").read_bytes()
    (run / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=sentence) as error:
        write_report(run)
    assert name in error.value.problems[0].where
    assert "remove it and give the study's command again" in error.value.problems[0].remedy
    assert (run / "report.html").read_bytes() == before
