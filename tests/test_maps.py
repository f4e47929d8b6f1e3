"""Maps within a network: which layers they are, and what each makes of another network's maps."""

import torch
from torch.nn import functional

from rarelesion.backbones import BACKBONES
from rarelesion.layers import Backbone
from rarelesion.maps import Maps
from rarelesion.twin import normalised


def seeded(name: str, seed: int = 0) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BACKBONES[name]().eval()


def test_the_last_layers_of_each_size_are_the_ends_of_the_stages():
    assert list(Maps(seeded("vgg16")).stages(64).values()) == [
        "block2_conv2",
        "block3_conv3",
        "block4_conv3",
        "block5_conv3",
    ]
    stages = Maps(seeded("resnet50")).stages(64)
    assert stages == {
        32: "conv1_relu", 16: "conv2_block3_out", 8: "conv3_block4_out", 4: "conv4_block6_out", 2: "conv5_block3_out"
    }  # fmt: skip
    assert Maps(seeded("mobilenet")).stages(64)[8] == "conv_pw_5_relu"


def test_layers_of_one_name_and_shape_are_alike_and_others_are_not():
    whole, part = Maps(seeded("resnet50")), Maps(seeded("resnet50-conv4"))
    alike = whole.alike(part, 64)
    assert alike["conv4_block6_out"] == "conv4_block6_out"
    assert not [layer for layer in alike if layer.startswith("conv5")]
    assert Maps(seeded("mobilenet")).alike(part, 64) == {}
    assert Maps(normalised("vgg16")).alike(Maps(seeded("vgg16")), 64)["block3_conv1_relu"] == "block3_conv1"


def test_maps_are_what_the_layers_compute():
    backbone = seeded("tiny")
    pixels = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = Maps(backbone).maps(pixels, ["conv1_relu", "conv4_relu"])
        first = functional.relu(backbone.get_submodule("conv1_bn")(backbone.get_submodule("conv1")(2 * pixels - 1)))
    torch.testing.assert_close(made["conv1_relu"], first, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made["conv4_relu"].mean((2, 3)), backbone(pixels), rtol=1e-4, atol=1e-5)


def test_led_by_its_own_maps_a_network_makes_the_same():
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = Maps(seeded("resnet50-conv4"))
    with torch.no_grad():
        names = list(maps.shapes(64))
        own = {name: values.clone() for name, values in maps.maps(pixels, names).items()}
        led = maps.led(pixels, own)
    assert set(maps.learning_layers()) <= set(led)
    for layer in maps.learning_layers():
        torch.testing.assert_close(led[layer], own[layer], rtol=1e-4, atol=1e-3)


def test_led_by_another_network_each_layer_hears_the_other_and_not_the_one_before_it():
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ours, theirs = Maps(seeded("tiny", 0)), Maps(seeded("tiny", 1))
    with torch.no_grad():
        given = theirs.maps(pixels, list(theirs.shapes(32)))
        led = ours.led(pixels, given)
        layer, norm = (seeded("tiny", 0).get_submodule(name) for name in ("conv2", "conv2_bn"))
        expected = functional.relu(norm(layer(given["conv1_relu"])))
    torch.testing.assert_close(led["conv2_relu"], expected, rtol=1e-4, atol=1e-5)
