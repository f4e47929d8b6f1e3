"""`study.toml` and `import.toml`: reading them with every problem at once, and writing the resolved one."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import tomli_w
from pydantic import TypeAdapter, ValidationError

from rarelesion import preparation
from rarelesion.errors import InputError, Problem
from rarelesion.import_settings import ImportSettings
from rarelesion.settings import Settings
from rarelesion.thresholds import parse_rule

RANGES = {
    "seed": "[0, 4294967295]",
    "images.side_px": "[32, 1024]",
    "images.slices": "[1, 31]",
    "images.margin": "[0, 5]",
    "images.percentiles": "[0, 100]",
    "split.folds": "[1, 100]",
    "split.repeats": "[1, 1000]",
    "textures.per_case": "(0, 100]",
    "training.batch_size": "[1, 4096]",
    "training.learning_rate": "(0, 1]",
    "training.max_epochs": "[1, 100000]",
    "training.patience": "[1, 100000]",
    "training.frozen_layers": "[0, 1000]",
    "training.alpha": "(0, 10000]",
    "training.rotation_degrees": "[0, 180]",
    "training.erasing_probability": "[0, 1]",
    "training.erasing_area": "(0, 1]",
    "training.erasing_aspect": "(0, 100]",
    "training.mixup": "[0, 100]",
    "detectors.lof_neighbours": "[1, 1000]",
    "detectors.ocsvm_nu": "(0, 1]",
    "detectors.knn_neighbours": "[1, 1000]",
    "detectors.contrast_neighbours": "[1, 1000]",
    "cvae.latent": "[1, 4096]",
    "cvae.max_epochs": "[1, 100000]",
    "cvae.learning_rate": "(0, 1]",
    "cvae.batch_size": "[1, 4096]",
    "cvae.kl_weight": "[0, 1000]",
    "features.pixel_mm": "(0, 100]",
    "features.bins": "[2, 256]",
    "features.ring": "(0, 5]",
    "weights.pretrain_images": "[32, 10000000]",
    "learning_curve.shares": "(0, 1)",
    "learning_curve.draws": "[2, 100]",
    "statistics.confidence": "(0, 1)",
    "statistics.bootstrap": "[100, 1000000]",
    "statistics.permutations": "[99, 1000000]",
    "statistics.prevalence": "(0, 1)",
    "statistics.margin": "(0, 1)",
    "statistics.conformal_alpha": "(0, 1)",
}
"""Setting -> the numbers it may be: a square bracket counts its own end in, a round one does not."""

IMPORT_RANGES = {f"preparation.{name}": allowed for name, allowed in preparation.RANGES.items()}
"""The same of `import.toml`."""

SEE_LIST = "Every setting and its default is listed in docs/reference/settings.md."


Kind = TypeVar("Kind", Settings, ImportSettings)


def read_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read `study.toml` (None: all defaults), then lay `overrides` over it.

    `overrides` is nested like the file, e.g. ``{"split": {"folds": 1}}``; values of None are passed over.
    Raises InputError that names every unknown key, with the valid ones, every value of the wrong kind, and every
    number outside its range.
    """
    settings = _read(Settings, path, overrides or {})
    if problems := list(_unusable(settings, path, overrides or {})):
        raise InputError(problems)
    return settings


def read_import_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> ImportSettings:
    """Read `import.toml` as `read_settings` reads `study.toml`."""
    settings = _read(ImportSettings, path, overrides or {})
    if problems := list(_out_of_range(settings, IMPORT_RANGES, path, overrides or {})):
        raise InputError(problems)
    return settings


def _read(kind: type[Kind], path: Path | None, overrides: Mapping[str, Any]) -> Kind:
    """What the file and the overrides say, every key known and every value of its kind."""
    content = _merged(_load(path) if path else {}, overrides)
    problems = _unknown_keys(content, kind, str(path) if path else "settings")
    if problems:
        raise InputError(problems)
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise InputError(
            Problem(
                where=_place(path, overrides, ".".join(map(str, details["loc"]))),
                what=details["msg"].lower(),
                found=repr(details["input"]),
                remedy=SEE_LIST,
            )
            for details in error.errors()
        ) from None


