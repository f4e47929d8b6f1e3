"""The card beside a weight file: how it was made and what it knows, so that it can be trusted, cited and made again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rarelesion.probe import Probe


@dataclass(frozen=True, slots=True)
class Teacher:
    """Whose features were learnt."""

    backbone: str
    file: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Origin:
    """All that made a weight file."""

    backbone: str
    method: str
    command: str
    seed: int
    sides_px: tuple[int, int]
    seen: int
    seconds: float
    loss: float
    machine: str
    software: str
    teachers: Sequence[Teacher]
    start: str
    pictures: str
    compared: Sequence[str]
    file: str
    sha256: str
    bytes: int


HOW = {
    "formula": "It learnt to name the formula that drew a picture.",
    "domain": "It learnt, without labels, that two views of a picture belong together, and pictures differ (VICReg). "
    "Test it on cases whose pictures it has not seen.",
    "distil": "It learnt to give what the teachers' layers give for the same picture: those of one name as they are, "
    "others through a linear map.",
}


def card_text(origin: Origin, probes: Mapping[str, Probe]) -> str:
    """The card as Markdown."""
    return "\n".join([
        f"# Starting weights of {origin.backbone}",
        "",
        f"{HOW[origin.method]} For research. Nothing in it is from a patient's image unless the pictures below were.",
        "",
        f"* Pictures: {origin.pictures}",
        *(f"* Teacher: {_teacher(teacher)}" for teacher in origin.teachers),
        *([f"* Compared: {'; '.join(origin.compared)}"] if origin.compared else []),
        f"* Start: {origin.start or 'random numbers, each layer scaled to mean 0 and variance 1'}",
        f"* Command: `{origin.command}`",
        f"* Seed {origin.seed}; {origin.seen:,} crops seen, {origin.sides_px[0]} pixels wide, towards the end "
        f"{origin.sides_px[1]}; {origin.seconds:,.0f} seconds",
        f"* Machine: {origin.machine}; {origin.software}",
        f"* Loss at the end: {origin.loss:.3f}",
        f"* File: {origin.file}, {origin.bytes:,} bytes, float16, sha256 {origin.sha256}",
        "",
        "What its embedding knows, frozen, before it is trained on anything else:",
        "",
        "| pictures | nearest neighbours | linear | chance | pictures probed |",
        "|---|---|---|---|---|",
        *(f"| {name} | {_percent(p.nearest)} | {_percent(p.linear)} | {_percent(p.chance)} | {p.pictures} |"
          for name, p in probes.items()),
        "",
    ])  # fmt: skip


def _teacher(teacher: Teacher) -> str:
    return f"{teacher.backbone}, {teacher.file}, sha256 {teacher.sha256}, licence {teacher.licence or 'not stated'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
