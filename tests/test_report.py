"""The report: sentences that follow from the numbers by rule, and a page that stands alone."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fabricated import ROWS, make_evaluation, make_scores
from rarelesion.evaluation import Evaluation
from rarelesion.recipes import PROPOSED
from rarelesion.report import (
    FIGURES,
    RESEARCH,
    SYNTHETIC,
    ReportContent,
    ReportFigure,
    SettingLine,
    SmallTable,
    render_report,
)
from rarelesion.types import Estimate, Finding, OperatingPoint, RecipeResult

AREA = Estimate(0.86, 0.73, 0.99, "DeLong")


def row(recipe: str = PROPOSED, area: Estimate = AREA, tuned: bool = True) -> RecipeResult:
    found, spared = Estimate(0.75, 0.47, 0.91, "Wilson"), Estimate(0.82, 0.66, 0.92, "Wilson")
    honest = OperatingPoint(0.2, found, spared, "tune") if tuned else None
    return RecipeResult(recipe, 34, 12, area, area, OperatingPoint(0.3, found, spared, "test"), honest)


def content(**changes) -> ReportContent:
    recipes = [make_scores(recipe) for recipe in ROWS]
    usual = {
        "title": "Parotid tumours",
        "synthetic": False,
        "evaluation": make_evaluation(recipes),
        "split": "One split.",
    }
    return ReportContent(**(usual | changes))


def test_the_summary_is_about_the_reference_or_the_proposed_row():
    assert "VGG16 +texture +L2 +LOF reached" in render_report(content())
    assert "CVAE reached" in render_report(content(reference="cvae"))


def test_how_sensitivity_and_how_specificity_were_made_is_said_apart():
    evaluation = make_evaluation([make_scores("vgg16")])
    result = evaluation.results[0]
    spared = replace(result.youden.specificity, method="Wilson on 34 cases")
    told = replace(result, youden=replace(result.youden, specificity=spared))
    page = render_report(content(evaluation=replace(evaluation, results=(told,))))
    assert "<li>Specificity: Wilson on 34 cases; made up.</li>" in page
    assert "<li>Sensitivity: made up.</li>" in page


class Page(HTMLParser):
    """What a test needs of a page: its tags with attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def full() -> ReportContent:
    return content(
        synthetic=True,
        cohort=(SmallTable("By class", ("", "all"), (("benign", "190"),)),),
        figures=tuple(ReportFigure(kind, b"\x89PNG", "vgg16" if kind == "figure4" else "") for kind in FIGURES),
        training=(SmallTable("Networks", ("network", "epochs"), (("VGG16", "40"),)),),
        settings=(SettingLine("detectors.ocsvm_nu", "0.1", "one tenth may lie outside"),),
        provenance=(("torch", "2.13.0"),),
        findings=(Finding("few-malignant", "warning", "cohort.csv", "few", "more"),),
        notes=("Readers were blinded.",),
    )


def test_the_page_loads_nothing_and_runs_nothing():
    page = Page(render_report(full()))
    sources = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href", "srcset")]
    assert len(sources) >= len(FIGURES)
    assert all(str(source).startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not page.of("script")
    assert not page.of("link")
    assert "url(" not in render_report(full())


def test_the_page_is_accessible():
    page = Page(render_report(full()))
    assert page.of("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.of("img"))
    assert all(cell.get("scope") in ("row", "col", "colgroup") for cell in page.of("th"))
    targets = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {link["href"] for link in page.of("a")} == {f"#{target}" for target in targets}


def test_everything_given_stands_on_the_page_in_order():
    text = render_report(full())
    words = [
        "There were",
        "Readers were blinded.",
        ">honest<",
        ">optimistic<",
        "Comparisons on the same cases",
        *(f"<strong>{title}" for title, _ in FIGURES.values()),
        "By class",
        "few-malignant",
        "Networks",
        "one tenth may lie outside",
        "2.13.0",
        "10.1038/s41598-020-76389-4",
    ]
    main = text[text.index("<main>") :]
    places = [main.index(word) for word in words]
    assert places == sorted(places)
    assert text.count(SYNTHETIC) == 3  # top, every printed page, end
    assert "The embeddings in two dimensions: VGG16" in text


def test_a_real_cohort_has_no_banner_and_sections_without_content_are_left_out():
    text = render_report(content(evaluation=Evaluation((row(),), ())))
    assert SYNTHETIC not in text
    assert text.count(RESEARCH) == 3
    for heading in ("Comparisons on", '<h2 id="figures"', "Cases</h2>", "What the checks", "Settings,"):
        assert heading not in text


def test_table_3_prints_both_operating_points_and_marks_the_reference_and_the_reader():
    text = render_report(content(evaluation=Evaluation((row(), row("reader:A", tuned=False)), ())))
    body = text[text.index('class="table3"') :]
    rows = re.findall(r"<tr.*?</tr>", body[body.index("<tbody>") : body.index("</tbody>")], re.DOTALL)
    assert 'class="reference"' in rows[0]
    assert 'class="reader"' in rows[1]
    assert re.findall(r'number (honest|optimistic)">(\S+) <small>(.*?)</small>', rows[0]) == [
        ("honest", ".75", "(.47–.91)"),
        ("honest", ".82", "(.66–.92)"),
        ("optimistic", ".75", "(.47–.91)"),
        ("optimistic", ".82", "(.66–.92)"),
    ]
    assert rows[1].count(">–") == 2


def test_what_users_wrote_cannot_become_markup():
    text = render_report(content(title="<script>alert(1)</script>", split="a < b & c"))
    assert "<script" not in text
    assert "a &lt; b &amp; c" in text


def test_unknown_figures_and_references_are_errors():
    with pytest.raises(KeyError, match="figure9"):
        render_report(content(figures=(ReportFigure("figure9", b""),)))
    with pytest.raises(KeyError, match="vgg19"):
        render_report(content(reference="vgg19"))
