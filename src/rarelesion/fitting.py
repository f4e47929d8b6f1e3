"""One network of one split: how it is trained or fetched back, and what it says of every case."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rarelesion import cvae, store, training, weights
from rarelesion.backbones import BACKBONES, set_style
from rarelesion.checkpoint import Checkpoint
from rarelesion.errors import InputError, Problem
from rarelesion.greyscale import standard_scale
from rarelesion.jobs import NetworkJob
from rarelesion.layers import Backbone
from rarelesion.settings import Settings
from rarelesion.starts import made_anew, mended_by_removing
from rarelesion.types import Embeddings, Epoch, Floats, Patches, PatchRows

OnEpoch = Callable[[Epoch], None]
GREYS = "-greys.json"
"""How the file ends, beside a network's embeddings, that holds the standard scale of greys where one was learned."""


@dataclass(frozen=True, eq=False, slots=True)
class Material:
    """What every network of a study is made from."""

    patches: Patches
    label_of: Mapping[str, int]
    textures: NDArray[np.float32]
    """(m, 3, side, side), the pool of the texture class; empty where no recipe needs it."""
    starts: Mapping[str, Backbone]
    """Backbone name -> the weights every network of that backbone starts from."""
    settings: Settings


def job_seed(seed: int, job: NetworkJob) -> int:
    """The seed of one network, the same whatever else the study trains and in whichever order."""
    parts = [seed, job.split.repeat, job.split.fold, crc32((job.network + job.subset).encode())]
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def fit_job(folder: Path, job: NetworkJob, material: Material, on_epoch: OnEpoch) -> None:
    """Train a network and write its weights, history and embeddings; what is already there is not made again."""
    embeddings_path = folder / "embeddings" / f"{job.id}.npz"
    if embeddings_path.exists():
        return
    part_of = {case_id: part for part in ("train", "tune", "test") for case_id in getattr(job.split, part)}
    rows = [row for row, case_id in enumerate(material.patches.case_ids) if case_id in part_of]
    case_ids = [material.patches.case_ids[row] for row in rows]
    # Greys that are scaled in each split are others in another split.
    found = _read_before(folder, job, case_ids) if material.patches.greys is None else None
    scale = _scale(material.patches, job.split.train)
    if scale is not None:
        store.write_json(embeddings_path.with_name(f"{job.id}{GREYS}"), scale.tolist())
    if found is None:
        fit = _fit_cvae if job.backbone == "cvae" else _fit_classifier
        vectors, logits = fit(job.weights_path(folder), job, material, on_epoch)
        found = vectors[rows], logits[rows]
    embeddings = Embeddings(
        network=job.network,
        repeat=job.split.repeat,
        fold=job.split.fold,
        case_ids=np.array(case_ids, dtype=np.str_),
        parts=np.array([part_of[case_id] for case_id in case_ids], dtype=np.str_),
        labels=np.array([material.label_of[case_id] for case_id in case_ids], dtype=np.int64),
        vectors=found[0],
        logits=found[1],
    )
    store.write_embeddings(embeddings_path, embeddings)


