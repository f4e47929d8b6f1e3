"""A study's plan: what it will train and how long that takes on this machine, known before it starts."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapreplace
from typing import Protocol

from rarelesion.backbones import BACKBONES
from rarelesion.contrasts import SCORERS
from rarelesion.errors import InputError
from rarelesion.jobs import NetworkJob, network_jobs
from rarelesion.learning_curve import curve_jobs
from rarelesion.pace import Pace
from rarelesion.recipes import AUTO, PAPER_RECIPES, Recipe, parse_recipe
from rarelesion.settings import DetectorSettings, Precision, Settings
from rarelesion.splits import make_splits
from rarelesion.types import Cohort, Split
from rarelesion.workers import threads_each

CLEARLY_FASTER = 0.8
"""A step in bfloat16 takes less than this share of one in float32, or its rounding is not worth it."""


class Machine(Protocol):
    """What has to be known of the machine a study runs on; `pace.ThisMachine` measures it."""

    @property
    def precisions(self) -> tuple[Precision, ...]: ...

    @property
    def spent(self) -> float: ...

    def pace(self, name: str, settings: Settings, workers: int, threads: int) -> Pace: ...

    def teaching(self, name: str, settings: Settings) -> float: ...

    def detecting(self, detector: str, n_train: int, n_cases: int, settings: DetectorSettings) -> float: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """A study as it is going to run, with the seconds its parts take where no network stops early."""

    settings: Settings
    splits: tuple[Split, ...]
    n_networks: int
    left: tuple[NetworkJob, ...]
    """The networks that are not made yet."""
    workers: int
    """So many of them side by side."""
    seconds_of: Mapping[str, float]
    """Id of a network that is left -> its seconds, in training and in reading every case."""
    teaching: Mapping[str, float]
    """Backbone -> the seconds in which it is taught textures before the networks start from it."""
    detecting: float
    """Seconds of all detectors on all splits."""
    measured: Mapping[Precision, Mapping[str, float]] = field(default_factory=dict)
    """Precision -> backbone -> seconds a training image; empty where the precision was given."""
    reason: str = ""
    """Why a budget of time has changed something, in words; empty where it has not."""
    changes: tuple[str, ...] = ()
    """What it has changed."""

    @property
    def threads(self) -> int:
        """Of each network."""
        return threads_each(self.n_networks)

    @property
    def training(self) -> float:
        """Seconds until the last network is made, the longest being trained first."""
        loads = [0.0] * self.workers
        for seconds in sorted(self.seconds_of.values(), reverse=True):
            heapreplace(loads, loads[0] + seconds)
        return max(loads)

    @property
    def seconds(self) -> float:
        """In all."""
        return self.training + sum(self.teaching.values()) + self.detecting

    def shares(self) -> dict[str, tuple[int, float]]:
        """Backbone -> how many of its networks are left, and their share of the seconds of training."""
        scale = self.training / (sum(self.seconds_of.values()) or 1.0)
        counts = Counter(job.backbone for job in self.left)
        return {
            name: (count, scale * sum(self.seconds_of[job.id] for job in self.left if job.backbone == name))
            for name, count in counts.items()
        }


def parse_recipes(settings: Settings) -> tuple[Recipe, ...]:
    """The recipes the settings name (none named: the paper's sixteen), every wrong one reported at once.

    A choice among them (`auto`) is none itself.
    """
    recipes, problems = [], []
    for name in dict.fromkeys(settings.recipes or PAPER_RECIPES):
        if name == AUTO:
            continue
        try:
            recipes.append(parse_recipe(name, tuple(BACKBONES), SCORERS))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return tuple(recipes)


def plan_study(settings: Settings, cohort: Cohort, machine: Machine, workers: int) -> Plan:
    """The plan of a study that begins; where its precision is open, the one that is faster here is in its settings.

    Raises InputError where a part of a split would be left without one of the classes.
    """
    splits = make_splits(cohort, settings.split, settings.seed)
    jobs = network_jobs(parse_recipes(settings), splits)
    classifiers = Counter(job.backbone for job in jobs if job.backbone != "cvae")
    if settings.training.precision is not None or not classifiers:
        return forecast(settings, cohort, splits, machine, workers)
    measured: dict[Precision, dict[str, float]] = {}
    for precision in machine.precisions:
        candidate = with_precision(settings, precision)
        measured[precision] = {
            name: machine.pace(name, candidate, min(workers, len(jobs)), threads_each(len(jobs))).learn
            for name in classifiers
        }
    chosen = choose_precision(
        {
            precision: sum(count * learn[name] for name, count in classifiers.items())
            for precision, learn in measured.items()
        }
    )
    plan = forecast(with_precision(settings, chosen), cohort, splits, machine, workers)
    return replace(plan, measured=measured)


def with_precision(settings: Settings, precision: Precision) -> Settings:
    """The same settings with the precision set."""
    return replace(settings, training=replace(settings.training, precision=precision))


def choose_precision(seconds: Mapping[Precision, float]) -> Precision:
    """The precision to train in, from the seconds the same work takes in each: bfloat16 where it is clearly faster.

    >>> choose_precision({"float32": 1.0, "bfloat16": 0.7})
    'bfloat16'
    """
    faster = "bfloat16" in seconds and seconds["bfloat16"] < CLEARLY_FASTER * seconds["float32"]
    return "bfloat16" if faster else "float32"


def forecast(
    settings: Settings,
    cohort: Cohort,
    splits: tuple[Split, ...],
    machine: Machine,
    workers: int,
    done: Collection[str] = (),
    trained: Collection[str] = (),
) -> Plan:
    """The plan of a study whose settings and splits stand.

    `done` are the ids of the networks that are made, `trained` of those that have only to read the cases yet.
    """
    recipes = parse_recipes(settings)
    jobs = all_jobs(settings, recipes, splits, cohort)
    workers = max(1, min(workers, len(jobs)))
    left = tuple(job for job in jobs if job.id not in done)
    names, threads = dict.fromkeys(job.backbone for job in left), threads_each(len(jobs))
    paces = {name: machine.pace(name, settings, workers, threads) for name in names}
    benign = {case.case_id for case in cohort.cases if case.label == 0}
    epochs = {job.id: 0 if job.id in trained else most_epochs(job, settings) for job in left}
    n_cases, normal = len(cohort.cases), len(benign.intersection(splits[0].train))
    detectors = [one.detector for recipe in recipes for one in recipe.networks if one.detector]
    return Plan(
        settings=settings,
        splits=splits,
        n_networks=len(jobs),
        left=left,
        workers=workers,
        seconds_of={
            job.id: epochs[job.id] * _epoch_seconds(job, paces[job.backbone], settings, benign)
            + n_cases * settings.images.slices * paces[job.backbone].embed
            for job in left
        },
        teaching={name: machine.teaching(name, settings) for name in paces if name != "cvae"},
        detecting=len(splits) * sum(machine.detecting(name, normal, n_cases, settings.detectors) for name in detectors),
    )


def all_jobs(
    settings: Settings, recipes: Sequence[Recipe], splits: Sequence[Split], cohort: Cohort
) -> tuple[NetworkJob, ...]:
    """Every network of a study: those of its recipes, then those of its learning curves."""
    return (*network_jobs(recipes, splits), *curve_jobs(settings, recipes, splits, cohort))


def _epoch_seconds(job: NetworkJob, pace: Pace, settings: Settings, benign: set[str]) -> float:
    train, tune = set(job.split.train), set(job.split.tune)
    if job.backbone == "cvae" and settings.cvae.condition == "none":
        train, tune = train & benign, tune & benign
    patches = len(train) * (1 + settings.textures.per_case * job.texture) * pace.learn + len(tune) * pace.embed
    return patches * settings.images.slices


def most_epochs(job: NetworkJob, settings: Settings) -> int:
    """How many epochs a network is trained if it does not stop early."""
    if job.frozen:
        return 0
    most = settings.cvae.max_epochs if job.backbone == "cvae" else settings.training.resolved().max_epochs
    assert most is not None
    return most
