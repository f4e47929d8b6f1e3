import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rarelesion import results, store
from rarelesion.errors import InputError
from rarelesion.evaluation import evaluate, evaluation_json
from rarelesion.results import write_results

MADE = ("table3.csv", "table3.md", "table3.tex", "comparisons.csv", "evaluation.json")


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of a finished run with nothing right of the second waist."""
    shutil.copytree(finished_run, tmp_path / "run")
    for name in (*MADE, "report.html"):
        (tmp_path / "run" / name).unlink()
    shutil.rmtree(tmp_path / "run" / "figures")
    return tmp_path / "run"


def test_tables_and_figures_come_from_scores_and_embeddings_alone_and_are_the_same_again(run, finished_run):
    write_results(run)
    for name in MADE:
        assert (run / name).read_bytes() == (finished_run / name).read_bytes()
    for path in (finished_run / "figures").iterdir():
        if path.stem != "patches":  # drawn from pixels, which a run does not hold
            assert (run / "figures" / path.name).read_bytes() == path.read_bytes(), path.name


def test_what_is_returned_is_what_is_written(run, quick_settings):
    evaluation = write_results(run)
    expected = evaluate(store.read_scores(run / "scores.csv"), quick_settings.statistics, quick_settings.seed)
    assert evaluation_json(evaluation) == evaluation_json(expected)
    assert evaluation.results == expected.results
    assert json.loads((run / "evaluation.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(evaluation_json(evaluation))
    )
    with (run / "table3.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(evaluation.results)


def test_scores_alone_are_enough_for_tables(finished_run, tmp_path):
    shutil.copy(finished_run / "scores.csv", tmp_path)
    write_results(tmp_path)
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {
        "forest", "figure6", "pr_curves", "reliability", "decision_curve",
    }  # fmt: skip


def test_the_second_waist_needs_no_torch(run):
    code = (
        "import sys; from pathlib import Path; from rarelesion.results import write_results\n"
        f"write_results(Path({str(run)!r})); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_another_score_changes_the_table_and_nothing_else_of_the_run(run, monkeypatch):
    monkeypatch.setattr(results, "write_figure", lambda *_: None)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    first = {result.recipe: result.roc_auc.value for result in write_results(run).results}
    lines = (run / "scores.csv").read_text(encoding="utf-8").splitlines()
    turned = [
        ",".join((*line.split(",")[:-1], repr(-float(line.split(",")[-1])))) if line.startswith("tiny,") else line
        for line in lines
    ]
    (run / "scores.csv").write_text("\n".join(turned) + "\n", encoding="utf-8")
    second = {result.recipe: result.roc_auc.value for result in write_results(run).results}
    assert second["tiny"] == pytest.approx(1 - first["tiny"])
    assert {name: second[name] for name in first if name != "tiny"} == pytest.approx(
        {name: first[name] for name in first if name != "tiny"}
    )
    for path, content in before.items():
        if path.name not in ("scores.csv", "looks.json"):
            assert path.read_bytes() == content
    assert [len(store.read_json(run / "looks.json")), second["tiny"] == first["tiny"]] == [2, False]
    assert np.isfinite(list(second.values())).all()


def test_a_folder_without_scores_says_what_is_to_do(tmp_path):
    with pytest.raises(InputError, match=r"holds no scores\.csv\. Finish the study first: give its command again"):
        write_results(tmp_path)