def _read_before(
    folder: Path, job: NetworkJob, case_ids: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """What a frozen network said of these cases in another split of the run: it says the same in all of them."""
    for path in sorted((folder / "embeddings").glob(f"{job.network}-r*.npz")) if job.frozen else ():
        known = store.read_embeddings(path)
        row_of = {case_id: row for row, case_id in enumerate(known.case_ids.tolist())}
        if row_of.keys() >= set(case_ids):
            rows = [row_of[case_id] for case_id in case_ids]
            return known.vectors[rows], known.logits[rows]
    return None


def _fit_classifier(
    path: Path, job: NetworkJob, material: Material, on_epoch: OnEpoch
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    settings = material.settings
    if path.exists():
        network = restore_classifier(path, job.backbone)
    elif job.frozen:
        network = training.untrained(material.starts[job.backbone])
        weights.save_state(path, network.state(), {"alpha": "", "style": network.backbone.style})
    else:
        checkpoint = Checkpoint(path.with_name("checkpoint.safetensors"))
        network = training.train_network(
            material.starts[job.backbone],
            *_part(material, job.split.train, job.split.train),
            *_part(material, job.split.tune, job.split.train),
            textures=material.textures if job.texture else None,
            settings=settings.training,
            alpha=settings.training.alpha if job.l2 else None,
            seed=job_seed(settings.seed, job),
            watch=checkpoint.watch(on_epoch),
            textures_per_case=settings.textures.per_case,
        )
        store.write_history(path.with_name("history.csv"), network.history)
        alpha = repr(settings.training.alpha) if job.l2 else ""
        weights.save_state(path, network.state(), {"alpha": alpha, "style": network.backbone.style})
        checkpoint.remove()
    pixels = _all(material.patches, _scale(material.patches, job.split.train))
    return of_cases(material.patches, *training.embed(network, pixels, settings.training))


def restore_classifier(path: Path, backbone: str) -> training.TrainedNetwork:
    """Fetch a trained network back from its run; InputError where the file is damaged or another network's."""
    with mended_by_removing(path):
        state, metadata = weights.load_state(path)
        empty = BACKBONES[backbone]()
        set_style(empty, "torchvision" if metadata["style"] == "torchvision" else "keras")
        return training.rebuild(empty, float(metadata["alpha"]) if metadata["alpha"] else None, state)


def restore_cvae(path: Path) -> cvae.TrainedCvae:
    """Fetch a trained CVAE back from its run; InputError where the file is damaged or another network's."""
    with mended_by_removing(path):
        return cvae.rebuild(weights.load_state(path)[0])


def _fit_cvae(
    path: Path, job: NetworkJob, material: Material, on_epoch: OnEpoch
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if path.exists():
        model = restore_cvae(path)
    else:
        checkpoint = Checkpoint(path.with_name("checkpoint.safetensors"))
        model = cvae.train_cvae(
            *_part(material, job.split.train, job.split.train),
            *_part(material, job.split.tune, job.split.train),
            settings=material.settings.cvae,
            seed=job_seed(material.settings.seed, job),
            watch=checkpoint.watch(on_epoch),
        )
        store.write_history(path.with_name("history.csv"), model.history)
        weights.save_state(path, model.state(), {})
        checkpoint.remove()
    latents, scores = cvae.score_cvae(model, _all(material.patches, _scale(material.patches, job.split.train)))
    return of_cases(material.patches, latents, scores.astype(np.float32)[:, None])


def of_cases(
    patches: Patches, vectors: NDArray[np.float32], logits: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings and logits of the cases, from those of their slices: the mean."""
    if patches.slices == 1:
        return vectors, logits
    shape = len(patches.case_ids), patches.slices, -1
    return vectors.reshape(shape).mean(axis=1), logits.reshape(shape).mean(axis=1)


def _part(material: Material, case_ids: Sequence[str], train: Sequence[str]) -> tuple[PatchRows, NDArray[np.int64]]:
    """Patches and labels of cases, on the scale of greys of the training cases."""
    row_of = {case_id: row for row, case_id in enumerate(material.patches.case_ids)}
    labels = np.array([material.label_of[case_id] for case_id in case_ids], dtype=np.int64)
    rows = np.array([row_of[case_id] for case_id in case_ids], dtype=np.int64)
    patches = material.patches
    fetched = PatchRows(patches.pixels, patches.rows(rows), _scale(patches, train))
    return fetched, np.repeat(labels, patches.slices)


def _scale(patches: Patches, train: Sequence[str]) -> NDArray[np.float64] | None:
    """The standard scale of greys that training cases have; None where none is to be learned."""
    if patches.greys is None:
        return None
    row_of = {case_id: row for row, case_id in enumerate(patches.case_ids)}
    rows = patches.rows(np.array([row_of[case_id] for case_id in train], dtype=np.int64))
    return standard_scale(patches.greys[rows])


def _all(patches: Patches, scale: Floats | None) -> PatchRows:
    return PatchRows(patches.pixels, np.arange(len(patches.pixels)), scale)


def on_the_scale_of(folder: Path, job: NetworkJob, patches: Patches) -> PatchRows:
    """New patches on the scale of greys that a network of a run learned; InputError where that is missing."""
    path = folder / "embeddings" / f"{job.id}{GREYS}"
    if patches.greys is None:
        return _all(patches, None)
    if not path.exists():
        raise InputError(Problem(str(path), "is missing", remedy=made_anew(job.weights_path(folder))))
    return _all(patches, np.array(store.read_json(path), dtype=np.float64))
