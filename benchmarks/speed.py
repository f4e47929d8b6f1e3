"""How fast training and embedding are, beside Keras in the same run, and how near to what the machine can do.

    python benchmarks/speed.py --peer-python .venv-keras/bin/python --peer-script keras_reference.py

prints three tables in Markdown: milliseconds an image with the ratios to the peer, what share of the measured matrix
peak that is, and where the time of a training step goes. `--without` prints another instead: training without each of
the means that make it fast. `--json` prints the figures behind the tables. Every figure comes from a process of its
own, peer and ours in turn; the networks are untrained, since a step's time does not depend on the weights. Without a
peer the columns that need one are left out. Let nothing else run on the machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from rarelesion import convolutions, execution, training
from rarelesion.backbones import BACKBONES, Backbone, freeze_first, set_batch_norm
from rarelesion.epochs import Watch
from rarelesion.losses import Head
from rarelesion.settings import TrainingSettings
from rarelesion.training import TrainedNetwork, embed, train_network
from rarelesion.types import Epoch

NAMES = ("vgg16", "mobilenet", "resnet50")
PEER_BATCHES = (1, 16)
PEAK_SIDE = 2048
KINDS = {
    "convolutions": ("convolution", "mkldnn", "addmm", "mm"),
    "optimiser": ("_fused_adam",),
    "conversions between precisions": ("_to_copy",),
    "activations": ("relu", "hardtanh", "threshold"),
    "pooling": ("pool", "maximum"),
    "batch normalisation": ("batch_norm",),
    "random numbers and resampling": ("rand", "grid", "lerp", "where", "bitwise"),
    "copies and padding": ("clone", "copy_", "pad", "slice", "flip", "cat", "index"),
}
"""What a kind of work is called in the names of torch's operations; the first that fits counts."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="the interpreter of an environment with keras and tensorflow-cpu")
    parser.add_argument("--peer-script", help="keras_reference.py")
    parser.add_argument("--backbones", default=",".join(NAMES))
    parser.add_argument("--images", type=int, default=288, help="an epoch of ours; default: %(default)s")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--without", action="store_true", help="leave out one means at a time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("BACKBONE", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, what = arguments.one
        print(json.dumps(measure_one(name, what, arguments.images, arguments.epochs)))
        return
    names = arguments.backbones.split(",")
    if arguments.without:
        # Every means in turn for all backbones: what slows the machine for a minute then falls on one row.
        rows: dict[str, dict[str, float]] = {}
        for means in WITHOUT:
            rows[means] = {name: own(arguments, name, means)["ms"] for name in names}
            if not arguments.json:
                print("\n".join(means_lines(rows, means)), flush=True)
        if arguments.json:
            print(json.dumps({"machine": machine(), "without": rows}, indent=1))
        return
    result = {"machine": machine(), "peak_gflops": own(arguments, "-", "peak")}
    result["backbones"] = {name: measure(arguments, name) for name in names}
    print(json.dumps(result, indent=1) if arguments.json else tables(result))


def machine() -> dict[str, Any]:
    """What it ran on."""
    abilities = getattr(torch.cpu, "get_capabilities", dict)()
    native = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if abilities.get(name)]
    return {"cores": os.cpu_count(), "abilities": native, "system": platform.system(), "torch": torch.__version__}


