"""Marked lesions in label volumes of every program, and every file that is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rarelesion.dicom import write_series
from rarelesion.errors import InputError
from rarelesion.lesions import MarkedLesion, to_grid
from rarelesion.rois import read_rois, referred_series
from rarelesion.types import Floats, Image, Roi

SIZE = (5, 9, 8)
DIRECTION = Rotation.from_euler("xyz", (20, -40, 100), degrees=True).as_matrix()


def labels() -> NDArray[np.uint8]:
    """Labels 2 and 7."""
    found = np.zeros(SIZE, np.uint8)
    found[1:3, 2:5, 3:6] = 2
    found[4, 8, 7] = 7
    return found


def volume(pixels: NDArray[Any], vector: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(pixels, isVector=vector)
    image.SetSpacing((0.5, 0.7, 3))
    image.SetOrigin((-10, 20, 5.5))
    image.SetDirection(DIRECTION.ravel().tolist())
    return image


def affine() -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = DIRECTION[:, ::-1] * (3, 0.7, 0.5)
    matrix[:3, 3] = (-10, 20, 5.5)
    return matrix


def saved(path: Path, image: sitk.Image) -> Path:
    sitk.WriteImage(image, str(path))
    return path


def on_grid(lesion: MarkedLesion) -> NDArray[np.bool_]:
    image = Image(np.zeros(SIZE, np.float32), "T1", affine())
    return to_grid(Roi(mask=lesion.mask, affine=lesion.affine), image)


def sentence(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_rois(path, None, "f-abc")
    text = str(caught.value)
    assert text.startswith("f-abc")
    assert path.name not in text
    assert str(path.parent) not in text
    return text


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_every_label_is_a_lesion_at_its_place(suffix: str, kind: type, tmp_path: Path) -> None:
    path = saved(tmp_path / f"m{suffix}", volume(labels().astype(kind)))
    two, seven = read_rois(path, None, "f-abc")
    assert [(lesion.name, lesion.number) for lesion in (two, seven)] == [("", 2), ("", 7)]
    assert (two.mask.shape, seven.mask.shape) == ((2, 3, 3), (1, 1, 1))
    np.testing.assert_array_equal(on_grid(two), labels() == 2)
    np.testing.assert_array_equal(on_grid(seven), labels() == 7)
    assert referred_series(path, "f-abc") == ()


def test_a_plain_picture_keeps_its_size(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.png", sitk.GetImageFromArray(labels()[1] * 50))
    (lesion,) = read_rois(path, None, "f-abc")
    assert lesion.affine is None
    np.testing.assert_array_equal(lesion.mask[0], labels()[1] == 2)
    coloured = sitk.GetImageFromArray(np.stack([labels()[1] * 50] * 3, axis=-1), isVector=True)
    (same,) = read_rois(saved(tmp_path / "c.png", coloured), None, "f-abc")
    np.testing.assert_array_equal(same.mask, lesion.mask)


def test_probabilities_begin_at_a_half(tmp_path: Path) -> None:
    shares = np.where(labels() == 2, 0.5, 0.499).astype(np.float32)
    (lesion,) = read_rois(saved(tmp_path / "m.nii.gz", volume(shares)), None, "f-abc")
    np.testing.assert_array_equal(on_grid(lesion), labels() == 2)


def test_labels_are_whole_up_to_rounding(tmp_path: Path) -> None:
    noisy = labels() * np.float32(1.00001)
    assert [lesion.number for lesion in read_rois(saved(tmp_path / "m.nii.gz", volume(noisy)), None, "f-abc")] == [2, 7]


def test_a_dicom_series_can_be_a_mask(tmp_path: Path) -> None:
    write_series(tmp_path / "s", labels().astype(np.uint16), affine(), "T1", {}, "s")
    two, seven = read_rois(tmp_path / "s", None, "f-abc")
    np.testing.assert_array_equal(on_grid(two), labels() == 2)
    np.testing.assert_array_equal(on_grid(seven), labels() == 7)
    (alone,) = read_rois(tmp_path / "s" / "slice0003.dcm", None, "f-abc")
    assert (alone.number, int(alone.mask.sum())) == (2, 9)


def slicer(path: Path, pixels: NDArray[Any], segments: list[dict[str, str]], vector: bool = False) -> Path:
    """As 3D Slicer writes it: what is marked only, which begins somewhere within the image."""
    image = volume(pixels, vector)
    image.SetMetaData("Segmentation_ReferenceImageExtentOffset", "3 2 1")
    image.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    for number, segment in enumerate(segments):
        for key, value in segment.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def test_slicer_segments_have_names_values_and_layers(tmp_path: Path) -> None:
    layers = np.stack([labels(), np.roll(labels(), 1, axis=1)], axis=-1)
    segments = [
        {"Name": "tumour", "LabelValue": "2", "Layer": "0", "ID": "Segment_1"},
        {"Name": "node", "LabelValue": "7", "Layer": "0", "ID": "Segment_2"},
        {"Name": "oedema", "LabelValue": "2", "Layer": "1", "ID": "Segment_3"},
        {"Name": "nothing", "LabelValue": "9", "Layer": "1", "ID": "Segment_4"},
    ]
    lesions = read_rois(slicer(tmp_path / "s.seg.nrrd", layers, segments, vector=True), None, "f-abc")
    found = {lesion.name: (lesion.number, on_grid(lesion)) for lesion in lesions}
    assert {name: number for name, (number, _) in found.items()} == {"tumour": 2, "node": 7, "oedema": 2}
    np.testing.assert_array_equal(found["tumour"][1], labels() == 2)
    np.testing.assert_array_equal(found["node"][1], labels() == 7)
    np.testing.assert_array_equal(found["oedema"][1], np.roll(labels(), 1, axis=1) == 2)


def test_slicer_segments_of_one_layer(tmp_path: Path) -> None:
    segments = [{"Name": "tumour", "LabelValue": "2", "Layer": "0"}, {"Name": "node", "LabelValue": "7", "Layer": "0"}]
    lesions = read_rois(slicer(tmp_path / "s.seg.nrrd", labels(), segments), None, "f-abc")
    assert [(lesion.name, lesion.number) for lesion in lesions] == [("tumour", 2), ("node", 7)]
    np.testing.assert_array_equal(on_grid(lesions[1]), labels() == 7)


def test_slicer_before_shared_layers(tmp_path: Path) -> None:
    layers = np.stack([labels() == 2, labels() == 7], axis=-1).astype(np.uint8)
    path = slicer(tmp_path / "s.seg.nrrd", layers, [{"Name": "tumour"}, {"Name": "node"}], vector=True)
    first, second = read_rois(path, None, "f-abc")
    assert [(lesion.name, lesion.number) for lesion in (first, second)] == [("tumour", 1), ("node", 1)]
    np.testing.assert_array_equal(on_grid(second), labels() == 7)


def test_slicer_lays_several_segments_out_as_a_list(tmp_path: Path) -> None:
    """The very file: a fourth axis in front that is a list, not a place."""
    layers = np.stack([labels(), np.roll(labels(), 1, axis=1)], axis=-1)
    rows = "".join(
        f" ({','.join(str(value) for value in DIRECTION[:, axis] * step)})" for axis, step in enumerate((0.5, 0.7, 3))
    )
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\n"
        f"sizes: 2 {SIZE[2]} {SIZE[1]} {SIZE[0]}\nspace directions: none{rows}\n"
        "kinds: list domain domain domain\nencoding: raw\nspace origin: (-10,20,5.5)\n"
        "Segment0_Name:=tumour\nSegment0_LabelValue:=2\nSegment0_Layer:=0\n"
        "Segment1_Name:=oedema\nSegment1_LabelValue:=2\nSegment1_Layer:=1\n\n"
    )
    (tmp_path / "s.seg.nrrd").write_bytes(header.encode() + layers.tobytes())
    tumour, oedema = read_rois(tmp_path / "s.seg.nrrd", None, "f-abc")
    np.testing.assert_array_equal(on_grid(tumour), labels() == 2)
    np.testing.assert_array_equal(on_grid(oedema), np.roll(labels(), 1, axis=1) == 2)


def test_what_is_no_mask_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert "the mask is empty" in sentence(saved(tmp_path / "a.nii.gz", volume(np.zeros(SIZE, np.uint8))))
    assert "an image, not a mask" in sentence(saved(tmp_path / "b.nii.gz", volume(rng.normal(0, 9, SIZE))))
    negative = volume(rng.integers(-9, 9, SIZE).astype(np.int16))
    assert "an image, not a mask; found values from -9 to 8" in sentence(saved(tmp_path / "c.nii.gz", negative))
    many = volume(rng.integers(0, 9000, (20, 20, 20)).astype(np.int16))
    assert "at most 1000 labels" in sentence(saved(tmp_path / "d.nii.gz", many))
    four = saved(tmp_path / "f.nii.gz", sitk.GetImageFromArray(np.stack([labels(), labels() // 2]), isVector=False))
    assert "several values a voxel; found 2" in sentence(four)
    assert "several values a voxel; found 2" in sentence(
        saved(tmp_path / "e.nrrd", volume(rng.integers(0, 2, (*SIZE, 2)), True))
    )


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".dcm", ""])
def test_damaged_and_missing_files_are_named_by_where_only(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"ROE_JANE{suffix}"
    assert "cannot be read" in sentence(path)
    for content in (b"", b"ROE^JANE was here", b"\x00" * 128 + b"DICM"):
        path.write_bytes(content)
        assert "ROE" not in sentence(path)
    if suffix not in (".dcm", ""):
        whole = saved(
            tmp_path / f"whole{suffix}",
            volume(np.tile(labels(), (1, 30, 30)))
            if suffix != ".png"
            else sitk.GetImageFromArray(np.tile(labels()[1], (30, 30))),
        )
        path.write_bytes(whole.read_bytes()[:-200])
        sentence(path)
