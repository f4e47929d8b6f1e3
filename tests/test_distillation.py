"""Distillation: a student comes to see what its teacher sees, whether of its kind or not."""

import numpy as np
import pytest
import torch

from rarelesion.album import Album
from rarelesion.backbones import BACKBONES
from rarelesion.distillation import LED, Distillation
from rarelesion.learning import Extent, learn, new_backbone, placed
from rarelesion.pictures import draw_picture


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def album():
    return Album(lambda rng, side: (draw_picture(rng, side), 0), seed=0, pages=24)


@pytest.fixture
def pixels(album):
    return album.crops(32, 32, 0)[0]


def teacher(seed=5, name="tiny"):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = placed(BACKBONES[name](), torch.device("cpu"))
        for weight in backbone.parameters():
            if weight.ndim == 1:
                torch.nn.init.uniform_(weight, 0.5, 1.5)
    return backbone.eval()


def explained(lesson, pixels, share=1.0):
    lesson.eval()
    lesson.share = share
    with torch.no_grad():
        return {name: float(loss) for name, loss in lesson.losses(pixels).items()}


def test_a_student_of_the_teachers_kind_comes_to_give_the_same_maps(album, pixels):
    student = new_backbone("tiny", 0, pixels)
    lesson = Distillation(student, {"tiny": teacher()}, album, pixels, torch.float32)
    assert lesson.pairs() == ["5 layers with those of the same name in tiny"]
    assert len(lesson.bridges) == 0
    before = explained(lesson, pixels)
    learn(lesson, Extent(1200, None, (32, 32)))
    after = explained(lesson, album.crops(64, 32, 10_000)[0])
    for layer, error in after.items():
        assert error < before[layer] / 2, layer
    assert after["tiny:conv1_relu"] < 0.6


def test_where_it_is_led_each_layer_learns_from_the_teachers_map_before_it(album, pixels):
    model = teacher()
    student = teacher()
    with torch.no_grad():
        next(student.get_submodule("conv1").parameters()).normal_()
    lesson = Distillation(student, {"tiny": model}, album, pixels, torch.float32).eval()
    led, alone = explained(lesson, pixels, 0.0), explained(lesson, pixels, LED)
    assert led["tiny:conv1_relu"] > 0.1
    assert led["tiny:conv2_relu"] == pytest.approx(0, abs=0.01)
    assert alone["tiny:conv2_relu"] > 0.1


def test_a_student_of_another_kind_is_compared_where_maps_are_of_one_size(album):
    pixels = album.crops(8, 64, 0)[0]
    student = new_backbone("mobilenet", 0, pixels)
    lesson = Distillation(student, {"resnet50-conv4": teacher(0, "resnet50-conv4")}, album, pixels, torch.float32)
    assert lesson.pairs() == [
        "conv_pw_1_relu ~ resnet50-conv4 conv1_relu",
        "conv_pw_3_relu ~ resnet50-conv4 conv2_block3_out",
        "conv_pw_5_relu ~ resnet50-conv4 conv3_block4_out",
        "conv_pw_11_relu ~ resnet50-conv4 conv4_block6_out",
        "embedding ~ resnet50-conv4 embedding",
    ]
    assert set(lesson.bridges) == set(explained(lesson, pixels))


def test_a_layer_with_a_model_of_its_kind_hears_that_alone(album):
    pixels = album.crops(8, 64, 0)[0]
    models = {name: teacher(0, name) for name in ("resnet50-conv4", "mobilenet")}
    lesson = Distillation(new_backbone("resnet50", 0, pixels), models, album, pixels, torch.float32)
    assert lesson.pairs() == [
        "46 layers with those of the same name in resnet50-conv4",
        "embedding ~ resnet50-conv4 embedding",
        "conv5_block3_out ~ mobilenet conv_pw_13_relu",
        "embedding ~ mobilenet embedding",
    ]


def test_maps_that_differ_by_a_row_at_another_side_are_compared_all_the_same(album):
    pixels = album.crops(8, 64, 0)[0]
    lesson = Distillation(
        new_backbone("resnet50", 0, pixels), {"mobilenet": teacher(0, "mobilenet")}, album, pixels, torch.float32
    )
    last = "mobilenet:conv5_block3_out"
    larger = album.crops(4, 80, 0)[0]
    with torch.no_grad():
        sides = [
            maps.maps(larger, [maps.last])[maps.last].shape[-1] for maps in (lesson._maps, lesson._teachers[0].maps)
        ]
        lesson.share = 1.0
        error = float(lesson.losses(larger)[last])
    assert sides == [3, 2]
    assert 0.3 < error < 3


def test_a_linear_map_of_the_teacher_is_no_error(album, pixels):
    model = teacher()
    lesson = Distillation(new_backbone("vgg16", 0, pixels), {"tiny": model}, album, pixels, torch.float32)
    pair = next(pair for name, pair in lesson._pairs() if pair.ours)
    rows = torch.from_numpy(np.random.default_rng(0).random((50, len(pair.mean)), dtype=np.float32))
    assert float(pair.error(pair.scaled(rows).clamp(-6, 6), rows)) == 0
    assert float(pair.error(torch.full_like(rows, 1.0), pair.mean.expand_as(rows))) == pytest.approx(1.0)


def test_the_teacher_does_not_learn(album, pixels):
    model = teacher()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lesson = Distillation(new_backbone("tiny", 0, pixels), {"tiny": model}, album, pixels, torch.float32)
    learn(lesson, Extent(64, None, (32, 32)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
