import sys
import zipfile

import numpy as np
import pytest
import typer

from rarelesion import console
from rarelesion.console import ConsoleProgress, guarded
from rarelesion.errors import InputError, Problem


def test_bad_input_is_listed_on_standard_error_and_ends_with_2(capsys):
    with pytest.raises(typer.Exit) as end, guarded():
        raise InputError([Problem("a", "is wrong", remedy="Mend it."), Problem("b", "too")])
    assert end.value.exit_code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "rarelesion: 2 problems\n  a: is wrong. Mend it.\n  b: too.\n"


def test_ctrl_c_says_how_to_go_on_and_ends_with_130(capsys):
    with pytest.raises(typer.Exit) as end, guarded():
        raise KeyboardInterrupt
    assert end.value.exit_code == 130
    assert "Give the same command again to go on where it stopped." in capsys.readouterr().err


def test_ctrl_c_at_any_line_of_writing_an_archive_leaves_no_complaint_of_what_is_half_made(tmp_path, monkeypatch):
    """The destructor of a ZipFile cut short in its making fails; Python prints that with a traceback."""
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    def called(frame) -> str:
        return frame.f_code.co_name

    def interrupting(line: int):
        seen = 0

        def trace(frame, event, _):
            nonlocal seen
            if frame.f_code.co_filename != zipfile.__file__ or "__del__" in (called(frame), called(frame.f_back)):
                return None  # what is raised in a destructor Python itself swallows
            seen += event == "line"
            if seen == line and event == "line":
                raise KeyboardInterrupt
            return trace

        return trace

    def stopped_at(line: int) -> bool:
        """Whether writing an archive has as many lines as that, and is so stopped there."""
        traced = sys.gettrace()
        try:
            with guarded(), (tmp_path / "half.npz").open("wb") as file:
                sys.settrace(interrupting(line))
                np.savez(file, allow_pickle=False, a=np.zeros(3))
        except typer.Exit:
            return True
        finally:
            sys.settrace(traced)
        return False

    stops = next(line for line in range(1, 1000) if not stopped_at(line)) - 1
    assert stops > 50
    assert complaints == []


def test_an_error_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError), guarded():
        raise ZeroDivisionError


@pytest.fixture
def clock(monkeypatch):
    """A clock to be set by hand, in seconds."""
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_where_no_screen_is_a_line_comes_every_ten_seconds_and_one_at_the_end(clock, capsys):
    with ConsoleProgress() as progress:
        for second in range(25):
            clock[0] = second
            progress("Training", "tiny-r0f0", second, 100)
        progress("Training", "tiny-r0f0", 100, 100)
        progress("Training", "tiny-r0f0", 100, 100)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "Training · 11% · about 1 min 29 s left · tiny-r0f0",
        "Training · 22% · about 1 min 18 s left · tiny-r0f0",
        "Training · 100% · done · tiny-r0f0",
    ]


def test_lines_are_said_on_standard_error_as_they_are(capsys):
    with ConsoleProgress() as progress:
        progress.say("[bold]a  b[/bold] " + 200 * "x" + "\n  c")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "[bold]a  b[/bold] " + 200 * "x" + "\n  c\n")


def test_every_stage_has_its_own_end_and_nothing_to_do_is_done(clock, capsys):
    with ConsoleProgress() as progress:
        progress("Reading images", "", 3, 3)
        progress("Scoring", "", 0, 0)
    assert capsys.readouterr().err.splitlines() == ["Reading images · 100% · done", "Scoring · 100% · done"]


def test_work_found_done_does_not_count_for_the_time_left(clock, capsys):
    with ConsoleProgress() as progress:
        progress("Training", "", 50, 100)
        clock[0] = 20
        progress("Training", "", 60, 100)
    assert capsys.readouterr().err == "Training · 60% · about 1 min 20 s left\n"