def measure(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Peer and ours in turn, for one backbone."""
    result: dict[str, Any] = {"peer": {}}
    for batch in PEER_BATCHES:
        if arguments.peer_python:
            command = [arguments.peer_python, arguments.peer_script, name, "--batch", str(batch)]
            result["peer"][str(batch)] = run(command)
        for what in ("paper",) if batch == 1 else ("fast", "pair", "embed", "profile"):
            result[what] = own(arguments, name, what)
    return result


def own(arguments: argparse.Namespace, name: str, what: str) -> Any:
    sizes = ["--images", str(arguments.images), "--epochs", str(arguments.epochs)]
    return run([sys.executable, __file__, "--one", name, what, *sizes])


def run(command: list[str]) -> Any:
    """The JSON a process prints last."""
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}")
    return json.loads(finished.stdout.strip().splitlines()[-1])


def measure_one(name: str, what: str, images: int, epochs: int) -> Any:
    """One figure, in this process."""
    if what in WITHOUT:
        return train_without(name, what, images, epochs)
    if what == "peak":
        return {"float32": peak(torch.float32), "bfloat16": peak(torch.bfloat16)}
    if what == "paper":
        return train(name, TrainingSettings(profile="paper"), images // 3, epochs)
    if what == "fast":
        return train(name, TrainingSettings(), images, epochs) | {"gflop": gflop(name)}
    if what == "embed":
        return embedding(name, images, epochs)
    return pair(name, images, epochs) if what == "pair" else profile(name, images, epochs)


def peak(precision: torch.dtype) -> float:
    """GFLOP/s of a product of two square matrices."""
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE).to(precision) for _ in range(2))
    times = [seconds(lambda: a @ b) for _ in range(15)]
    return round(2 * PEAK_SIDE**3 / median(times[3:]) / 1e9)


def seconds(work: Any) -> float:
    """Of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def toy(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, in two classes."""
    pixels = np.random.default_rng(0).random((images, 3, 100, 100), dtype=np.float32)
    return pixels, np.arange(images) % 2


def train(name: str, settings: TrainingSettings, images: int, epochs: int) -> dict[str, float]:
    """Milliseconds a training image, augmentation and all: the median of the epochs after the first two."""
    seen: list[Epoch] = []
    settings = replace(settings, max_epochs=epochs + 2, patience=1000)
    tune = toy(2)
    train_network(BACKBONES[name](), *toy(images), *tune, None, settings, None, seed=0, watch=Watch(seen.append))
    return {"ms": round(median(epoch.seconds for epoch in seen[2:]) / images * 1e3, 2)}


class PlainExecutor:
    """What `Executor` is instead of: the layers as they are written, in the precision that torch's autocast chooses."""

    def __init__(self, backbone: Backbone, precision: torch.dtype) -> None:
        self.backbone, self.precision = backbone, precision

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            return self.backbone(pixels.contiguous(memory_format=torch.channels_last)).float()


def only_held(backbone: Backbone) -> None:
    """What `absorb_batch_norm` is instead of."""
    set_batch_norm(backbone, "frozen")


WITHOUT: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "nothing": ({}, ()),
    "bfloat16": ({"precision": "float32"}, ()),
    "batches of 32: of 16": ({"batch_size": 16}, ()),
    "batches of 32: of 1": ({"batch_size": 1}, ()),
    "frozen layers": ({"frozen_layers": 0}, ()),
    "our walk through the layers: torch's autocast": ({}, (training, "Executor", PlainExecutor)),
    "batch norm absorbed into the weights": ({}, (training, "absorb_batch_norm", only_held)),
    "batch norm held at its statistics": ({"batch_norm": "trained"}, ()),
    "shifted copies on small maps": ({}, (convolutions, "ROWS_A_CHANNEL", 0)),
    "a few patches at a time on wide maps": ({}, (execution, "CACHE_BYTES", 10**12)),
    "the optimiser in memory's order": ({}, (training, "_in_memory_order", lambda weight: weight)),
}
"""What is left out -> the settings that differ, and what stands in for a part of the code."""


def train_without(name: str, what: str, images: int, epochs: int) -> dict[str, float]:
    """The profile `fast` without one of its means."""
    settings, stand_in = WITHOUT[what]
    with patch.object(*stand_in) if stand_in else nullcontext():
        return train(name, replace(TrainingSettings(), **settings), images, epochs)


def means_lines(rows: dict[str, dict[str, float]], means: str) -> list[str]:
    """Milliseconds without one means, and how many times as long that is; the first with the table's head."""
    whole = rows["nothing"]
    head = [f"| ms a training image without | {' | '.join(whole)} |", "| --- |" + " ---: |" * len(whole)]
    cells = " | ".join(f"{ms:.1f} ({ms / whole[name]:.2f} x)" for name, ms in rows[means].items())
    return [*(head if means == "nothing" else ()), f"| {means} | {cells} |"]


def pair(name: str, images: int, epochs: int) -> dict[str, float]:
    """Milliseconds an image of two networks trained side by side, a thread each, as a study does on two cores."""
    command = [sys.executable, __file__, "--one", name, "fast", "--images", str(images), "--epochs", str(epochs + 4)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) // 2))}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    times = [json.loads(process.communicate()[0].strip().splitlines()[-1])["ms"] for process in both]
    return {"ms": round(sum(times) / 4, 2)}


def embedding(name: str, images: int, epochs: int) -> dict[str, float]:
    """Milliseconds an embedded image, in the precision of the fast profile and in float32."""
    backbone = BACKBONES[name]()
    backbone.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    network = TrainedNetwork(backbone, Head(backbone.dim, 3, None), 3, ())
    pixels = toy(images)[0]
    result = {}
    for kind, settings in (("fast", TrainingSettings()), ("float32", TrainingSettings(precision="float32"))):
        times = [seconds(lambda s=settings: embed(network, pixels, s)) for _ in range(epochs + 2)]
        result[kind] = round(median(times[2:]) / images * 1e3, 2)
    return result


def gflop(name: str) -> float:
    """GFLOP of one training image: all layers forward, the ones that learn backward."""
    backbone = BACKBONES[name]().train()
    freeze_first(backbone, TrainingSettings().frozen_layers)
    set_batch_norm(backbone, "frozen")
    counter = FlopCounterMode(display=False)
    with counter:
        backbone(torch.rand(1, 3, 100, 100)).sum().backward()
    return round(counter.get_total_flops() / 1e9, 2)


class _Stopwatch(TorchDispatchMode):
    """Times every operation by its name while `running`."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.running = False
        self.within = ""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        begin = time.perf_counter()
        result = operation(*args, **(kwargs or {}))
        if self.running:
            self.spent[self.within or operation.name()] += time.perf_counter() - begin
        return result

    def as_one(self, function: Callable[..., Any], name: str) -> staticmethod:
        """The function, all operations in it counted under one name."""

        def counted(*arguments: Any) -> Any:
            self.within = name
            try:
                return function(*arguments)
            finally:
                self.within = ""

        return staticmethod(counted)


def profile(name: str, images: int, epochs: int) -> dict[str, float]:
    """Share of a training image's time by kind of work; the rest is Python and the calls themselves.

    Operations are timed one by one in one training, and set against the time of those before and after it in which
    nothing is timed. What the machine did otherwise in the meantime can make the sum a few hundredths more than 1.
    """
    untimed = [train(name, TrainingSettings(), images, epochs)["ms"]]
    watch = _Stopwatch()

    def on_epoch(epoch: Epoch) -> None:
        watch.running = epoch.epoch >= 2

    settings = TrainingSettings(max_epochs=epochs + 2, patience=1000)
    shifted = convolutions._ShiftedConvolution
    # the copies it makes are its way to convolve, as those inside the library's own convolution are the library's
    ours = {way: watch.as_one(getattr(shifted, way), "shifted convolution") for way in ("forward", "backward")}
    with watch, patch.multiple(shifted, **ours):
        train_network(BACKBONES[name](), *toy(images), *toy(2), None, settings, None, seed=0, watch=Watch(on_epoch))
    untimed.append(train(name, TrainingSettings(), images, epochs)["ms"])
    whole = sum(untimed) / len(untimed)
    shares: defaultdict[str, float] = defaultdict(float)
    for operation, spent in watch.spent.items():
        kind = next((kind for kind, parts in KINDS.items() if any(part in operation for part in parts)), "other")
        shares[kind] += spent / (images * epochs) * 1e3 / whole
    return {"ms": round(whole, 2)} | {kind: round(share, 3) for kind, share in shares.items()}


def tables(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    return "\n\n".join((speed_table(result), peak_table(result), profile_table(result)))


def speed_table(result: dict[str, Any]) -> str:
    """Ours beside the peer's."""
    rows = [
        "| ms an image, 100 x 100 | Keras, batch 1 | Keras, batch 16 | `paper` | `fast` | `fast`, two side by side"
        " | Keras embeds | `fast` embeds | in float32 |",
        "| --- |" + " ---: |" * 8,
    ]
    for name, found in result["backbones"].items():
        peers = [found["peer"].get(str(batch)) for batch in PEER_BATCHES]
        trained = [peer["train_ms_per_image"] if peer else None for peer in peers]
        embedded = min((peer["predict_ms_per_image"] for peer in peers if peer), default=None)
        cells = [*(shown(ms) for ms in trained), against(found["paper"]["ms"], trained[:1])]
        cells += [against(found[what]["ms"], trained) for what in ("fast", "pair")]
        cells += [shown(embedded), *(against(found["embed"][kind], [embedded]) for kind in ("fast", "float32"))]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def shown(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.1f}"


def against(ms: float, peers: list[float | None]) -> str:
    """The time, and how many times faster than each peer that is."""
    ratios = ", ".join(f"{peer / ms:.1f} x" for peer in peers if peer is not None)
    return f"{ms:.1f} ({ratios})" if ratios else f"{ms:.1f}"


def peak_table(result: dict[str, Any]) -> str:
    """What share of a large matrix product's speed the training reaches."""
    peaks = result["peak_gflops"]
    rows = [
        f"Matrix product of {PEAK_SIDE} x {PEAK_SIDE}: {peaks['float32']} GFLOP/s in float32, {peaks['bfloat16']} in"
        " bfloat16.\n",
        "| | GFLOP a training image | GFLOP/s reached | share of the bfloat16 peak |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, found in result["backbones"].items():
        reached = found["fast"]["gflop"] / found["fast"]["ms"] * 1e3
        share = reached / peaks["bfloat16"]
        rows.append(f"| {name} | {found['fast']['gflop']} | {reached:.0f} | {100 * share:.0f} % |")
    return "\n".join(rows)


def profile_table(result: dict[str, Any]) -> str:
    """Where a training step's time goes."""
    found = {name: entry["profile"] for name, entry in result["backbones"].items()}
    kinds = [*KINDS, "other"]
    rows = [f"| share of the time | {' | '.join(found)} |", "| --- |" + " ---: |" * len(found)]
    for kind in kinds:
        cells = " | ".join(f"{100 * entry.get(kind, 0):.0f} %" for entry in found.values())
        rows.append(f"| {kind} | {cells} |")
    rest = " | ".join(f"{100 * (1 - sum(entry.get(kind, 0) for kind in kinds)):.0f} %" for entry in found.values())
    return "\n".join([*rows, f"| Python and the calls | {rest} |"])


if __name__ == "__main__":
    main()
