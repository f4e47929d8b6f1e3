"""What the command line shows while it works and when it cannot: progress with the time left, and problems."""

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rarelesion.errors import InputError

LINE_EVERY_SECONDS = 10.0
"""Where the output is a file and not a screen, a line is printed so often."""


@contextmanager
def guarded() -> Iterator[None]:
    """Turn bad input into messages and exit code 2, and Ctrl-C into a word on how to go on (exit code 130)."""
    try:
        yield
    except InputError as error:
        count = len(error.problems)
        print(f"rarelesion: {count} problem{'s' * (count > 1)}", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        raise typer.Exit(2) from None
    except BaseException as error:
        errors = list(_with_earlier(error))
        if not any(isinstance(each, KeyboardInterrupt) for each in errors):
            raise
        _let_go(errors)
        print("\nStopped. Give the same command again to go on where it stopped.", file=sys.stderr)
        raise typer.Exit(130) from None


def _with_earlier(error: BaseException | None) -> Iterator[BaseException]:
    """Go through an error and those it came up among: closing a ZipFile after Ctrl-C can raise an error of its own."""
    while error is not None:
        yield error
        error = error.__context__


def _let_go(errors: list[BaseException]) -> None:
    """Drop what Ctrl-C left half made, without its complaints: a ZipFile's destructor would print a traceback."""
    complain = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        for error in errors:
            traceback.clear_frames(error.__traceback__)
    finally:
        sys.unraisablehook = complain


class ConsoleProgress:
    """Shows how far the work is on a screen as a bar a stage, elsewhere as a line now and then; on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[detail]}", style="dim"),
        )
        self._bars = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._tasks = {}
        self._began = {}
        self._finished: set[str] = set()
        self._printed = time.monotonic()

    def __enter__(self) -> "ConsoleProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Put some lines above the bars."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, stage: str, detail: str, done: float, total: float) -> None:
        now = time.monotonic()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, detail="", left="")
            self._began[stage] = now, done
        began, first = self._began[stage]
        left = _left(now - began, done - first, total - done)
        self._bars.update(self._tasks[stage], completed=done, total=total, detail=detail, left=left)
        finished = done >= total and stage not in self._finished
        if done >= total:
            self._finished.add(stage)
        if not self._console.is_terminal and (finished or now - self._printed > LINE_EVERY_SECONDS):
            share = done / total if total else 1.0
            print(" · ".join(filter(None, (stage, f"{share:.0%}", left, detail))), file=sys.stderr, flush=True)
            self._printed = now


def _left(elapsed: float, done: float, to_do: float) -> str:
    if to_do <= 0:
        return "done"
    if done <= 0 or elapsed < 1:
        return ""
    minutes, seconds = divmod(round(elapsed / done * to_do), 60)
    return f"about {minutes} min {seconds} s left" if minutes else f"about {seconds} s left"
