"""A training that was stopped and gone on with ends where one that was never stopped ends."""

import pytest
import torch
from torch import nn

from rarelesion.epochs import Course, Randomness, Snapshot, Watch, run_epochs
from rarelesion.errors import InputError
from rarelesion.types import Epoch


class Stopped(Exception):
    """By the test."""


def train(watch: Watch, epochs: int = 9, patience: int = 50, losses: list[float] | None = None) -> tuple:
    """A line fitted to noise; the tuning loss swings so that the best epoch is not the last."""
    model = nn.Linear(3, 1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(0.1)
    optimiser = torch.optim.Adam(model.parameters(), 0.1)
    randomness = Randomness.seeded(1, 2)
    course = Course(model, optimiser, randomness)

    def epoch() -> tuple[float, float]:
        values = torch.randn(8, 3, generator=randomness.generator)
        loss = (model(values) - float(randomness.rng.normal())).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        tune = losses[len(course.history)] if losses else abs(len(course.history) % 4 - 2) + loss.item() / 100
        return loss.item(), tune

    history = run_epochs(course, epoch, epochs, patience, "Do better.", watch)
    return [(one.epoch, one.train_loss, one.tune_loss) for one in history], model.state_dict()


def copied(snapshot: Snapshot) -> Snapshot:
    return Snapshot({key: value.clone() for key, value in snapshot.tensors.items()}, dict(snapshot.note))


@pytest.mark.parametrize("at", range(1, 9))
def test_gone_on_with_after_any_epoch_the_end_is_the_same(at: int) -> None:
    history, weights = train(Watch())
    kept: list[Snapshot] = []

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == at:
            raise Stopped

    with pytest.raises(Stopped):
        train(Watch(stop, lambda take: kept.append(copied(take()))))
    assert len(kept) == at
    again, weights_again = train(Watch(resume=kept[-1]))
    assert again == history
    assert all(torch.equal(weights_again[key], value) for key, value in weights.items())


def test_a_finished_training_is_not_trained_further() -> None:
    kept: list[Snapshot] = []
    history, weights = train(Watch(None, lambda take: kept.append(copied(take()))))
    told: list[Epoch] = []
    again, weights_again = train(Watch(told.append, resume=kept[-1]))
    assert (again, told) == (history, [])
    assert all(torch.equal(weights_again[key], value) for key, value in weights.items())


def test_patience_counts_over_an_interruption() -> None:
    losses = [3.0, 1.0, 2.0, 2.0, 2.0, 0.5]
    kept: list[Snapshot] = []
    history, _ = train(Watch(None, lambda take: kept.append(copied(take()))), patience=3, losses=losses)
    assert [row[0] for row in history] == [1, 2, 3, 4, 5]
    assert train(Watch(resume=kept[3]), patience=3, losses=losses)[0] == history


def test_a_snapshot_of_another_network_is_refused() -> None:
    with pytest.raises((KeyError, RuntimeError)):
        train(Watch(resume=Snapshot({"model.other": torch.zeros(1)}, {})))


def test_a_loss_that_is_no_number_ends_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"epoch 2.*Do better"):
        train(Watch(), losses=[1.0, float("nan")])
