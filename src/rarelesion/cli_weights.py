"""The commands `rarelesion weights`: what every backbone can start from, and fetching it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarelesion.console import ConsoleProgress, guarded

if TYPE_CHECKING:
    from rarelesion.starts import Choice

app = typer.Typer(help="Weight files the backbones can start from: those that are here, and fetching others.")

Config = Annotated[Path | None, typer.Option("--config", help="study.toml, for the files that it names.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback(invoke_without_command=True)
def weights(context: typer.Context, config: Config = None, as_json: AsJson = False) -> None:
    """Weight files the backbones can start from: those that are here, and fetching others. Alone: list."""
    if context.invoked_subcommand is None:
        list_weights(config, as_json)


@app.command("list")
def list_weights(config: Config = None, as_json: AsJson = False) -> None:
    """List what every backbone can start from: files named, in the cache, to be fetched, or embedded in this program.

    Examples: `rarelesion weights list`, `rarelesion weights list --config run/study.toml`
    """
    from rarelesion.config import read_settings
    from rarelesion.downloads import cache_folder
    from rarelesion.starts import list_choices

    with guarded():
        settings = read_settings(config).weights
        choices, folder = list_choices(settings), cache_folder()
    if as_json:
        described = [_described(choice) for choice in choices]
        print(json.dumps({"cache": str(folder), "source": settings.source, "backbones": described}, indent=1))
        return
    print(f"Cache: {folder}\nSource: {settings.source}")
    for choice in choices:
        print(_text(choice))


def _described(choice: "Choice") -> dict[str, Any]:
    from rarelesion.downloads import OFFICIAL

    names = {file.name: name for name, file in OFFICIAL.items()}
    return {
        "backbone": choice.backbone,
        "starts_from": choice.start,
        "given": None if choice.given is None else str(choice.given),
        "official": [
            {"name": names[file.name], "file": file.name, "url": file.url, "cached": path is not None}
            for file, path in choice.official
        ],
        "embedded": None if choice.embedded is None else str(choice.embedded),
        "card": choice.card,
    }


def _text(choice: "Choice") -> str:
    described = _described(choice)
    lines = [f"\n{choice.backbone}", f"  starts from {choice.start}"]
    if choice.given is not None:
        lines.append(f"  given: {choice.given}")
    lines += [
        f"  official, {'in the cache' if file['cached'] else 'not here'}: {file['name']}, {file['url']}"
        for file in described["official"]
    ]
    if choice.embedded is not None:
        lines.append(f"  embedded: {choice.embedded.name}, {choice.embedded.stat().st_size / 1e6:.1f} MB")
        lines += [f"    {line}" for line in _first_lines(choice.card)]
    return "\n".join(lines)


def _first_lines(card: str) -> list[str]:
    """The first paragraph below the heading."""
    paragraphs = [part.strip() for part in card.split("\n\n")]
    return next((part.splitlines() for part in paragraphs if part and not part.startswith("#")), [])


@app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="A name from `rarelesion weights list`, or a backbone.")],
    url: Annotated[str | None, typer.Option(help="Fetch from another place; the hash is checked all the same.")] = None,
) -> None:
    """Fetch an official weight file into the cache and check its hash.

    Example: `rarelesion weights fetch vgg16`
    """
    from rarelesion.downloads import cache_folder, fetch, official_file

    with guarded(), ConsoleProgress() as progress:
        path = fetch(
            official_file(name), cache_folder(), lambda done, total: progress(name, "", done, total or done + 1), url
        )
    print(path)
