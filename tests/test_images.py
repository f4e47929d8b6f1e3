"""Image files of every kind: no bit lost, no coordinate lost, and every file that is none."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from rarelesion.dicom import write_series
from rarelesion.errors import InputError
from rarelesion.images import FORMATS, load_roi, read_image, read_mask
from rarelesion.types import Roi

PICTURES = [".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"]
VOLUMES = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"]
AXIAL = np.eye(4)[[2, 1, 0, 3]]
SIXTEEN_BITS = [".png", ".tif", ".tiff"]


def save(path: Path, pixels: np.ndarray, colour: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=colour), str(path))
    return path


def grey(shape: tuple[int, ...] = (7, 5), top: int = 255, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(3).integers(0, top, shape).astype(kind)


def sentence(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, "T1")
    return str(caught.value)


def example(suffix: str, folder: Path) -> Path:
    """A smooth little image in any of the formats."""
    ramp = np.add.outer(np.arange(32), np.arange(24)).astype(np.int16)
    if suffix == ".dcm":
        write_series(folder, ramp[None], AXIAL, "T1", {}, "seed")
        return folder / "slice0001.dcm"
    if suffix in VOLUMES:
        return save(folder / f"a{suffix}", ramp[None])
    return save(folder / f"a{suffix}", ramp.astype(np.uint8))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_keeps_the_contract(suffix: str, tmp_path: Path) -> None:
    image = read_image(example(suffix, tmp_path), "T1")
    ramp = np.add.outer(np.arange(32), np.arange(24))[None]
    assert (image.pixels.shape, image.pixels.dtype, image.sequence) == ((1, 32, 24), np.float32, "T1")
    np.testing.assert_allclose(image.pixels, ramp, atol=3 if suffix in (".jpg", ".jpeg") else 0)
    assert (image.affine is None) == (suffix in PICTURES)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".mhd"])
def test_every_format_cut_short_is_an_error(suffix: str, tmp_path: Path) -> None:
    path = example(suffix, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    assert sentence(path).startswith("T1: ")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_refuses_other_content(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"this is no image at all")
    assert str(path.name) in sentence(path)


@pytest.mark.parametrize("suffix", SIXTEEN_BITS)
def test_sixteen_bits_stay_sixteen(suffix: str, tmp_path: Path) -> None:
    pixels = grey(top=65535, kind=np.uint16)
    np.testing.assert_array_equal(read_image(save(tmp_path / f"a{suffix}", pixels), "T1").pixels[0], pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_grey_stored_as_colour_stays_as_it_is(suffix: str, tmp_path: Path) -> None:
    pixels = grey()
    path = save(tmp_path / f"a{suffix}", np.stack([pixels] * 3, axis=-1), colour=True)
    np.testing.assert_array_equal(read_image(path, "US").pixels[0], pixels)


def test_colour_becomes_luminance_in_all_its_bits(tmp_path: Path) -> None:
    pixels = grey((7, 5, 3), 65535, np.uint16)
    image = read_image(save(tmp_path / "a.png", pixels, colour=True), "US")
    np.testing.assert_allclose(image.pixels[0], pixels @ np.array([0.299, 0.587, 0.114]), rtol=1e-6)
    transparent = np.concatenate([pixels, np.full((7, 5, 1), 9, np.uint16)], axis=-1)
    same = read_image(save(tmp_path / "b.png", transparent, colour=True), "US")
    np.testing.assert_array_equal(same.pixels, image.pixels)


def test_the_pages_of_a_tiff_are_slices(tmp_path: Path) -> None:
    pixels = grey((3, 7, 5), 60000, np.uint16)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.tif", pixels), "T1").pixels, pixels)


@pytest.mark.parametrize("suffix", VOLUMES)
def test_a_volume_lies_where_simpleitk_puts_it(suffix: str, tmp_path: Path) -> None:
    volume = sitk.GetImageFromArray(grey((4, 7, 5)).astype(np.float32) / 3)
    volume.SetSpacing((0.5, 0.7, 3))
    volume.SetOrigin((-10, 20, 5.5))
    volume.SetDirection(Rotation.from_euler("xyz", (20, -40, 100), degrees=True).as_matrix().ravel().tolist())
    sitk.WriteImage(volume, str(tmp_path / f"a{suffix}"))
    image = read_image(tmp_path / f"a{suffix}", "T1")
    np.testing.assert_array_equal(image.pixels, sitk.GetArrayFromImage(volume))
    assert image.affine is not None
    for index in [(0, 0, 0), (3, 0, 0), (0, 6, 0), (0, 0, 4), (1, 2, 3)]:
        point = volume.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose((image.affine @ [*index, 1])[:3], point, atol=1e-4)
    assert image.spacing_mm == pytest.approx((3, 0.7, 0.5), rel=1e-5)


def test_a_flat_volume_keeps_its_spacing(tmp_path: Path) -> None:
    flat = sitk.GetImageFromArray(grey())
    flat.SetSpacing((0.5, 0.7))
    flat.SetOrigin((3, 4))
    sitk.WriteImage(flat, str(tmp_path / "a.mha"))
    image = read_image(tmp_path / "a.mha", "T1")
    assert image.pixels.shape == (1, 7, 5)
    assert image.affine is not None
    np.testing.assert_allclose(image.affine, [[0, 0, 0.5, 3], [0, 0.7, 0, 4], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_a_fourth_dimension_is_refused_unless_it_is_empty(tmp_path: Path) -> None:
    four = np.stack([grey((4, 7, 5))] * 2)
    save(tmp_path / "four.nii.gz", four)
    assert "more than three dimensions; found 2 x 4 x 7 x 5" in sentence(tmp_path / "four.nii.gz")
    save(tmp_path / "three.nii.gz", four[:1])
    assert read_image(tmp_path / "three.nii.gz", "T1").pixels.shape == (4, 7, 5)


def test_several_values_a_pixel_are_no_volume(tmp_path: Path) -> None:
    save(tmp_path / "a.nrrd", grey((4, 7, 5, 3)), colour=True)
    assert "several values a pixel" in sentence(tmp_path / "a.nrrd")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_numbers_are_counted(value: float, tmp_path: Path) -> None:
    pixels = grey((2, 5, 10)).astype(np.float32)
    pixels[0, 1, 2] = value
    for suffix in (".nrrd", ".mha", ".tif"):
        assert "found 1 of 100 NaN or infinite" in sentence(save(tmp_path / f"a{suffix}", pixels))
    # The NIfTI library itself puts 0 there.
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.nii", pixels), "T1").pixels[0, 1, 2], 0)


def test_unknown_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    assert "unknown kind" in sentence(tmp_path / "a.gif")
    assert ".nii.gz" in sentence(tmp_path / "a.gif")
    assert "no such image" in sentence(tmp_path / "b.gif")


def test_dicom_is_known_by_its_content_and_by_its_folder(tmp_path: Path) -> None:
    pixels = grey((3, 7, 5)).astype(np.int16)
    write_series(tmp_path / "s", pixels, AXIAL, "T1", {}, "seed")
    (tmp_path / "s" / "slice0001.dcm").rename(tmp_path / "IM0001")
    np.testing.assert_array_equal(read_image(tmp_path / "IM0001", "T1").pixels, pixels[:1])
    np.testing.assert_array_equal(read_image(tmp_path / "s", "T1").pixels, pixels[1:])


def test_capital_suffixes_are_suffixes(tmp_path: Path) -> None:
    save(tmp_path / "a.png", grey()).rename(tmp_path / "A.PNG")
    assert read_image(tmp_path / "A.PNG", "T1").pixels.shape == (1, 7, 5)


def test_masks(tmp_path: Path) -> None:
    pixels = np.zeros((3, 7, 5), np.uint8)
    pixels[1, 2:4, 3] = (1, 255)
    roi = read_mask(save(tmp_path / "m.nii.gz", pixels))
    assert roi.mask is not None
    assert np.argwhere(roi.mask).tolist() == [[1, 2, 3], [1, 3, 3]]
    assert roi.affine is not None
    assert read_mask(save(tmp_path / "m.png", pixels[1])).affine is None
    with pytest.raises(InputError, match=r"mask: e.png: the mask is empty"):
        read_mask(save(tmp_path / "e.png", pixels[0]))
    with pytest.raises(InputError, match="a JPEG does not keep"):
        read_mask(save(tmp_path / "m.jpg", pixels[1]))


def test_a_box_is_its_own_roi(tmp_path: Path) -> None:
    box = Roi(box=(0, 0, 2, 2))
    assert load_roi(box) is box
    loaded = load_roi(save(tmp_path / "m.png", np.ones((2, 2), np.uint8)))
    assert loaded.mask is not None
    assert loaded.mask.shape == (1, 2, 2)
