"""Write docs/reference from the code, so that it cannot drift; with --images, the pictures of README.md from a run.

python docs/make_reference.py
python docs/make_reference.py --images rarelesion-demo/run
"""

import argparse
import ast
import inspect
import io
import json
import re
import shutil
import sys
import tokenize
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
import typer
from typer.testing import CliRunner

from rarelesion import import_settings as import_settings_module
from rarelesion import settings as settings_module
from rarelesion.backbones import BACKBONES
from rarelesion.cli import app
from rarelesion.clinical import CLINICAL
from rarelesion.config import flat_settings
from rarelesion.contrasts import CONTRASTS
from rarelesion.crop import Region
from rarelesion.detectors import DETECTORS
from rarelesion.findings import FAMILIES, KINDS
from rarelesion.greylevels import texture_features
from rarelesion.images import FORMATS
from rarelesion.import_settings import ImportSettings
from rarelesion.intensities import histogram_statistics, intensity_statistics
from rarelesion.metrics import METRICS
from rarelesion.paper import DECISIONS, SILENT_SETTINGS
from rarelesion.radiomics import ring_features, shape_features
from rarelesion.recipes import BEST, BEST_NAME, JOIN, PAPER_RECIPES, PROPOSED
from rarelesion.remarks import CODES as REMARKS
from rarelesion.settings import Settings, TrainingSettings
from rarelesion.store import read_case_table
from rarelesion.texture import TEXTURES

