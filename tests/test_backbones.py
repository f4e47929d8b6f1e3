"""Every backbone keeps the same contract; each is built as Keras lists it."""

import functools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rarelesion.backbones import BACKBONES, freeze_first, set_batch_norm, set_style
from rarelesion.layers import PREPROCESSING, Backbone, BatchNorm

DIMS = {"vgg16": 512, "mobilenet": 1024, "resnet50": 2048, "resnet50-conv4": 1024, "densenet169": 1664, "tiny": 32}
FIRST_TEN = {
    "vgg16": "input_1 block1_conv1 block1_conv2 block1_pool block2_conv1 block2_conv2 block2_pool "
    "block3_conv1 block3_conv2 block3_conv3",
    "mobilenet": "input_1 conv1_pad conv1 conv1_bn conv1_relu conv_dw_1 conv_dw_1_bn conv_dw_1_relu "
    "conv_pw_1 conv_pw_1_bn",
    "resnet50": "input_1 conv1_pad conv1_conv conv1_bn conv1_relu pool1_pad pool1_pool "
    "conv2_block1_1_conv conv2_block1_1_bn conv2_block1_1_relu",
    "densenet169": "input_1 zero_padding2d conv1_conv conv1_bn conv1_relu zero_padding2d_1 pool1 "
    "conv2_block1_0_bn conv2_block1_0_relu conv2_block1_1_conv",
}
RESIDUAL_BLOCK = "1_conv 1_bn 1_relu 2_conv 2_bn 2_relu 0_conv 3_conv 0_bn 3_bn add out"
KERAS_PARAMETERS = {"vgg16": 14_714_688, "mobilenet": 3_228_864, "resnet50": 23_587_712, "densenet169": 12_642_880}
"""With the batch-normalisation statistics, without classifier, as Keras's `count_params()` says."""


@pytest.fixture(autouse=True)
def _fixed_draws() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _note(seen: dict[str, bool], layer: str, _module: nn.Module, _inputs: object, output: Tensor) -> None:
    seen[layer] = output.requires_grad


def batch_norms(backbone: Backbone) -> dict[str, BatchNorm]:
    return {name: module for name, module in backbone.named_children() if isinstance(module, BatchNorm)}


