"""Augmentation: what it may change, what it must leave, and that its random numbers are its own."""

from dataclasses import replace

import pytest
import torch

from rarelesion.augment import augment, erase, mix_up, turn
from rarelesion.settings import TrainingSettings

PLAIN = TrainingSettings(rotation_degrees=0.0, flips=False, erasing_probability=0.0, mixup=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patches(count: int, side_px: int = 21) -> torch.Tensor:
    return torch.rand((count, 3, side_px, side_px), generator=generator(99))


def test_everything_switched_off_leaves_the_patches_alone():
    pixels = patches(3)
    assert torch.equal(augment(pixels, PLAIN, generator()), pixels)


def test_a_vanishing_rotation_without_flips_is_the_identity():
    pixels = patches(4)
    turned = turn(pixels, replace(PLAIN, rotation_degrees=1e-6), generator())
    torch.testing.assert_close(turned, pixels, atol=1e-4, rtol=0)


def test_flips_alone_give_the_four_mirror_images_about_equally_often():
    pixel = patches(1)
    turned = turn(pixel.repeat(400, 1, 1, 1), replace(PLAIN, flips=True), generator())
    mirrors = [pixel, pixel.flip(2), pixel.flip(3), pixel.flip(2, 3)]
    counts = [int(((turned - mirror).abs().amax(dim=(1, 2, 3)) < 1e-4).sum()) for mirror in mirrors]
    assert sum(counts) == 400
    assert min(counts) > 60


def test_rotation_keeps_the_disc_in_the_middle_and_brings_in_black():
    side_px = 41
    place = torch.arange(side_px) - side_px // 2
    radius = torch.hypot(place[:, None].float(), place[None, :].float())
    turned = turn((radius < 12).float().expand(50, 3, -1, -1), replace(PLAIN, rotation_degrees=180.0), generator())
    assert torch.all(turned[:, :, radius < 10] > 0.99)
    bright = turn(torch.ones(50, 3, side_px, side_px), replace(PLAIN, rotation_degrees=180.0), generator())
    corner = bright[:, 0, 0, 0]
    assert corner.min() == 0
    assert torch.all(bright[:, :, radius < 18] > 0.99)


def test_rotation_angles_fill_the_whole_circle():
    marked = torch.zeros(200, 3, 41, 41)
    marked[:, :, 18:23, 32:37] = 1.0
    turned = turn(marked, replace(PLAIN, rotation_degrees=180.0), generator())[:, 0]
    place = torch.arange(41.0) - 20
    mass = turned.sum(dim=(1, 2))
    angle = torch.atan2((turned.sum(2) * place).sum(1) / mass, (turned.sum(1) * place).sum(1) / mass)
    assert torch.histc(angle, 8, -torch.pi, torch.pi).min() >= 10


def test_erased_boxes_have_the_area_and_aspect_asked_for():
    settings = replace(PLAIN, erasing_probability=1.0)
    covered = erase(torch.full((500, 3, 100, 100), 2.0), settings, generator()) != 2.0
    assert torch.equal(covered[:, 0], covered[:, 1])
    share = covered[:, 0].float().mean(dim=(1, 2))
    assert 0.018 < share.min() < 0.04
    assert 0.37 < share.max() < 0.42
    rows, columns = (covered[:, 0].any(axis).sum(1) for axis in (2, 1))
    assert torch.equal((rows * columns), covered[:, 0].sum(dim=(1, 2)))
    aspect = rows / columns
    assert 0.27 < aspect.min() < 0.4
    assert 2.5 < aspect.max() < 3.6
    assert torch.log(aspect).mean().abs() < 0.1


def test_erasing_hits_the_asked_share_of_patches_and_stays_in_range():
    erased = erase(torch.full((600, 3, 30, 30), 2.0), replace(PLAIN, erasing_probability=0.5), generator())
    hit = (erased != 2.0).flatten(1).any(1)
    assert 0.42 < hit.float().mean() < 0.58
    noise = erased[erased != 2.0]
    assert noise.min() >= 0
    assert noise.max() <= 1
    assert noise.mean() == pytest.approx(0.5, abs=0.01)


def test_mix_up_blends_patch_and_class_in_the_same_ratio():
    targets, partners = torch.eye(3)[[0, 1, 2, 0]], torch.eye(3)[[1, 1, 0, 2]]
    pixels, others = torch.ones(4, 3, 5, 5), torch.zeros(4, 3, 5, 5)
    mixed, soft = mix_up(pixels, targets, others, partners, 0.4, generator())
    torch.testing.assert_close(soft.sum(1), torch.ones(4))
    share = mixed[:, 0, 0, 0]
    torch.testing.assert_close(soft, share[:, None] * targets + (1 - share[:, None]) * partners)


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_mix_up_ratio_has_the_moments_of_the_beta_distribution(strength: float):
    ones, zeros = torch.ones(4000, 1, 1, 1), torch.zeros(4000, 1, 1, 1)
    share = mix_up(ones, torch.ones(4000, 1), zeros, torch.zeros(4000, 1), strength, generator())[1]
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / (4 * (2 * strength + 1)), abs=0.01)


def test_mix_up_of_strength_zero_is_off():
    pixels, targets = patches(2), torch.eye(2)
    mixed, soft = mix_up(pixels, targets, pixels.flip(0), targets.flip(0), 0.0, generator())
    assert torch.equal(mixed, pixels)
    assert torch.equal(soft, targets)


@pytest.mark.parametrize("count", [1, 5])
def test_same_generator_same_patches_and_the_global_generator_is_untouched(count: int):
    before = torch.get_rng_state()
    first = augment(patches(count), TrainingSettings(), generator(7))
    assert torch.equal(first, augment(patches(count), TrainingSettings(), generator(7)))
    assert not torch.equal(first, augment(patches(count), TrainingSettings(), generator(8)))
    assert first.shape == (count, 3, 21, 21)
    assert torch.equal(before, torch.get_rng_state())