DOCS = Path(__file__).parent
IMAGES = ("forest", "figure6", "patches")
GENERATED = "<!-- Written by docs/make_reference.py; change the code it is made from, then run `make docs`. -->\n"
TYPES = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    tuple[str, ...]: "list of texts",
    tuple[float, float]: "two numbers",
    tuple[float, float, float]: "three numbers",
    tuple[float, ...]: "list of numbers",
    dict[str, str]: "table of texts",
}
BACKBONE_NOTES = {
    "vgg16": "The paper's, and that of its proposed recipe",
    "mobilenet": "The paper's (version 1): the quickest of the three",
    "resnet50": "The paper's (version 1)",
    "resnet50-conv4": "ResNet50 up to its fourth stage: a shorter embedding, less to compute",
    "densenet169": "Not the paper's: narrow layers that each see all before them, so few weights for its depth",
    "tiny": "For trying things out and for tests; not for results",
}
TEXTURES_A_LINE = 8
REMARK_NOTES = {
    "RL201": (
        "How many patients of each class were tested. Below 30 of the rarer class it is a reason for care, below "
        "10 for doubt: one patient more or less then moves a sensitivity by a tenth.",
        "Test more cases: five folds test every case, one split a fifth of them.",
    ),
    "RL202": (
        "How far the ends of the interval of the ROC-AUC lie apart: narrow up to .10, wide from .20 on.",
        "Quote the interval. Only more test cases narrow it, the rarer class above all: see [plan a "
        "study](../how-to/plan-a-study.md).",
    ),
    "RL203": (
        "Between repeats of the cross-validation everything but the cases differs: seeds and the division into "
        "folds. The light is green where the repeats' areas have a standard deviation below .03, red from .06 on. "
        "Folds alone do not show it, for they differ in their cases too; one split shows nothing. From two folds on "
        "the corrected resampled t interval of Nadeau and Bengio says what the same recipe would reach if it were "
        "trained anew on as many other cases.",
        "`--repeats 5`, and quote the mean.",
    ),
    "RL204": (
        "The labels of the test cases are handed out at random, often, and the ROC-AUC found is compared with "
        "what that gives. Patients keep their lesions together. Below .01 chance is unlikely; from .05 on nothing "
        "is shown.",
        "Do not report a row as better than chance where this light is red.",
    ),
    "RL205": (
        "The Youden index at the threshold that the same rule chooses on the test cases, less that at the threshold "
        "chosen on the tuning cases. The first is chosen with the answer in hand. Up to .05 the difference is small, "
        "from .15 on large. Without tuning cases the light is red: the threshold is then chosen on draws of the test "
        "patients and judged on those left out, which tells what is to be expected of new cases.",
        "Quote sensitivity and specificity at the tuned threshold. More tuning cases make it steadier.",
    ),
    "RL209": (
        "The average precision of a small test set lies above that of all patients on average, the more so the fewer "
        "malignant patients it holds; a mean over small folds flatters as each of them does. Below 40 malignant "
        "patients a test set it is a reason for care, below 5 for doubt. How much it is, by simulation, stands in "
        "[coverage](../concepts/coverage.md#the-pr-auc-of-few-cases-is-too-high).",
        "Compare PR-AUCs of equally large test sets only, and quote the ROC-AUC, which has no such bias, first.",
    ),
    "RL208": (
        "Each fold's scores are turned into probabilities of malignancy on its tuning cases and judged on its test "
        "cases. Skill is the share of the Brier score of knowing the prevalence alone that is saved. Amber where the "
        "interval of the slope leaves out 1 (below: too extreme, above: too timid) or that of the shift leaves out 0 "
        "(above: too low, below: too high); red where the skill is not above 0. Few cases are compatible with nearly "
        "anything: green means that nothing is shown against the probabilities, not that they are right.",
        "Do not give patients these probabilities where the light is not green. More tuning cases make them steadier; "
        "another share of malignant cases shifts them: state `statistics.prevalence`.",
    ),
    "RL206": (
        "How many trained rows were tested on these cases, and how many different sets of scores of this run were "
        "evaluated. The best of many equally good rows looks better than it is, by up to the number given (the "
        "expected maximum of so many independent rows). The row that was named beforehand is not chosen by its "
        "result.",
        "Name the row you will report before you look, or test the chosen one on new cases.",
    ),
    "RL207": (
        "The difference in ROC-AUC from a single column of the table of cases: age, sex, scanner or what you "
        "name. In each fold the column learns from the cases outside the test part. Green: better than the "
        "column, the whole interval above zero; red: the column alone does as well or better.",
        "A network that does not beat the patient's age adds nothing. A column such as the scanner that does well "
        "alone is a warning: the classes may have come from different machines, and the network may have learnt "
        "just that.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pages, or the pictures of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="RUN", type=Path, help="copy README's pictures from a synthetic run")
    run = parser.parse_args(arguments).images
    if run is not None:
        copy_images(run)
        return
    for name, text in reference_pages().items():
        (DOCS / "reference" / name).write_text(text, encoding="utf-8", newline="\n")


def copy_images(run: Path) -> None:
    """Copy the figures that README.md shows from a run of the synthetic cohort, and of no other."""
    if any(case.get("synthetic") != "yes" for case in read_case_table(run / "cohort.csv")):
        sys.exit(f"{run}: the cohort is not synthetic; pictures of patients do not belong into the documentation.")
    (DOCS / "images").mkdir(exist_ok=True)
    for name in IMAGES:
        shutil.copyfile(run / "figures" / f"{name}.png", DOCS / "images" / f"{name}.png")


def reference_pages() -> dict[str, str]:
    """File name -> text of every generated page of docs/reference."""
    makers = {
        "cli.md": cli_page,
        "settings.md": settings_page,
        "paper.md": paper_page,
        "recipes.md": recipes_page,
        "findings.md": findings_page,
    }
    return {name: "\n".join([GENERATED, *make()]).rstrip() + "\n" for name, make in makers.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def code(text: str) -> str:
    return f"`{text}`"


# --- commands ------------------------------------------------------------------------------------------------------


def commands(group: Any = None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command below a group, groups before their members."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in getattr(group, "commands", {}).items():
        yield (*prefix, name)
        yield from commands(command, (*prefix, name))


def help_text(words: Sequence[str]) -> str:
    """What `--help` prints on a screen 100 columns wide, without colours."""
    environment = {"COLUMNS": "100", "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [*words, "--help"], env=environment, prog_name="rarelesion")
    assert result.exit_code == 0, result.output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
    return "\n".join(line.rstrip() for line in plain.strip("\n").splitlines()).strip("\n")


def cli_page() -> Iterator[str]:
    yield "# Commands\n"
    yield "Exit codes: 0 done, 1 `check` found something, 2 bad input (every problem is listed), 130 stopped (Ctrl-C)."
    yield ""
    yield f"```text\n{help_text(())}\n```\n"
    for words in commands():
        yield f"## rarelesion {' '.join(words)}\n"
        yield f"```text\n{help_text(words)}\n```\n"


# --- settings ------------------------------------------------------------------------------------------------------


def field_comments() -> dict[tuple[str, str], str]:
    """(class, field) -> the comment on its lines in settings.py and import_settings.py."""
    return comments_of(settings_module) | comments_of(import_settings_module)


def comments_of(module: types.ModuleType) -> dict[tuple[str, str], str]:
    """The same of one module."""
    source = inspect.getsource(module)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comment_at = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {
        (group.name, line.target.id): " ".join(comment_at.get(number, "") for number in lines_of(line)).strip()
        for group in ast.parse(source).body
        if isinstance(group, ast.ClassDef)
        for line in group.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def lines_of(statement: ast.stmt) -> range:
    return range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


def type_words(hint: Any) -> str:
    """A type as a radiologist would say it."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(type_words(part) for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return " or ".join(code(json.dumps(choice)) for choice in get_args(hint))
    return TYPES[hint]


def toml_value(value: Any) -> str:
    """A default as it is written in study.toml."""
    return "{}" if value == {} else json.dumps(list(value) if isinstance(value, tuple) else value)


def default_words(group: str, name: str, value: Any) -> str:
    """A default; where the profile decides it, one for each."""
    if value is not None:
        return code(toml_value(value))
    if group != "training":
        return "not stated"
    return "; ".join(f"{profile}: {profile_value(profile, name)}" for profile in ("fast", "paper"))


def profile_value(profile: Literal["fast", "paper"], name: str) -> str:
    value = getattr(TrainingSettings(profile=profile).resolved(), name)
    if name == "precision" and value is None:
        return "measured: bfloat16 where it is clearly faster, else float32"
    return code(toml_value(value))


def setting_rows(key: str, group: Any, comments: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, ...]]:
    hints = get_type_hints(type(group))
    for item in fields(group):
        value = getattr(group, item.name)
        if is_dataclass(value):
            continue
        dotted = f"{key}.{item.name}" if key else item.name
        comment = comments[type(group).__name__, item.name]
        if dotted in SILENT_SETTINGS:
            comment = re.sub(r" ?\(paper silent\)|paper silent(; )?", "", comment)
            decision = SILENT_SETTINGS[dotted].removeprefix("not said; ").removeprefix("not said")
            comment = f"{comment}. *Paper silent{':* ' if decision else '.*'}{decision}".removeprefix(". ")
        yield code(dotted), type_words(hints[item.name]), default_words(key, item.name, value), comment


def settings_page() -> Iterator[str]:
    settings, comments = Settings(), field_comments()
    head = ("setting", "type", "default", "what it does")
    yield "# Settings\n"
    yield "Every setting of a study, as `rarelesion study --config study.toml` reads it. All are optional; one that is"
    yield "not listed here is an error. Where two defaults are given, the profile decides. The run folder keeps the"
    yield "resolved settings in its own `study.toml`.\n"
    yield "```toml\nseed = 1\n\n[split]\nfolds = 5\nrepeats = 2\n\n[images]\nmargin = 0.2\n```\n"
    yield table(head, list(setting_rows("", settings, comments)))
    yield from setting_groups("##", settings, comments)
    yield "## import.toml\n"
    yield "What `rarelesion import --config import.toml` reads, in the same way.\n"
    yield table(head, list(setting_rows("", ImportSettings(), comments)))
    yield from setting_groups("###", ImportSettings(), comments)


def setting_groups(heading: str, settings: Any, comments: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """The tables within a file of settings, each under its name."""
    for item in fields(settings):
        group = getattr(settings, item.name)
        if is_dataclass(group):
            yield f"{heading} [{item.name}]\n"
            yield f"{first_sentence(type(group))}\n"
            yield table(("setting", "type", "default", "what it does"), list(setting_rows(item.name, group, comments)))


# --- the paper -----------------------------------------------------------------------------------------------------


def paper_page() -> Iterator[str]:
    flat = flat_settings(Settings())
    yield "# The paper, and where we had to decide\n"
    yield "The method is that of [Matsuo et al. 2020](https://doi.org/10.1038/s41598-020-76389-4). Which file holds"
    yield "which part of it stands in [ARCHITECTURE.md](../../ARCHITECTURE.md). Every report lists the decisions below."
    yield ""
    yield "## Points without a setting\n"
    yield table(("point", "what is done"), DECISIONS)
    yield "## Settings on which the paper is silent\n"
    rows = [(code(key), default_words(*key.split("."), flat[key]), text) for key, text in SILENT_SETTINGS.items()]
    yield table(("setting", "default", "decision"), rows)
    yield "## The two profiles\n"
    yield "One code path, two sets of values: `--profile paper` trains as the paper does, `--profile fast` (default) in"
    yield "batches. All other settings are the same in both.\n"
    yield table(("setting", "paper", "fast"), list(profile_rows()))
    yield "## Rows of the paper's Table 3\n"
    yield "A study without `--recipes` makes these, in this order; readers are added with `--readers`. The proposed row"
    yield f"is `{PROPOSED}`.\n"
    yield "\n".join(f"* `{name}`" for name in PAPER_RECIPES)


def profile_rows() -> Iterator[tuple[str, str, str]]:
    paper, fast = TrainingSettings(profile="paper").resolved(), TrainingSettings(profile="fast").resolved()
    for item in fields(paper):
        if item.name != "profile" and getattr(paper, item.name) != getattr(fast, item.name):
            yield code(f"training.{item.name}"), profile_value("paper", item.name), profile_value("fast", item.name)


# --- things to choose from -----------------------------------------------------------------------------------------


def first_sentence(thing: Any) -> str:
    """Of a docstring, on one line."""
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join((inspect.getdoc(thing) or "").split()))[0]


def backbone_rows() -> Iterator[tuple[str, ...]]:
    for name, build in BACKBONES.items():
        with torch.device("meta"):
            backbone = build()
        millions = sum(parameter.numel() for parameter in backbone.parameters()) / 1e6
        yield (
            code(name),
            BACKBONE_NOTES[name],
            str(backbone.dim),
            f"{millions:.2g} million",
            str(len(backbone.layer_names)),
        )


def recipes_page() -> Iterator[str]:
    yield "# Recipes, and what they are made of\n"
    yield "A recipe is a row of the table. Its name says what is done: `BACKBONE[+texture][+l2][+DETECTOR]`, or `cvae`,"
    yield "either with `+radiomics`, `+clinical` or `+radiomics+clinical` at its end; or these alone."
    yield ""
    yield "* `+texture`: material textures are a third class beside benign and malignant."
    yield "* `+l2`: the embedding is scaled to a fixed length before the last layer (L2-constrained softmax)."
    yield "* `+DETECTOR`: the score is a distance from the benign training cases, not the classifier's output."
    yield "* `BACKBONE+frozen+DETECTOR`: the backbone stays as it starts and only the detector learns: seconds, no"
    yield "  training."
    yield f"* `{JOIN}` between such recipes: an ensemble, the mean of their scores, each on the scale of its tuning"
    yield "  cases; features at its end are weighed against the whole of it."
    yield f"* `{BEST_NAME}`: short for `{BEST}`,"
    yield "  see [what is most accurate](../concepts/anomaly-or-classifier.md)."
    yield "* `cvae`: the convolutional variational auto-encoder of the paper."
    yield "* `radiomics`, `clinical`, `radiomics+clinical`: no network, only what a lesion measures and what is"
    yield "  known of the patient."
    yield "* `+radiomics`, `+clinical`: the same beside the network, weighed on the tuning cases: see"
    yield "  [late fusion](../concepts/fusion.md)."
    yield "* `auto`: in each split the recipe among the others that its tuning cases speak for: see"
    yield "  [choose a recipe](../how-to/choose-a-recipe.md)."
    yield "* `reader:NAME`: a person's ratings, given with `--readers`; not to be named in `--recipes`.\n"
    yield "Recipes that differ in the detector or the features only share one trained network.\n"
    yield "## Backbones\n"
    head = ("name", "what it is", "length of the embedding", "weights", "layers as Keras counts them")
    yield table(head, list(backbone_rows()))
    yield "## Detectors\n"
    for title, kind in (("Fitted on the benign training cases only", DETECTORS), ("Fitted on both classes", CONTRASTS)):
        yield f"{title}; higher is more suspicious.\n"
        yield table(("name", "what it measures"), [(code(name), first_sentence(fit)) for name, fit in kind.items()])
    yield from feature_lines()
    yield "## Textures\n"
    yield f"By default {len(TEXTURES)} materials are drawn; photographs (`textures.source`) may take their place.\n"
    names = [code(name) for name in TEXTURES]
    lines = [", ".join(names[at : at + TEXTURES_A_LINE]) for at in range(0, len(names), TEXTURES_A_LINE)]
    yield ",\n".join(lines) + ".\n"
    yield "## Areas\n"
    yield table(("name", "what it is"), [(code(name), first_sentence(metric)) for name, metric in METRICS.items()])
    yield "## Image formats\n"
    yield "Known by the end of the file's name. A folder is read as one DICOM series; a DICOM file needs no suffix.\n"
    yield table(("suffix", "read by"), [(code(suffix), first_sentence(read)) for suffix, read in FORMATS.items()])


def feature_lines() -> Iterator[str]:
    """What radiomics measure of each sequence, and what is clinical unless the settings name other columns."""
    square = np.zeros((8, 8), dtype=bool)
    square[2:6, 2:6] = True
    region = Region(np.arange(64.0).reshape(8, 8), square, ~square, 1.0, (4.0, 4.0), True)
    levels = np.where(square, np.arange(64).reshape(8, 8) % 4 + 1, 0)
    families = (
        ("Shape; the first four of a box, all of a mask or a found outline", shape_features(region)),
        ("Intensities", intensity_statistics(region.values[square]) | histogram_statistics(levels[square])),
        ("Texture", texture_features(levels)),
        ("Against the tissue around", ring_features(region)),
    )
    yield "## Features\n"
    yield "`radiomics` measures these in every sequence, on the slice where the lesion is largest. Names and"
    yield "definitions are those of the IBSI (doi:10.1148/radiol.2020191145) where it has the feature; texture is 2D,"
    yield "with the directions merged, which the IBSI calls SUJT for co-occurrences. How they are prepared:"
    yield "[late fusion](../concepts/fusion.md#what-is-measured).\n"
    yield table(("family", "features"), [(name, ", ".join(map(code, found))) for name, found in families])
    yield f"`clinical` learns from {', '.join(map(code, CLINICAL))}, those of them that the cohort has, or from the"
    yield "columns that `features.clinical` names.\n"


# --- findings ------------------------------------------------------------------------------------------------------


def findings_page() -> Iterator[str]:
    yield "# Findings\n"
    yield "What `rarelesion check` reports, by its code. A study repeats the warnings in its report.\n"
    yield (
        "An error stops a study. A warning may spoil its result. A note is for your information. How to work through "
        "them: [check a cohort](../how-to/check-a-cohort.md).\n"
    )
    for family, heading in FAMILIES.items():
        yield f"# {heading}\n"
        for code_, kind in KINDS.items():
            if code_.startswith(family):
                yield f"## {code_}: {kind.title}\n"
                yield f"*{kind.severity.capitalize()}.* {kind.meaning}\n\n*What to do:* {kind.remedy}\n"
    yield "# Remarks\n"
    yield (
        "What the report and `rarelesion evaluate` say under *Can I believe this number?* Each has a light: green "
        "(good) where nothing speaks against the number, amber (care), red (doubt) where it should not be relied on.\n"
    )
    for remark, title in REMARKS.items():
        meaning, remedy = REMARK_NOTES[remark]
        yield f"## {remark}: {title}\n"
        yield f"{meaning}\n\n*What to do:* {remedy}\n"


if __name__ == "__main__":
    main()
