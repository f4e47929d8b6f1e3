"""`study.toml`: reading it with every problem at once, and writing the resolved one."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import tomli_w
from pydantic import TypeAdapter, ValidationError

from rarelesion.errors import InputError, Problem
from rarelesion.settings import Settings


def read_settings(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read `study.toml` (None: all defaults), then lay `overrides` over it.

    `overrides` is nested like the file, e.g. ``{"split": {"folds": 1}}``; values of None are passed over.
    Raises InputError that names every unknown key, with the valid ones, and every value of the wrong kind.
    """
    content = _merged(_load(path) if path else {}, overrides or {})
    where = str(path) if path else "settings"
    problems = _unknown_keys(content, Settings, where)
    if problems:
        raise InputError(problems)
    try:
        return TypeAdapter(Settings).validate_python(content)
    except ValidationError as error:
        raise InputError(
            Problem(
                where=f"{where}: {_name(details['loc'])}",
                what=details["msg"].lower(),
                found=repr(details["input"]),
                remedy="Every setting and its default is listed in docs/reference/settings.md.",
            )
            for details in error.errors()
        ) from None


def settings_toml(settings: Settings) -> str:
    """The settings as `study.toml`; a setting that is open (None) is left out, as TOML has no word for it."""
    return tomli_w.dumps(_without_none(asdict(settings)))


def flat_settings(settings: Settings) -> dict[str, Any]:
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
        raise InputError(Problem(str(path), "no such settings file")) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(Problem(str(path), f"cannot be read as TOML: {error}")) from None


def _merged(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(content)
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            below = result.get(key)
            result[key] = _merged(below if isinstance(below, Mapping) else {}, value)
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


def _name(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _without_none(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in content.items()
        if value is not None
    }
