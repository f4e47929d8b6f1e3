"""The command line: parse, one library call, show. Heavy modules are imported inside the commands that need them."""

import io
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rarelesion import __version__, cli_check, cli_convert, cli_import, cli_pretrain, cli_weights
from rarelesion.console import ConsoleProgress, guarded
from rarelesion.errors import InputError, Problem

app = typer.Typer(
    name="rarelesion",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Train, judge and use lesion classifiers when cases are few and the classes unequal. Research use only.",
)
app.add_typer(cli_weights.app, name="weights")
app.add_typer(cli_convert.app, name="convert")
app.command("import")(cli_import.import_dicom)
app.command()(cli_check.check)
app.command()(cli_pretrain.pretrain)

CohortPath = Annotated[Path, typer.Argument(metavar="COHORT", help="cohort.csv or .xlsx, one row a lesion.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Config = Annotated[Path | None, typer.Option("--config", help="study.toml; options given here go before it.")]


WEIGHT_SOURCES = {"auto", "imagenet", "embedded", "textures"}


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A case id may hold letters that an old console does not know.
            stream.reconfigure(errors="backslashreplace")
    # matplotlib's own font lacks Chinese, say: a box in a figure is no news for the user.
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    app()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rarelesion {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the cohort and the run.")] = Path("rarelesion-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer cases, recipes and epochs: under 90 seconds.")] = False,
) -> None:
    """Make a synthetic cohort as real DICOM, run the study on it and write the report.

    The numbers mean nothing clinically. Example: `rarelesion demo --quick`
    """
    from rarelesion.briefing import plan_text
    from rarelesion.demo import run_demo
    from rarelesion.publish import write_report

    with guarded(), ConsoleProgress() as progress:
        run = run_demo(out, quick, progress, lambda plan: progress.say(plan_text(plan)))
        write_report(run)
    _show_run(run)


@app.command()
def plan(
    cohort: Annotated[Path | None, typer.Argument(metavar="COHORT", help="cohort.csv; or give the counts.")] = None,
    malignant: Annotated[int | None, typer.Option(help="Malignant cases, where there is no cohort yet.")] = None,
    benign: Annotated[int | None, typer.Option(help="Benign cases.")] = None,
    auc: Annotated[float, typer.Option(help="The ROC-AUC you expect, from a pilot or the literature.")] = 0.8,
    folds: Annotated[int | None, typer.Option(help="1 is a single split: a fifth of the cases is tested.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """How wide the intervals of a study will be, what would help, and how many cases are enough: before it is made.

    How long it takes is what `rarelesion study` says before it starts.

    Examples: `rarelesion plan cohort.csv --auc 0.85`, `rarelesion plan --malignant 30 --benign 120`
    """
    from rarelesion.cohort import read_cohort
    from rarelesion.config import read_settings
    from rarelesion.foretelling import prospect_json, prospect_text
    from rarelesion.prospect import count_cohort, counts_of, look_ahead

    with guarded():
        settings = read_settings(config, {"split": {"folds": folds}})
        if cohort is not None and (malignant, benign) == (None, None):
            counts = count_cohort(read_cohort(cohort, settings.cohort), settings)
        elif cohort is None and malignant is not None and benign is not None:
            counts = counts_of(malignant, benign, settings.split.folds)
        else:
            expected = "either a cohort, or --malignant and --benign"
            raise InputError(Problem("rarelesion plan", "which cases?", expected=expected))
        prospect = look_ahead(counts, auc, settings)
    print(json.dumps(prospect_json(prospect), indent=1) if as_json else prospect_text(prospect))


@app.command()
def study(
    cohort: CohortPath,
    out: Annotated[Path, typer.Option("--out", help="The run's folder; an unfinished run in it goes on.")],
    config: Config = None,
    readers: Annotated[Path | None, typer.Option(help="readers.csv: case_id, reader, rating.")] = None,
    recipes: Annotated[
        str | None, typer.Option(help="Comma-separated rows of the table; default: the paper's 16.")
    ] = None,
    profile: Annotated[Literal["paper", "fast"] | None, typer.Option(help="As in the paper, or in batches.")] = None,
    folds: Annotated[int | None, typer.Option(help="1 is the paper's single split.")] = None,
    repeats: Annotated[int | None, typer.Option(help="How often the cases are divided anew.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same machine, same numbers.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs a network is trained.")] = None,
    textures: Annotated[str | None, typer.Option(help="procedural, or a folder of texture images.")] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="auto, imagenet, embedded, textures, or BACKBONE=FILE; repeat.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Networks trained at a time; default: the cores.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="The time it may take, e.g. 90s, 20m, 1h30m: what you do not name yourself is made to fit."),
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Train on fewer cases too, to forecast what more would bring.")
    ] = False,
    curve_recipes: Annotated[
        str | None, typer.Option(help="Whose learning curve; default: the row that the report is about.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train, embed, detect, score and evaluate: from a cohort to Table 3, figures and a report.

    Says before it starts how long it will take on this machine. Can be stopped with Ctrl-C; the same command goes on
    where it stopped.

    Examples: `rarelesion study cohort.csv --out run --recipes mobilenet,mobilenet+texture --folds 5`,
    `rarelesion study cohort.csv --out run --budget 20m`
    """
    from rarelesion.briefing import plan_text
    from rarelesion.budget import Budget, parse_budget
    from rarelesion.config import named_settings, read_settings
    from rarelesion.publish import write_report
    from rarelesion.study import run_study
    from rarelesion.workers import default_workers

    with guarded():
        overrides: dict[str, Any] = {
            "recipes": _names(recipes),
            "seed": seed,
            "split": {"folds": folds, "repeats": repeats},
            "training": {"profile": profile, "max_epochs": epochs},
            "textures": {"source": textures},
            "weights": _weight_overrides(weights or []),
            "learning_curve": {"recipes": _names(curve_recipes) or (["lead"] if learning_curve else None)},
        }
        settings = read_settings(config, overrides)
        within = None if budget is None else Budget(parse_budget(budget), named_settings(config, overrides))
        with ConsoleProgress() as progress:
            run_study(
                cohort,
                out,
                settings,
                readers,
                progress,
                workers or default_workers(),
                within,
                lambda plan: progress.say(plan_text(plan)),
            )
            write_report(out)
    _show_run(out, as_json)


def _weight_overrides(words: list[str]) -> dict[str, Any]:
    pairs = [word.partition("=") for word in words]
    sources = [name for name, equals, _ in pairs if not equals]
    if len(sources) > 1 or not set(sources) <= WEIGHT_SOURCES:
        expected = "one of auto, imagenet, embedded and textures; or BACKBONE=FILE, also several times"
        raise InputError(Problem("--weights", "cannot be followed", ", ".join(sources), expected))
    return {"source": sources[0] if sources else None, "files": {name: file for name, equals, file in pairs if equals}}


def _show_run(folder: Path, as_json: bool = False) -> None:
    from rarelesion.publish import closing_words
    from rarelesion.store import read_text

    if as_json:
        print(read_text(folder / "evaluation.json"), end="")
        return
    print(read_text(folder / "table3.md"))
    print(*(f"{sentence}\n" for sentence in closing_words(folder)), sep="\n", end="")
    print(f"Report: {folder / 'report.html'}")


@app.command()
def evaluate(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="scores.csv, ours or any other's.")],
    interval: Annotated[
        Literal["logit", "delong", "bootstrap"] | None, typer.Option(help="How the interval of the ROC-AUC is made.")
    ] = None,
    confidence: Annotated[float | None, typer.Option(help="Level of the intervals, e.g. 0.95.")] = None,
    bootstrap: Annotated[int | None, typer.Option(help="Number of resamples.")] = None,
    reference: Annotated[str | None, typer.Option(help="The recipe all others are compared with.")] = None,
    threshold: Annotated[
        str | None,
        typer.Option(help="How the tuning cases choose it: youden, sensitivity>=0.95, specificity>=0.9 or cost=10."),
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of malignant cases where it is to be used: adds PPV and NPV.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Largest accepted loss of ROC-AUC against a reader: tests non-inferiority.")
    ] = None,
    adjust: Annotated[
        Literal["holm", "benjamini-hochberg"] | None, typer.Option(help="How p-values are adjusted.")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Table of cases for baselines and subgroups; default: that of the run.")
    ] = None,
    baselines: Annotated[
        str | None, typer.Option(help="Comma-separated columns to set beside the recipes, e.g. age,scanner.")
    ] = None,
    subgroups: Annotated[
        str | None, typer.Option(help="Comma-separated columns by whose entries areas are reported too.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Table 3, the comparisons and how far to believe them, from scores alone: no images, no torch.

    Example: `rarelesion evaluate run/scores.csv --baselines age,scanner --subgroups sex`
    """
    from rarelesion.config import read_settings
    from rarelesion.evaluation import evaluate as evaluate_scores
    from rarelesion.evaluation import evaluation_json
    from rarelesion.sections import evaluation_markdown
    from rarelesion.store import read_case_table, read_scores

    chosen = {"interval": interval, "confidence": confidence, "bootstrap": bootstrap, "reference": reference}
    chosen |= {"threshold": threshold, "prevalence": prevalence, "margin": margin, "adjust": adjust}
    columns = {"baselines": baselines, "subgroups": subgroups}
    with guarded():
        settings = read_settings(
            config, {"statistics": chosen | {key: _names(value) for key, value in columns.items()}}
        )
        table = cases or _cases_beside(scores)
        rows = read_case_table(table) if table else ()
        evaluation = evaluate_scores(read_scores(scores), settings.statistics, settings.seed, rows)
    if as_json:
        print(json.dumps(evaluation_json(evaluation), indent=1))
    else:
        print(evaluation_markdown(evaluation, settings.statistics.confidence))


def _names(words: str | None) -> list[str] | None:
    """A comma-separated list."""
    return None if words is None else [name.strip() for name in words.split(",")]


def _cases_beside(scores: Path) -> Path | None:
    """The table of cases of the run that the scores lie in."""
    table = scores.with_name("cohort.csv")
    return table if table.exists() and scores.with_name("study.toml").exists() else None


@app.command()
def report(run: RunPath) -> None:
    """Make tables, figures and the self-contained report.html of a run again, from its scores and embeddings.

    Example: `rarelesion report run`
    """
    from rarelesion.publish import write_report

    with guarded():
        path = write_report(run)
    print(f"Report: {path}")


@app.command()
def predict(
    run: RunPath,
    case: Annotated[Path | None, typer.Argument(metavar="CASE", help="A cohort.csv whose rows are new cases.")] = None,
    image: Annotated[list[str] | None, typer.Option(help="SEQUENCE=FILE or folder, e.g. T1=series/; repeat.")] = None,
    mask: Annotated[list[str] | None, typer.Option(help="SEQUENCE=MASK FILE.")] = None,
    box: Annotated[list[str] | None, typer.Option(help='SEQUENCE="row0 col0 row1 col1".')] = None,
    recipe: Annotated[str | None, typer.Option(help="Which row of the table reads the case.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the next case: its score, its percentile among the benign, and the decision at the tuned threshold.

    Example: `rarelesion predict run --image T1=t1/ --image T2=t2/ --mask T1=mask.nii.gz`
    """
    from rarelesion.prediction import predict_cases, prediction_json
    from rarelesion.verdict import prediction_text

    with guarded():
        sources = {"image": _pairs("--image", image), "mask": _pairs("--mask", mask), "box": _pairs("--box", box)}
        predictions = predict_cases(run, case, sources["image"], sources["mask"], sources["box"], recipe)
    if as_json:
        print(json.dumps([prediction_json(prediction) for prediction in predictions], indent=1))
    else:
        print("\n\n".join(prediction_text(prediction) for prediction in predictions))


def _pairs(option: str, words: list[str] | None) -> dict[str, str]:
    pairs = [word.partition("=") for word in words or []]
    problems = [
        Problem(option, "names no sequence", repr("".join(pair)), "SEQUENCE=FILE, e.g. T1=scan.nii.gz")
        for pair in pairs
        if not (pair[0] and pair[2])
    ]
    names = [name for name, _, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [Problem(option, "names a sequence twice", name, remedy="Give it once.") for name in twice]
    if problems:
        raise InputError(problems)
    return {name: value for name, _, value in pairs}
