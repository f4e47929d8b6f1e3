"""A normalised twin becomes the plain network again, and computes the same."""

import pytest
import torch

from rarelesion.backbones import BACKBONES
from rarelesion.layers import BatchNorm
from rarelesion.twin import normalised, plain


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "tiny"])
def test_the_plain_network_computes_what_its_twin_has_learnt(name):
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        twin = normalised(name)
        for module in twin.modules():
            if isinstance(module, BatchNorm):
                module.momentum = 0.5
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.2, 0.2)
        twin.train()(pixels)
        result = plain(twin.eval())
        expected, found = twin(pixels), result.eval()(pixels)
    assert list(result.state_dict()) == list(BACKBONES[name]().state_dict())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_every_convolution_of_vgg16_is_normalised_while_it_learns():
    twin = normalised("vgg16")
    norms = [name for name, module in twin.named_modules() if isinstance(module, BatchNorm)]
    assert len(norms) == 13
    assert twin.layer_names[:4] == ("input_1", "block1_conv1", "block1_conv1_bn", "block1_conv1_relu")
    assert twin.get_submodule("block1_conv1").bias is None
