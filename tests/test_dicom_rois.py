"""DICOM segmentations as highdicom writes them, and structure sets."""

from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from scipy.spatial.transform import Rotation

from rarelesion.dicom import write_series
from rarelesion.errors import InputError
from rarelesion.frames import read_file
from rarelesion.lesions import MarkedLesion, to_grid
from rarelesion.rois import read_rois, referred_series
from rarelesion.types import Floats, Image, Roi
from rarelesion.volumes import read_stack, write_volume

SIZE = (8, 12, 10)
TISSUE = CodedConcept("85756007", "SCT", "Tissue")


def turned(angles: tuple[float, float, float], step: tuple[float, float] = (0, 0)) -> Floats:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * (3, 0.8, 0.5)
    affine[:3, 0] += affine[:3, 1:3] / (0.8, 0.5) @ step
    affine[:3, 3] = (-12.5, 30, 4)
    return affine


def masks() -> NDArray[np.bool_]:
    """Three segments, which overlap and leave out slices."""
    found = np.zeros((3, *SIZE), dtype=np.bool_)
    found[0, 2:4, 3:7, 2:5] = True
    found[0, 6, 1, 1] = True
    found[1, 3, 4:9, 4:8] = True
    found[2, 6:8, 8:, 7:] = True
    return found


@pytest.fixture(params=[(0, 0, 0), (25, -40, 70)], ids=["axial", "oblique"])
def marked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Any], Image]:
    """The files of a series, and the series."""
    write_series(tmp_path / "s", np.zeros(SIZE, np.int16), turned(request.param), "T1", {}, "s")
    return opened(tmp_path / "s")


def opened(folder: Path) -> tuple[list[Any], Image]:
    files = sorted(folder.iterdir())
    sources = [pydicom.dcmread(file) for file in files]
    for source in sources:  # what highdicom asks of its sources
        source.PatientBirthDate, source.PatientSex, source.StudyDate, source.StudyTime = "", "", "", ""
        source.AccessionNumber, source.ReferringPhysicianName, source.StudyID = "", "", ""
    return sources, read_stack([(file, 0) for file in files], "T1", "s-abc")[0]


def segmentation(
    path: Path, sources: list[Any], pixels: NDArray[Any], kind: str, syntax: str = ExplicitVRLittleEndian, **more: Any
) -> Path:
    """`pixels` (slices, rows, columns, segments), or a label map without the last axis."""
    count = pixels.shape[-1] if pixels.ndim == 4 else int(pixels.max())
    described = [
        highdicom.seg.SegmentDescription(number, f"tumour {number}", TISSUE, TISSUE, "MANUAL")
        for number in range(1, count + 1)
    ]
    whole = highdicom.seg.Segmentation(
        sources, pixels, kind, described, generate_uid(), 2, generate_uid(), 1, "M", "M", "1", "1",
        transfer_syntax_uid=syntax, **more,
    )  # fmt: skip
    whole.save_as(path)
    return path


def on_grid(lesion: MarkedLesion, image: Image) -> NDArray[np.bool_]:
    return to_grid(Roi(mask=lesion.mask, affine=lesion.affine), image)


def check(path: Path, image: Image, expected: NDArray[np.bool_]) -> None:
    lesions = read_rois(path, image, "f-abc")
    assert [(lesion.name, lesion.number) for lesion in lesions] == [
        (f"tumour {number}", number) for number in range(1, len(expected) + 1)
    ]
    for lesion, mask in zip(lesions, expected, strict=True):
        assert lesion.mask.sum() == mask.sum()
        np.testing.assert_array_equal(on_grid(lesion, image), mask)


