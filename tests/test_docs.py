"""The documentation as a test: reference pages follow the code, links lead somewhere, what is shown also runs."""

import contextlib
import importlib.util
import io
import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from messy_archive import make_archive
from rarelesion.cli import app
from rarelesion.config import flat_settings
from rarelesion.import_settings import ImportSettings
from rarelesion.report import PAPER
from rarelesion.settings import Settings
from rarelesion.store import KEPT_COLUMNS, SCORE_COLUMNS
from rarelesion.types import Epoch

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
BLOCK = re.compile(r"^```(\S*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FINDINGS = {"check": (0, 1)}
"""Exit codes that are as they should be, where 0 is not the only one."""


def load_make_reference():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_reference = load_make_reference()


def page_id(page):
    return page.relative_to(ROOT).as_posix()


def text_of(name):
    return (DOCS / name).read_text(encoding="utf-8")


# --- reference -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh_pages():
    return make_reference.reference_pages()


@pytest.mark.parametrize("name", ["cli.md", "settings.md", "paper.md", "recipes.md", "findings.md"])
def test_the_reference_is_what_the_code_says(fresh_pages, name):
    assert text_of(f"reference/{name}") == fresh_pages[name], "the page is not up to date: run make docs"


def test_no_generated_page_is_left_out(fresh_pages):
    written = {path.name for path in (DOCS / "reference").glob("*.md")}
    assert written == {*fresh_pages, "files.md"}


def test_every_command_is_documented():
    headings = set(re.findall(r"^## (rarelesion .*)$", text_of("reference/cli.md"), re.MULTILINE))
    assert headings == {f"rarelesion {' '.join(words)}" for words in make_reference.commands()}
    assert {"rarelesion study", "rarelesion weights fetch"} <= headings


def test_every_setting_is_documented_and_explained():
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \| (.+) \| (.*) \|$", text_of("reference/settings.md"), re.MULTILINE)
    assert sorted(name for name, *_ in rows) == sorted([*flat_settings(Settings()), *flat_settings(ImportSettings())])
    assert [name for name, *_, comment in rows if not comment] == []


def test_every_column_of_the_files_is_documented():
    named = set(re.findall(r"[\w<>]+", " ".join(re.findall(r"`([^`]+)`", text_of("reference/files.md")))))
    assert {*SCORE_COLUMNS, *KEPT_COLUMNS, *(item.name for item in fields(Epoch)), "split", "rating"} <= named


def test_the_readme_leads_with_the_two_commands_and_cites_the_paper():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = BLOCK.search(text)
    assert [line.split("#")[0].strip() for line in first.group(3).splitlines()] == ["make demo", "make test"]
    assert text[: first.start()].count(".") == 1, "one sentence, then the commands"
    cited = " ".join(re.sub(r"^> ?", "", text, flags=re.MULTILINE).split())
    assert PAPER.rpartition(" doi:")[0] in cited


# --- pictures ------------------------------------------------------------------------------------------------------


def test_pictures_are_copied_from_a_synthetic_run_only(finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr(make_reference, "DOCS", tmp_path)
    with pytest.raises(SystemExit, match="not synthetic"):
        make_reference.copy_images(finished_run)
    run = tmp_path / "run"
    shutil.copytree(finished_run / "figures", run / "figures")
    (run / "cohort.csv").write_text("case_id,patient_id,label,synthetic\nc1,p1,benign,yes\n", encoding="utf-8")
    make_reference.main(["--images", str(run)])
    for name in make_reference.IMAGES:
        copied, drawn = tmp_path / "images" / f"{name}.png", run / "figures" / f"{name}.png"
        assert copied.read_bytes() == drawn.read_bytes()


# --- links ---------------------------------------------------------------------------------------------------------


def anchors(page):
    """The names GitHub gives to a page's headings."""
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(page):
    broken = []
    for link in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or not path.is_relative_to(ROOT) or (anchor and anchor not in anchors(path)):
            broken.append(link)
    assert broken == []


# --- snippets ------------------------------------------------------------------------------------------------------


def run_console(block):
    """Run the command lines of a block; gives what they print."""
    printed = []
    for line in block.strip().splitlines():
        program, *words = shlex.split(line)
        assert program == "rarelesion", "blocks that are not run are called sh or powershell"
        result = CliRunner().invoke(app, words)
        assert result.exit_code in FINDINGS.get(words[0], (0,)), f"{line}\n{result.output}\n{result.exception!r}"
        printed.append(result.output)
    return "".join(printed)


def run_python(block, names):
    """Run a block of Python; gives what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, "snippet", "exec"), names)
    return printed.getvalue()


def run_page(page):
    """Write the files a page names, then run its Python and console blocks in order, as a reader would.

    What a page shows as printed (text blocks; "..." leaves out the rest of a line) has to be printed. Gives how many
    blocks were run.
    """
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for _, name, content in blocks:
        if name:
            Path(name).write_text(content, encoding="utf-8")
    names = {"__name__": "snippet"}
    run = {"python": lambda content: run_python(content, names), "console": run_console}
    printed = [run[language](content) for language, _, content in blocks if language in run]
    shown = [line for language, _, content in blocks if language == "text" for line in content.splitlines()]
    for line in shown:
        assert line.removesuffix("...").strip() in "".join(printed)
    return len(printed)


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """Where a reader stands: an empty folder, and a cache without weights."""
    monkeypatch.setenv("RARELESION_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def test_the_tutorial_runs_as_it_stands(empty_folder):
    assert run_page(DOCS / "tutorial.md") > 5
    assert (empty_folder / "run" / "report.html").exists()


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=page_id)
@pytest.mark.usefixtures("empty_folder")
def test_how_to_pages_run_as_they_stand(page, picture_cohort, finished_run):
    shutil.copytree(picture_cohort.parent, "cohort")
    shutil.copytree(finished_run, "run")
    if page.stem == "import-from-dicom":
        make_archive(Path("hospital"), 6)
    assert run_page(page) > 0