@pytest.mark.parametrize("name", BACKBONES)
class TestContract:
    def test_embeds_patches_of_any_side(self, name: str) -> None:
        backbone = BACKBONES[name]().eval()
        assert backbone.name == name
        assert backbone.dim == DIMS[name]
        assert backbone.preprocessing in PREPROCESSING
        with torch.inference_mode():
            for n, side in ((1, 100), (2, 64)):
                embedding = backbone(torch.rand(n, 3, side, side))
                assert embedding.shape == (n, backbone.dim)
                assert embedding.dtype == torch.float32
                assert embedding.isfinite().all()

    def test_freezes_the_first_layers_and_no_other(self, name: str) -> None:
        backbone = BACKBONES[name]()
        freeze_first(backbone, 10)
        frozen = {key.split(".")[0] for key, value in backbone.named_parameters() if not value.requires_grad}
        trained = {key.split(".")[0] for key, value in backbone.named_parameters() if value.requires_grad}

        assert frozen == {layer for layer in backbone.layer_names[:10] if [*getattr(backbone, layer).parameters()]}
        assert trained == {layer for layer in backbone.layer_names[10:] if [*getattr(backbone, layer).parameters()]}

        backbone.train()(torch.rand(2, 3, 64, 64)).sum().backward()
        assert {key.split(".")[0] for key, value in backbone.named_parameters() if value.grad is not None} == trained

        freeze_first(backbone, 0)
        assert all(value.requires_grad for value in backbone.parameters())
        assert all(norm.training for norm in batch_norms(backbone).values())

    def test_records_no_gradient_in_the_frozen_part(self, name: str) -> None:
        backbone = BACKBONES[name]().train()
        freeze_first(backbone, 10)
        seen: dict[str, bool] = {}
        for layer, module in backbone.named_children():
            module.register_forward_hook(functools.partial(_note, seen, layer))
        backbone(torch.rand(2, 3, 64, 64))
        assert not any(seen[layer] for layer in backbone.layer_names[:10])
        assert seen[backbone.layer_names[-1]]

    def test_batch_norm_is_frozen_or_trained_whatever_train_says(self, name: str) -> None:
        backbone = BACKBONES[name]()
        before = {key: value.clone() for key, value in backbone.named_buffers()}
        set_batch_norm(backbone, "frozen")
        backbone.eval().train()(torch.rand(2, 3, 64, 64))
        assert all(torch.equal(value, before[key]) for key, value in backbone.named_buffers())
        assert all(norm.weight.requires_grad for norm in batch_norms(backbone).values())

        freeze_first(backbone, 10)
        set_batch_norm(backbone, "trained")
        backbone.eval().train()(torch.rand(2, 3, 64, 64))
        moved = {n for n, norm in batch_norms(backbone).items() if norm.running_mean.any()}  # pyright: ignore
        assert moved == batch_norms(backbone).keys() - set(backbone.layer_names[:10])

    def test_a_single_small_patch_can_be_trained_on(self, name: str) -> None:
        embedding = BACKBONES[name]().train()(torch.rand(1, 3, 32, 32))
        embedding.sum().backward()
        assert embedding.isfinite().all()

    def test_memory_order_and_bfloat16_change_rounding_only(self, name: str) -> None:
        backbone = BACKBONES[name]().eval()
        pixels = torch.rand(2, 3, 64, 64)
        with torch.inference_mode():
            expected = backbone(pixels)
            backbone.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            swapped = backbone(pixels.to(memory_format=torch.channels_last))
            with torch.autocast("cpu", torch.bfloat16):
                short = backbone(pixels.to(memory_format=torch.channels_last))
        torch.testing.assert_close(swapped, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
        assert short.dtype == torch.float32
        assert (short - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("name", FIRST_TEN)
def test_the_first_ten_layers_are_keras_s(name: str) -> None:
    assert BACKBONES[name]().layer_names[:10] == tuple(FIRST_TEN[name].split())


@pytest.mark.parametrize("name", KERAS_PARAMETERS)
def test_has_as_many_parameters_as_keras_says(name: str) -> None:
    state = BACKBONES[name]().state_dict()
    assert sum(v.numel() for k, v in state.items() if not k.endswith("num_batches_tracked")) == KERAS_PARAMETERS[name]


def test_resnet_lists_a_projected_block_as_keras_does() -> None:
    names = BACKBONES["resnet50"]().layer_names
    start = names.index("conv4_block1_1_conv")
    assert names[start : start + 12] == tuple(f"conv4_block1_{part}" for part in RESIDUAL_BLOCK.split())
    assert len(names) == 175
    assert names[:143] == BACKBONES["resnet50-conv4"]().layer_names
    assert names[142] == "conv4_block6_out"


def test_densenet_lists_its_blocks_and_transitions_as_keras_does() -> None:
    names = BACKBONES["densenet169"]().layer_names
    start = names.index("conv3_block12_0_bn")
    parts = "0_bn 0_relu 1_conv 1_bn 1_relu 2_conv concat"
    assert names[start : start + 7] == tuple(f"conv3_block12_{part}" for part in parts.split())
    assert names[start + 7 : start + 11] == ("pool3_bn", "pool3_relu", "pool3_conv", "pool3_pool")
    assert names[-3:] == ("conv5_block32_concat", "bn", "relu")
    assert len(names) == 595


@pytest.mark.parametrize("kind", PREPROCESSING)
def test_preprocessing_of_one_pixel_by_hand(kind: str) -> None:
    red, green, blue = 0.2, 0.4, 0.9
    expected = {
        "caffe": (255 * blue - 103.939, 255 * green - 116.779, 255 * red - 123.68),
        "tf": (-0.6, -0.2, 0.8),
        "torch": ((red - 0.485) / 0.229, (green - 0.456) / 0.224, (blue - 0.406) / 0.225),
    }[kind]
    backbone = {"caffe": "vgg16", "tf": "mobilenet", "torch": "vgg16"}[kind]
    network = BACKBONES[backbone]()
    if kind == "torch":
        set_style(network, "torchvision")
    pixel = torch.tensor([red, green, blue]).view(1, 3, 1, 1)

    assert network.preprocessing == kind
    np.testing.assert_allclose(network.input_1(pixel).flatten(), expected, rtol=1e-5)  # pyright: ignore


def test_torchvision_s_resnet_halves_the_picture_later_and_the_style_can_be_taken_back() -> None:
    backbone = BACKBONES["resnet50-conv4"]()
    strides = {}
    for style in ("torchvision", "keras"):
        set_style(backbone, style)
        strides[style] = {n: m.stride[0] for n, m in backbone.named_children() if isinstance(m, nn.Conv2d)}
        assert {norm.eps for norm in batch_norms(backbone).values()} == {1e-5 if style == "torchvision" else 1.001e-5}
        assert backbone.preprocessing == {"torchvision": "torch", "keras": "caffe"}[style]
    assert [n for n, stride in strides["torchvision"].items() if stride == 2] == [
        "conv1_conv", "conv3_block1_2_conv", "conv3_block1_0_conv", "conv4_block1_2_conv", "conv4_block1_0_conv"
    ]  # fmt: skip
    assert [n for n, stride in strides["keras"].items() if stride == 2] == [
        "conv1_conv", "conv3_block1_1_conv", "conv3_block1_0_conv", "conv4_block1_1_conv", "conv4_block1_0_conv"
    ]  # fmt: skip


def test_batch_norm_follows_keras_s_momentum_and_epsilon() -> None:
    for name, eps in (("mobilenet", 1e-3), ("resnet50-conv4", 1.001e-5)):
        norms = batch_norms(BACKBONES[name]()).values()
        assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, eps)}


def test_an_untrained_vgg_neither_fades_nor_explodes() -> None:
    with torch.inference_mode():
        backbone = BACKBONES["vgg16"]().eval()
        pixels = torch.rand(4, 3, 64, 64)
        spread = (backbone(pixels).std() / backbone.input_1(pixels).std()).item()  # pyright: ignore
    assert 0.2 < spread < 5