@pytest.mark.parametrize("sparse", [True, False])
def test_binary_segments_lie_where_they_were_drawn(
    sparse: bool, marked: tuple[list[Any], Image], tmp_path: Path
) -> None:
    sources, image = marked
    pixels = np.moveaxis(masks(), 0, -1)
    path = segmentation(tmp_path / "seg", sources, pixels, "BINARY", omit_empty_frames=sparse)
    check(path, image, masks())
    alone = read_rois(path, None, "f-abc")  # the file itself says how far apart slices are
    np.testing.assert_array_equal(on_grid(alone[0], image), masks()[0])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_fractional_segments_begin_at_a_half(syntax: str, marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    sources, image = marked
    shares = np.moveaxis(np.where(masks(), 0.6, 0.4), 0, -1)
    shares[0, 0, :2] = 0.51
    expected = masks()
    expected[:, 0, 0, :2] = True
    check(segmentation(tmp_path / "seg", sources, shares, "FRACTIONAL", syntax), image, expected)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_label_maps_hold_all_segments_in_a_frame(syntax: str, marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    sources, image = marked
    labels = np.zeros(SIZE, np.uint8)
    for number, mask in enumerate(masks(), start=1):
        labels[mask] = number
    path = segmentation(tmp_path / "seg", sources, labels, "LABELMAP", syntax)
    check(path, image, np.stack([labels == number for number in (1, 2, 3)]))


def test_slices_left_out_are_empty_whatever_the_file_says_of_them(
    marked: tuple[list[Any], Image], tmp_path: Path
) -> None:
    sources, image = marked
    mask = np.zeros((*SIZE, 1), dtype=np.bool_)
    mask[[1, 4, 7], 3:6, 3:6] = True
    path = segmentation(tmp_path / "seg", sources, mask, "BINARY")
    dataset = pydicom.dcmread(path)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness = 2  # thinner than they are apart
    if "SpacingBetweenSlices" in measures:
        del measures.SpacingBetweenSlices
    dataset.save_as(path)
    np.testing.assert_array_equal(on_grid(read_rois(path, image, "f-abc")[0], image), mask[..., 0])


def test_a_segmentation_of_tilted_slices_keeps_their_tilt(tmp_path: Path) -> None:
    affine = turned((0, 0, 0), (1.1, 0))
    write_series(tmp_path / "s", np.zeros(SIZE, np.int16), affine, "CT", {}, "s")
    sources, image = opened(tmp_path / "s")
    path = segmentation(tmp_path / "seg", sources, np.moveaxis(masks(), 0, -1), "BINARY")
    for lesion, mask in zip(read_rois(path, image, "f-abc"), masks(), strict=True):
        # The image is at right angles, and so is what is marked on it, at most half a pixel beside.
        write_volume(tmp_path / "m.nii.gz", Image(lesion.mask.astype(np.float32), "mask", lesion.affine))
        assert lesion.mask.sum() == mask.sum()
        found, truth = (
            (np.argwhere(each) @ matrix[:3, :3].T + matrix[:3, 3]).mean(axis=0)
            for each, matrix in ((lesion.mask, lesion.affine), (mask, affine))
            if matrix is not None
        )
        np.testing.assert_allclose(found, truth, atol=0.41)
    for lesion, mask in zip(read_rois(path, None, "f-abc"), masks(), strict=True):
        assert lesion.affine is not None
        places = [
            np.argwhere(each) @ matrix[:3, :3].T + matrix[:3, 3]
            for each, matrix in ((lesion.mask, lesion.affine), (mask, affine))
        ]
        np.testing.assert_allclose(places[0], places[1], atol=1e-6)


def test_uneven_slices_take_the_nearest_frame(tmp_path: Path) -> None:
    heights = [0, 3, 6.7, 10, 12.2, 15.2, 18, 21]
    write_series(tmp_path / "s", np.zeros(SIZE, np.int16), turned((0, 0, 0)), "T1", {}, "s")
    for height, file in zip(heights, sorted((tmp_path / "s").iterdir()), strict=True):
        dataset = pydicom.dcmread(file)
        dataset.ImagePositionPatient = [-12.5, 30, 4 + height]
        dataset.save_as(file)
    sources, image = opened(tmp_path / "s")
    mask = np.zeros((*SIZE, 1), dtype=np.bool_)
    mask[2:6, 3:6, 3:6] = True
    lesion = read_rois(segmentation(tmp_path / "seg", sources, mask, "BINARY"), None, "f-abc")[0]
    found = on_grid(lesion, image)
    assert found.any(axis=0).sum() == 9
    assert 3 <= found.any(axis=(1, 2)).sum() <= 5


def structures(path: Path, rois: list[tuple[str, str, list[Floats]]]) -> Path:
    """A structure set of these names, kinds of outline and outlines in patient mm."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
    dataset.Modality, dataset.PatientName = "RTSTRUCT", "ROE^JANE"
    series, study, frame = (pydicom.Dataset() for _ in range(3))
    series.SeriesInstanceUID, study.RTReferencedSeriesSequence = "2.25.99", [series]
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, kind, outlines) in enumerate(rois, start=7):
        named, drawn = pydicom.Dataset(), pydicom.Dataset()
        named.ROINumber, named.ROIName, drawn.ReferencedROINumber, drawn.ContourSequence = number, name, number, []
        for outline in outlines:
            item = pydicom.Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = kind, len(outline)
            item.ContourData = [f"{value:.7g}" for value in outline.ravel()]
            drawn.ContourSequence.append(item)
        dataset.StructureSetROISequence.append(named)
        dataset.ROIContourSequence.append(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


def box(image: Image, plane: float, row0: float, column0: float, row1: float, column1: float) -> Floats:
    corners = [[plane, row0, column0], [plane, row0, column1], [plane, row1, column1], [plane, row1, column0]]
    assert image.affine is not None
    return np.array(corners) @ image.affine[:3, :3].T + image.affine[:3, 3]


def test_structures_are_filled_where_they_were_drawn(marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    _, image = marked
    tumour = [box(image, plane, 1.5, 1.5, 9.5, 8.5) for plane in (2, 3, 4)] + [box(image, 3, 3.5, 3.5, 5.5, 5.5)]
    rois = [
        ("GTV", "CLOSED_PLANAR", tumour),
        ("isocentre", "POINT", [box(image, 3, 2, 2, 2, 2)[:1]]),
        ("node", "CLOSED_PLANAR", [box(image, 6, 0.5, 0.5, 2.5, 2.5)]),
        ("far", "CLOSED_PLANAR", [box(image, 60, 0.5, 0.5, 2.5, 2.5)]),
    ]
    path = structures(tmp_path / "rs", rois)
    lesions = read_rois(path, image, "f-abc")
    assert [(lesion.name, lesion.number) for lesion in lesions] == [("GTV", 7), ("node", 9)]
    expected = np.zeros(SIZE, dtype=np.bool_)
    expected[2:5, 2:10, 2:9] = True
    expected[3, 4:6, 4:6] = False
    np.testing.assert_array_equal(on_grid(lesions[0], image), expected)
    assert np.argwhere(on_grid(lesions[1], image)).tolist() == [[6, row, column] for row in (1, 2) for column in (1, 2)]
    assert referred_series(path, "f-abc") == ("2.25.99",)


def test_what_a_segmentation_refers_to_is_given_raw(marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    sources, _ = marked
    path = segmentation(tmp_path / "seg", sources, np.moveaxis(masks(), 0, -1), "BINARY")
    assert referred_series(path, "f-abc") == (str(sources[0].SeriesInstanceUID),)


def test_structures_need_their_image(marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    _, image = marked
    path = structures(tmp_path / "rs", [("ROE JANE", "CLOSED_PLANAR", [box(image, 3, 1, 1, 5, 5)])])
    for without in (None, Image(image.pixels, "T1")):
        with pytest.raises(InputError, match="f-abc: the outlines need the image on which they were drawn"):
            read_rois(path, without, "f-abc")
    points = structures(tmp_path / "points", [("ROE JANE", "POINT", [box(image, 3, 1, 1, 5, 5)])])
    with pytest.raises(InputError, match="f-abc: the mask is empty"):
        read_rois(points, image, "f-abc")


def test_nothing_of_a_damaged_file_reaches_a_message(marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    sources, image = marked
    seg = segmentation(tmp_path / "seg", sources, np.moveaxis(masks(), 0, -1), "BINARY")
    rs = structures(tmp_path / "rs", [("ROE^JANE", "CLOSED_PLANAR", [box(image, 3, 1, 1, 5, 5)])])
    rng = np.random.default_rng(0)
    for path in (seg, rs):
        content = path.read_bytes()
        for place in rng.integers(132, len(content), 25):
            for damaged in (content[:place], content[:place] + b"ROE^JANE" + content[place + 8 :]):
                path.write_bytes(damaged)
                assert not any(word in outcome(path, image) for word in ("ROE", "JANE", str(tmp_path), "2.25"))


def test_a_tag_of_an_unknown_kind_is_a_damaged_file(marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    sources, image = marked
    path = segmentation(tmp_path / "seg", sources, np.moveaxis(masks(), 0, -1), "BINARY")
    kind = b"\x62\x00\x01\x00C"  # Segmentation Type, and the first letter of CS
    assert kind + b"S" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(kind + b"S", kind + b"\xba"))
    assert outcome(path, image).startswith("f-abc: a damaged mask")


def outcome(path: Path, image: Image) -> str:
    """What a reader would see: how many lesions there are, or why there are none."""
    try:
        return str(len(read_rois(path, image, "f-abc")))
    except InputError as error:
        return str(error)


def test_frames_without_a_place_are_refused(marked: tuple[list[Any], Image], tmp_path: Path) -> None:
    sources, image = marked
    path = segmentation(tmp_path / "seg", sources, np.moveaxis(masks(), 0, -1), "BINARY")
    dataset = read_file("f-abc", path)
    assert dataset is not None
    place = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    held, place.ImagePositionPatient = place.ImagePositionPatient, [0, 0, 1e9]
    dataset.save_as(path)
    assert "f-abc: the frames of the segmentation are metres apart" in outcome(path, image)
    place.ImagePositionPatient = held
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    dataset.save_as(path)
    assert "f-abc: the segmentation has no patient coordinates" in outcome(path, image)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(path)
    assert "f-abc" in outcome(path, image)