def named_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> frozenset[str]:
    """The dotted names of the settings that the file or the overrides state; the others are left at their defaults.

    Arguments and errors as for `read_settings`, which is to be called first: it finds what is wrong with them.
    """
    groups = {item.name for item in fields(Settings) if is_dataclass(get_type_hints(Settings)[item.name])}
    content = _merged(_load(path) if path else {}, overrides or {})
    return frozenset(
        name
        for key, value in content.items()
        for name in ([f"{key}.{inner}" for inner in value] if key in groups else [key])
    )


def _unusable(settings: Settings, path: Path | None, overrides: Mapping[str, Any]) -> Iterator[Problem]:
    """What is of the right kind and still cannot be used."""
    yield from _out_of_range(settings, RANGES, path, overrides)
    for name, value in flat_settings(settings).items():
        if name in RANGES and isinstance(value, tuple) and list(value) != sorted(set(value)):
            yield Problem(
                _place(path, overrides, name), "is not a range", _shown(value), "the lower number first", SEE_LIST
            )
    if settings.cohort.positive.strip().casefold() == settings.cohort.negative.strip().casefold():
        where = _place(path, overrides, "cohort.positive")
        yield Problem(where, "is the word for both classes", repr(settings.cohort.positive), "another than for benign")
    try:
        parse_rule(settings.statistics.threshold)
    except InputError as error:
        where = _place(path, overrides, "statistics.threshold")
        yield from (replace(problem, where=f"{where}, {problem.where}") for problem in error.problems)


def _out_of_range(
    settings: Settings | ImportSettings, ranges: Mapping[str, str], path: Path | None, overrides: Mapping[str, Any]
) -> Iterator[Problem]:
    flat = flat_settings(settings)
    for name, allowed in ranges.items():
        value, where = flat[name], _place(path, overrides, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(_lies_in(number, allowed) for number in numbers):
            yield Problem(where, "is outside its range", _shown(numbers), _in_words(allowed), SEE_LIST)


def _lies_in(number: float, allowed: str) -> bool:
    low, high = map(float, allowed[1:-1].split(","))
    return (
        low <= number <= high
        and not (number == low and allowed[0] == "(")
        and not (number == high and allowed[-1] == ")")
    )


def _in_words(allowed: str) -> str:
    low, high = allowed[1:-1].split(", ")
    return f"{'above ' if allowed[0] == '(' else ''}{low} {'and below' if allowed[-1] == ')' else 'to'} {high}"


def _shown(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _place(path: Path | None, overrides: Mapping[str, Any], name: str) -> str:
    """Where a setting was given: in the file, or as an option, which goes before it."""
    value: Any = overrides
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return name if value is not None or path is None else f"{path}: {name}"


def settings_toml(settings: Settings | ImportSettings) -> str:
    """The settings as `study.toml`; a setting that is open (None) is left out, as TOML has no word for it."""
    return tomli_w.dumps(_without_none(asdict(settings)))


def flat_settings(settings: Settings | ImportSettings) -> dict[str, Any]:
    """Every setting by its dotted name, e.g. ``{"split.folds": 5}``."""
    flat: dict[str, Any] = {}
    for key, value in asdict(settings).items():
        group = getattr(settings, key)
        flat |= {f"{key}.{name}": item for name, item in value.items()} if is_dataclass(group) else {key: value}
    return flat


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(Problem(str(path), "no such settings file", remedy="Check the path.")) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        remedy = "Correct it in a text editor; the one of a run is put back from a copy."
        raise InputError(Problem(str(path), f"cannot be read as TOML: {error}", remedy=remedy)) from None


def _merged(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(content)
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            below = result.get(key, {})
            # What is no table stays, to be found wrong.
            result[key] = _merged(below, value) if isinstance(below, Mapping) else below
        elif value is not None:
            result[key] = value
    return result


def _unknown_keys(content: Mapping[str, Any], group: type, where: str, prefix: str = "") -> list[Problem]:
    types = get_type_hints(group)
    valid = [item.name for item in fields(group)]
    problems = []
    for key, value in content.items():
        if key not in types:
            near = get_close_matches(key, valid, n=1)
            remedy = f"Did you mean {prefix}{near[0]}?" if near else "Remove it, or move it to the table it belongs to."
            problems.append(
                Problem(f"{where}: {prefix}{key}", "unknown setting", "", "one of " + ", ".join(valid), remedy)
            )
        elif is_dataclass(types[key]) and isinstance(value, Mapping):
            problems += _unknown_keys(value, types[key], where, f"{prefix}{key}.")  # pyright: ignore[reportArgumentType]
    return problems


def _without_none(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in content.items()
        if value is not None
    }
