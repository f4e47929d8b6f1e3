"""The errors a user can cause, each saying what, where, what was found, what was expected and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a user's input.

    `where` is `file:row:column`, a file, a setting's name or a case; `found` and `expected` may be empty
    where the sentence says it all.
    """

    where: str
    what: str
    found: str = ""
    expected: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}"]
        parts += [f"found {self.found}"] if self.found else []
        parts += [f"expected {self.expected}"] if self.expected else []
        text = "; ".join(parts)
        return f"{text}. {self.remedy}" if self.remedy else f"{text}."


class InputError(Exception):
    """Bad input: carries every problem found at once. The command line prints them and exits with 2."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[tuple[Problem, ...]]]:
        """Made again from its problems where it comes from another process."""
        return type(self), (self.problems,)
