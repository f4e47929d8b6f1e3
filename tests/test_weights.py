"""Weight files: the features they give against formulas written out in NumPy, bad files, downloads and the cache."""

import functools
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rarelesion import weight_formats
from rarelesion.backbones import BACKBONES
from rarelesion.errors import InputError
from rarelesion.weights import (
    backbone_metadata,
    load_backbone,
    load_state,
    save_state,
)

Array = NDArray[np.float64]
VGG_LAYERS = {1: (2, 64), 2: (2, 128), 3: (3, 256), 4: (3, 512), 5: (3, 512)}
VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)


# The layers' formulas, on maps (n, height, width, channels) as the files have them.


def convolve(maps: Array, kernel: Array, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Array:
    """Kernel (height, width, in, out)."""
    return np.einsum("nhwcij,ijco->nhwo", _windows(maps, kernel.shape[0], stride, padding), kernel, optimize=True)


def convolve_depthwise(maps: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """Kernel (height, width, channels, 1)."""
    return np.einsum("nhwcij,ijc->nhwc", _windows(maps, 3, stride, padding), kernel[..., 0], optimize=True)


def pool_max(maps: Array, side: int, stride: int, padding: int = 0) -> Array:
    return _windows(maps, side, stride, (padding, padding)).max((4, 5))


def _windows(maps: Array, side: int, stride: int, padding: tuple[int, int]) -> Array:
    padded = np.pad(maps, ((0, 0), padding, padding, (0, 0)))
    return sliding_window_view(padded, (side, side), (1, 2))[:, ::stride, ::stride]


def normalise(maps: Array, gamma: Array, beta: Array, mean: Array, variance: Array, eps: float) -> Array:
    return gamma * (maps - mean) / np.sqrt(variance + eps) + beta


def read_keras(path: Path) -> dict[str, Array]:
    """Every array of the file as `layer/name`."""
    arrays: dict[str, Array] = {}

    def keep(key: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[f"{key.split('/')[0]}/{key.split('/')[-1].removesuffix(':0')}"] = np.asarray(item, dtype=np.float64)

    with h5py.File(path) as file:
        file.visititems(keep)
    return arrays


def numpy_mobilenet(maps: Array, w: dict[str, Array]) -> Array:
    def finish(maps: Array, layer: str) -> Array:
        four = (w[f"{layer}_bn/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        return np.clip(normalise(maps, *four, eps=1e-3), 0, 6)

    maps = finish(convolve(2 * maps - 1, w["conv1/kernel"], 2, (0, 1)), "conv1")
    for i in range(1, 14):
        how = (2, (0, 1)) if i in (2, 4, 6, 12) else (1, (1, 1))
        maps = finish(convolve_depthwise(maps, w[f"conv_dw_{i}/depthwise_kernel"], *how), f"conv_dw_{i}")
        maps = finish(convolve(maps, w[f"conv_pw_{i}/kernel"]), f"conv_pw_{i}")
    return maps.mean((1, 2))


CAFFE_MEAN = np.array([103.939, 116.779, 123.68])
TORCH_MEAN, TORCH_DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def numpy_resnet(maps: Array, w: dict[str, Array], blocks: dict[int, int], torchvision: bool = False) -> Array:
    def apply(maps: Array, name: str, stride: int = 1, padding: int = 0) -> Array:
        maps = convolve(maps, w[f"{name}_conv/kernel"], stride, (padding, padding)) + w[f"{name}_conv/bias"]
        four = (w[f"{name}_bn/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        return normalise(maps, *four, eps=1e-5 if torchvision else 1.001e-5)

    maps = (maps - TORCH_MEAN) / TORCH_DEVIATION if torchvision else maps[..., ::-1] * 255 - CAFFE_MEAN
    maps = pool_max(np.maximum(apply(maps, "conv1", 2, 3), 0), 3, 2, 1)
    for stage, count in blocks.items():
        for block in range(1, count + 1):
            name = f"conv{stage}_block{block}"
            stride = 2 if block == 1 and stage > 2 else 1
            first, second = (1, stride) if torchvision else (stride, 1)
            branch = np.maximum(apply(maps, f"{name}_1", first), 0)
            branch = apply(np.maximum(apply(branch, f"{name}_2", second, 1), 0), f"{name}_3")
            maps = np.maximum(branch + (apply(maps, f"{name}_0", stride) if block == 1 else maps), 0)
    return maps.mean((1, 2))


def numpy_densenet(maps: Array, w: dict[str, Array], torchvision: bool = False) -> Array:
    eps = 1e-5 if torchvision else 1.001e-5

    def activate(maps: Array, norm: str) -> Array:
        four = (w[f"{norm}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        return np.maximum(normalise(maps, *four, eps=eps), 0)

    maps = activate(convolve((maps - TORCH_MEAN) / TORCH_DEVIATION, w["conv1_conv/kernel"], 2, (3, 3)), "conv1_bn")
    maps = pool_max(maps, 3, 2, 1)
    for stage, count in {2: 6, 3: 12, 4: 32, 5: 32}.items():
        if stage > 2:
            halved = convolve(activate(maps, f"pool{stage - 1}_bn"), w[f"pool{stage - 1}_conv/kernel"])
            maps = _windows(halved, 2, 2, (0, 0)).mean((4, 5))
        for block in range(1, count + 1):
            name = f"conv{stage}_block{block}"
            branch = convolve(activate(maps, f"{name}_0_bn"), w[f"{name}_1_conv/kernel"])
            branch = convolve(activate(branch, f"{name}_1_bn"), w[f"{name}_2_conv/kernel"], 1, (1, 1))
            maps = np.concatenate([maps, branch], axis=3)
    return activate(maps, "bn").mean((1, 2))


def numpy_vgg(maps: Array, w: dict[str, Array]) -> Array:
    for block, (count, _) in VGG_LAYERS.items():
        maps = maps if block == 1 else pool_max(maps, 2, 2)
        for i in range(1, count + 1):
            name = f"block{block}_conv{i}"
            maps = np.maximum(convolve(maps, w[f"{name}/kernel"], 1, (1, 1)) + w[f"{name}/bias"], 0)
    return maps.mean((1, 2))


def pictures(n: int, side: int) -> Array:
    return np.random.default_rng(3).random((n, side, side, 3))


def features(name: str, path: Path, maps: Array) -> NDArray[np.float32]:
    pixels = torch.from_numpy(maps.astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return load_backbone(name, path).eval()(pixels).numpy()


def assert_same_features(found: NDArray[np.float32], expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4 * expected.std())


@functools.cache
def random_vgg() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    arrays, channels = {}, 3
    for block, (count, width) in VGG_LAYERS.items():
        for i in range(1, count + 1):
            size = (3, 3, channels, width)
            arrays[f"block{block}_conv{i}/kernel"] = rng.normal(0, np.sqrt(2 / (9 * channels)), size)
            arrays[f"block{block}_conv{i}/bias"] = rng.normal(0, 0.1, width)
            channels = width
    return arrays


TINY_WIDTHS = (3, 8, 16, 32, 32)


@functools.cache
def random_tiny() -> dict[str, Array]:
    """Keras's arrays, had Keras our smallest network: cheap to write where any network will do."""
    rng = np.random.default_rng(0)
    arrays = {}
    for i in range(1, 5):
        arrays[f"conv{i}/kernel"] = rng.normal(0, 0.3, (3, 3, TINY_WIDTHS[i - 1], TINY_WIDTHS[i]))
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"conv{i}_bn/{part}"] = rng.uniform(0.5, 1.5, TINY_WIDTHS[i])
    return arrays


def write_keras(path: Path, arrays: dict[str, Array], spelling: str = "{layer}/{name}:0") -> Path:
    """As Keras 2 writes weights: a group a layer, its arrays listed in order in an attribute."""
    layers: dict[str, list[str]] = {}
    for key in arrays:
        layers.setdefault(key.split("/")[0], []).append(key.split("/")[1])
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, names in layers.items():
            group = file.create_group(layer)
            listed = [spelling.format(layer=layer, name=name) for name in names]
            group.attrs["weight_names"] = [name.encode() for name in listed]
            for name, dataset in zip(names, listed, strict=True):
                group.create_dataset(dataset, data=arrays[f"{layer}/{name}"].astype(np.float32))
        file.create_group("block1_pool").attrs["weight_names"] = np.array([], dtype="S1")
    return path


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_keras(tmp_path_factory.mktemp("weights") / "tiny.h5", random_tiny())


@pytest.fixture
def mobilenet_file(shared_data: Path) -> Path:
    return shared_data / "weights" / "mobilenet_v1_imagenet_notop.h5"


@pytest.fixture
def conv4_file(shared_data: Path) -> Path:
    return shared_data / "weights" / "resnet50_imagenet_conv1-conv4.h5"


@pytest.fixture
def densenet_file(shared_data: Path) -> Path:
    return shared_data / "weights" / "densenet169_imagenet_notop.h5"


def problem_of(name: str, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_backbone(name, path)
    assert len(caught.value.problems) == 1
    assert str(path) in str(caught.value)
    return str(caught.value)


class TestFeatures:
    def test_mobilenet_from_keras(self, mobilenet_file: Path) -> None:
        for n, side in ((2, 40), (1, 100)):
            maps = pictures(n, side)
            assert_same_features(
                features("mobilenet", mobilenet_file, maps), numpy_mobilenet(maps, read_keras(mobilenet_file))
            )

    def test_resnet_to_conv4_from_keras(self, conv4_file: Path) -> None:
        maps = pictures(1, 50)
        expected = numpy_resnet(maps, read_keras(conv4_file), {2: 3, 3: 4, 4: 6})
        assert_same_features(features("resnet50-conv4", conv4_file, maps), expected)

    def test_densenet_from_keras(self, densenet_file: Path) -> None:
        maps = pictures(1, 64)
        expected = numpy_densenet(maps, read_keras(densenet_file))
        assert_same_features(features("densenet169", densenet_file, maps), expected)

    def test_vgg_from_keras(self, tmp_path: Path) -> None:
        path = write_keras(tmp_path / "vgg16.h5", random_vgg(), spelling="{layer}_{name}_1:0")
        maps = pictures(2, 32)
        expected = numpy_vgg(maps[..., ::-1] * 255 - CAFFE_MEAN, random_vgg())
        assert_same_features(features("vgg16", path, maps), expected)

    def test_vgg_from_torchvision(self, tmp_path: Path) -> None:
        arrays = random_vgg()
        state = {"classifier.0.weight": torch.zeros(2, 2)}
        for place, layer in zip(VGG_PLACES, dict.fromkeys(key.split("/")[0] for key in arrays), strict=True):
            kernel = arrays[f"{layer}/kernel"].transpose(3, 2, 0, 1)
            state[f"features.{place}.weight"] = torch.from_numpy(kernel).float().contiguous()
            state[f"features.{place}.bias"] = torch.from_numpy(arrays[f"{layer}/bias"]).float()
        maps = pictures(2, 32)
        expected = numpy_vgg((maps - TORCH_MEAN) / TORCH_DEVIATION, arrays)
        for legacy in (False, True):
            path = tmp_path / f"vgg16-{legacy}.pth"
            torch.save(state, path, _use_new_zipfile_serialization=not legacy)
            assert_same_features(features("vgg16", path, maps), expected)

    @pytest.mark.parametrize("name", ["resnet50", "resnet50-conv4"])
    def test_resnet_from_torchvision(self, name: str, tmp_path: Path) -> None:
        state, arrays = random_torchvision_resnet()
        path = tmp_path / "resnet50.pth"
        torch.save(state, path)
        maps = pictures(1, 40)
        blocks = {2: 3, 3: 4, 4: 6, 5: 3}
        if name == "resnet50-conv4":
            del blocks[5]
        expected = numpy_resnet(maps, arrays, blocks, torchvision=True)
        assert_same_features(features(name, path, maps), expected)
        assert load_backbone(name, path).style == "torchvision"


@functools.cache
def random_torchvision_resnet() -> tuple[dict[str, torch.Tensor], dict[str, Array]]:
    """A state dict with torchvision's keys, and the same numbers under Keras's names."""
    rng = np.random.default_rng(1)
    state: dict[str, torch.Tensor] = {"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}
    arrays: dict[str, Array] = {}

    def add(conv: str, norm: str, keras: str, side: int, channels: int, width: int) -> None:
        kernel = rng.normal(0, np.sqrt(2 / (side * side * channels)), (side, side, channels, width))
        arrays[f"{keras}_conv/kernel"], arrays[f"{keras}_conv/bias"] = kernel, np.zeros(width)
        state[f"{conv}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1)).float().contiguous()
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
        pairs = (
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "moving_mean"),
            ("running_var", "moving_variance"),
        )
        for torch_key, keras_key in pairs:
            arrays[f"{keras}_bn/{keras_key}"] = rng.uniform(0.3, 0.8, width)
            state[f"{norm}.{torch_key}"] = torch.from_numpy(arrays[f"{keras}_bn/{keras_key}"]).float()

    add("conv1", "bn1", "conv1", 7, 3, 64)
    channels = 64
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        width = 32 * 2**stage
        for block in range(count):
            torch_name, keras = f"layer{stage}.{block}", f"conv{stage + 1}_block{block + 1}"
            for k, side, into, out in ((1, 1, channels, width), (2, 3, width, width), (3, 1, width, 4 * width)):
                add(f"{torch_name}.conv{k}", f"{torch_name}.bn{k}", f"{keras}_{k}", side, into, out)
            if block == 0:
                add(f"{torch_name}.downsample.0", f"{torch_name}.downsample.1", f"{keras}_0", 1, channels, 4 * width)
            channels = 4 * width
    return state, arrays


class TestKerasFiles:
    def test_the_old_spelling_of_names_and_a_classifier_change_nothing(self, tiny_file: Path, tmp_path: Path) -> None:
        arrays = random_tiny() | {"fc1/kernel": np.zeros((4, 4)), "predictions/kernel": np.zeros((4, 4))}
        spelt = write_keras(tmp_path / "old.h5", arrays, spelling="{layer}_{name}_1:0")
        a, b = load_backbone("tiny", tiny_file).state_dict(), load_backbone("tiny", spelt).state_dict()
        assert all(torch.equal(a[key], b[key]) for key in a)

    def test_a_whole_model_s_file_is_read_too(self, tiny_file: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.h5"
        with h5py.File(path, "w") as model, h5py.File(tiny_file) as plain:
            plain.copy(plain, model, name="model_weights")
        mean = load_backbone("tiny", path).state_dict()["conv3_bn.running_mean"]
        np.testing.assert_allclose(mean, random_tiny()["conv3_bn/moving_mean"], rtol=1e-6)

    def test_a_file_without_one_layer_names_it(self, tmp_path: Path) -> None:
        arrays = {k: v for k, v in random_tiny().items() if not k.startswith("conv3/")}
        text = problem_of("tiny", write_keras(tmp_path / "a.h5", arrays))
        assert "without conv3;" in text
        assert "like a file of tiny, but incomplete" in text

    def test_a_layer_without_one_array_is_named(self, tmp_path: Path) -> None:
        arrays = {k: v for k, v in random_tiny().items() if k != "conv3_bn/moving_mean"}
        assert "conv3_bn 32 32 32 instead of 32 32 32 32" in problem_of("tiny", write_keras(tmp_path / "a.h5", arrays))

    def test_another_shape_and_a_surplus_layer_are_both_named(self, tmp_path: Path) -> None:
        other = {"conv1/kernel": np.zeros((5, 5, 3, 8)), "conv5/kernel": np.zeros((3, 3, 2, 2))}
        text = problem_of("tiny", write_keras(tmp_path / "a.h5", random_tiny() | other))
        assert "conv1 8x3x5x5 instead of 8x3x3x3" in text
        assert "unknown layers conv5" in text

    def test_weights_that_are_not_numbers_are_refused(self, tmp_path: Path) -> None:
        arrays = random_tiny() | {"conv2_bn/beta": np.full(16, np.nan)}
        assert "not numbers; found conv2_bn;" in problem_of("tiny", write_keras(tmp_path / "a.h5", arrays))

    def test_a_dataset_that_claims_terabytes_is_not_read(self, tmp_path: Path) -> None:
        path = write_keras(tmp_path / "a.h5", {k: v for k, v in random_tiny().items() if k != "conv4/kernel"})
        with h5py.File(path, "a") as file:
            group = file.create_group("conv4")
            group.attrs["weight_names"] = [b"kernel:0"]
            group.create_dataset("kernel:0", shape=(3, 3, 2**20, 2**20), dtype="f4", chunks=(3, 3, 8, 8))
        assert "without conv4" in problem_of("tiny", path)

    def test_says_which_network_s_file_it_is(self, mobilenet_file: Path, conv4_file: Path) -> None:
        assert "This is a file of mobilenet" in problem_of("vgg16", mobilenet_file)
        text = problem_of("resnet50", conv4_file)
        assert "This is a file of resnet50-conv4" in text
        missing = [
            layer
            for layer in BACKBONES["resnet50"]().layer_names
            if layer[:5] == "conv5" and layer[-2:] in ("nv", "bn")
        ]
        assert len(missing) == 20
        assert all(layer in text for layer in missing)

    def test_a_network_that_is_not_offered(self, tmp_path: Path) -> None:
        arrays = {f"dense_{i}/kernel": np.zeros((2, 2)) for i in range(3)}
        assert "of a network that is not offered" in problem_of("resnet50", write_keras(tmp_path / "a.h5", arrays))


class Bomb:
    """Unpickled by a careless reader, this would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


class TestBadFiles:
    def test_no_such_file(self, tmp_path: Path) -> None:
        assert "No such file" in problem_of("tiny", tmp_path / "absent.h5")
        problem_of("tiny", tmp_path)

    @pytest.mark.parametrize("name", ["a.h5", "a.pth", "a.safetensors"])
    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"", "none of these formats"),
            (b"\n<!DOCTYPE html><html>Sign in to the network</html>", "a web page"),
            (b"\x89HDF\r\n\x1a\n" + bytes(64), "a damaged file"),
            (b"PK\x03\x04" + bytes(64), "a damaged file"),
            (b"\x80\x02" + bytes(64), "a damaged file"),
            (b"\xff\xff\xff\xff\xff\xff\xff\x7f{", "a damaged file"),
        ],
    )
    def test_damaged(self, name: str, content: bytes, found: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(content)
        assert found in problem_of("tiny", tmp_path / name)

    def test_cut_short(self, tiny_file: Path, tmp_path: Path) -> None:
        state = tmp_path / "tiny.safetensors"
        save_state(state, BACKBONES["tiny"]().state_dict(), {})
        archive = tmp_path / "tiny.pth"
        torch.save(BACKBONES["tiny"]().state_dict(), archive)
        for whole in (tiny_file, state, archive):
            path = tmp_path / f"cut{whole.suffix}"
            path.write_bytes(whole.read_bytes()[:-400])
            assert "download it again" in problem_of("tiny", path)

    def test_a_pickle_is_never_run(self, tmp_path: Path) -> None:
        fuse = tmp_path / "ran"
        torch.save({"features.0.weight": Bomb(fuse)}, tmp_path / "a.pth")
        torch.save({"features.0.weight": Bomb(fuse)}, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
        (tmp_path / "c.pth").write_bytes(pickle.dumps(Bomb(fuse), protocol=2))
        for path in sorted(tmp_path.glob("*.pth")):
            assert "more than weights" in problem_of("tiny", path)
        assert not fuse.exists()

    def test_a_pth_of_something_else(self, tmp_path: Path) -> None:
        torch.save([1, 2], tmp_path / "a.pth")
        assert "more than weights" in problem_of("tiny", tmp_path / "a.pth")
        torch.save({"layer9.weight": torch.ones(2)}, tmp_path / "b.pth")
        assert "not offered" in problem_of("tiny", tmp_path / "b.pth")


class TestState:
    def test_comes_back_as_it_was_with_its_metadata(self, tmp_path: Path) -> None:
        state = {"a": torch.arange(6.0).view(2, 3).T, "b.c": torch.tensor(3)}
        save_state(tmp_path / "new" / "w.safetensors", state, {"backbone": "tiny", "seed": "4"})

        loaded, metadata = load_state(tmp_path / "new" / "w.safetensors")

        assert metadata == {"backbone": "tiny", "seed": "4"}
        assert loaded.keys() == state.keys()
        assert all(torch.equal(loaded[key], value) for key, value in state.items())
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["w.safetensors"]

    def test_a_saved_backbone_remembers_whose_weights_it_has(self, tmp_path: Path) -> None:
        state, _ = random_torchvision_resnet()
        torch.save(state, tmp_path / "r.pth")
        backbone = load_backbone("resnet50-conv4", tmp_path / "r.pth").eval()
        save_state(tmp_path / "r.safetensors", backbone.state_dict(), backbone_metadata(backbone))

        again = load_backbone("resnet50-conv4", tmp_path / "r.safetensors").eval()

        assert (again.style, again.preprocessing) == ("torchvision", "torch")
        pixels = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            assert torch.equal(again(pixels), backbone(pixels))

    def test_a_failed_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "w.safetensors"
        save_state(path, {"a": torch.ones(2)}, {})

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(weight_formats.os, "fsync", full)
        with pytest.raises(InputError, match="No space left on device"):
            save_state(path, {"a": torch.zeros(2)}, {})
        assert torch.equal(load_state(path)[0]["a"], torch.ones(2))
        assert [item.name for item in tmp_path.iterdir()] == ["w.safetensors"]

    def test_load_state_reads_nothing_but_our_own(self, tiny_file: Path) -> None:
        with pytest.raises(InputError, match="a file of keras"):
            load_state(tiny_file)
