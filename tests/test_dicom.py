"""DICOM series against SimpleITK's own reader, and every series that is no volume."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, JPEG2000Lossless, RLELossless
from scipy.spatial.transform import Rotation

from rarelesion.dicom import read_series, write_series
from rarelesion.errors import InputError
from rarelesion.types import Floats

SHAPE = (5, 12, 9)


def affine(
    angles: tuple[float, float, float] = (0, 0, 0), spacing: tuple[float, float, float] = (4, 0.8, 0.5)
) -> Floats:
    """From (slice, row, column, 1) to millimetres: an axial volume turned about x, y, z."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * spacing
    matrix[:3, 3] = (-30.25, 12.5, 7.75)
    return matrix


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-500, 3000, SHAPE).astype(np.int16)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    write_series(tmp_path / "s", pixels(), affine(), "T1", {}, "seed")
    return tmp_path / "s"


def edit(folder: Path, change: Callable[[int, Any], None]) -> None:
    """Change each file of a series in place."""
    for index, file in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(file)
        change(index, dataset)
        dataset.save_as(file)


def sentence(source: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_series(source, "T1")
    return str(caught.value)


@pytest.mark.parametrize("angles", [(0, 0, 0), (90, 0, 0), (0, -90, 90), (20, -35, 50)])
def test_a_series_lies_where_simpleitk_puts_it(tmp_path: Path, angles: tuple[float, float, float]) -> None:
    write_series(tmp_path, pixels(), affine(angles), "T1", {}, "seed")
    for number, file in enumerate(sorted(tmp_path.iterdir())):  # file names say nothing of the order
        file.rename(tmp_path / f"{(number * 3) % 5}.ima")
    image = read_series(tmp_path, "T1")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    reference = reader.Execute()
    np.testing.assert_array_equal(image.pixels, sitk.GetArrayFromImage(reference))
    assert image.affine is not None
    for index in [(0, 0, 0), (4, 0, 0), (0, 11, 0), (0, 0, 8), (2, 5, 3)]:
        point = reference.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose((image.affine @ [*index, 1])[:3], point, atol=1e-4)


def test_what_is_written_is_read_back(series: Path) -> None:
    image = read_series(series, "T1")
    np.testing.assert_array_equal(image.pixels, pixels())
    assert image.affine is not None
    np.testing.assert_allclose(image.affine, affine(), atol=1e-6)
    assert image.spacing_mm == pytest.approx((4, 0.8, 0.5))
    assert image.sequence == "T1"


def test_synthetic_files_are_the_same_each_time_and_say_what_they_are(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_series(tmp_path / name, pixels(), affine(), "T1", {"MagneticFieldStrength": 1.5}, "seed")
    write_series(tmp_path / "T2", pixels(1), affine(), "T2", {}, "seed")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    first, other = (pydicom.dcmread(tmp_path / name / "slice0001.dcm") for name in ("one", "T2"))
    assert (str(first.PatientName), first.PatientID, first.PatientBirthDate) == ("SYNTHETIC^LESION", "SYNTHETIC", "")
    assert (first.MagneticFieldStrength, first.SeriesDescription) == (1.5, "T1")
    assert first.StudyInstanceUID == other.StudyInstanceUID
    assert first.FrameOfReferenceUID == other.FrameOfReferenceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in (tmp_path / "one").iterdir()]
    assert len(set(uids)) == 5
    assert all(uid.is_valid for uid in uids)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int16"):
        write_series(tmp_path, pixels().astype(np.float32), affine(), "T1", {}, "seed")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="no DICOM keyword FieldStrenght"):
        write_series(tmp_path, pixels(), affine(), "T1", {"FieldStrenght": 3}, "seed")


def test_values_are_rescaled_slice_by_slice(series: Path) -> None:
    def rescale(index: int, dataset: Any) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 2 + index, -100

    edit(series, rescale)
    slopes = np.arange(2, 7)[:, None, None]
    np.testing.assert_allclose(read_series(series, "T1").pixels, pixels() * slopes - 100)


def test_inverted_images_are_turned_round(series: Path, tmp_path: Path) -> None:
    def invert(index: int, dataset: Any) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    edit(series, invert)
    np.testing.assert_array_equal(read_series(series, "T1").pixels, -1 - pixels().astype(np.float32))
    unsigned = (pixels() + 500).astype(np.uint16)
    write_series(tmp_path / "u", unsigned, affine(), "T1", {"PhotometricInterpretation": "MONOCHROME1"}, "seed")
    np.testing.assert_array_equal(read_series(tmp_path / "u", "T1").pixels, 65535 - unsigned.astype(np.float32))


def test_other_files_in_the_folder_are_passed_over(series: Path) -> None:
    (series / "DICOMDIR").write_bytes(b"an index")
    (series / "notes.txt").write_text("seen", encoding="utf-8")
    (series / "sub").mkdir()
    assert read_series(series, "T1").pixels.shape == SHAPE


def test_one_file_is_a_volume_of_one_slice(series: Path) -> None:
    image = read_series(series / "slice0003.dcm", "T1")
    np.testing.assert_array_equal(image.pixels[0], pixels()[2])
    assert image.affine is not None
    np.testing.assert_allclose(image.affine[:3, 3], (affine() @ [2, 0, 0, 1])[:3], atol=1e-6)
    assert image.spacing_mm == pytest.approx((4, 0.8, 0.5))


def test_without_positions_the_instance_number_orders_and_nothing_is_known_of_the_patient(series: Path) -> None:
    def strip(index: int, dataset: Any) -> None:
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
        dataset.InstanceNumber = 5 - index

    edit(series, strip)
    image = read_series(series, "T1")
    np.testing.assert_array_equal(image.pixels, pixels()[::-1])
    assert image.affine is None


def test_without_positions_and_numbers_there_is_no_order(series: Path) -> None:
    def strip(index: int, dataset: Any) -> None:
        del dataset.ImagePositionPatient, dataset.InstanceNumber

    edit(series, strip)
    assert "neither position nor instance number" in sentence(series)


def test_several_series_are_counted_and_not_named(series: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "other", pixels(), affine(), "T2", {}, "seed")
    for file in list((tmp_path / "other").iterdir())[:3]:
        shutil.copy(file, series / f"other_{file.name}")
    text = sentence(series)
    assert "2 series of 3, 5 files" in text or "2 series of 5, 3 files" in text
    assert "1.2.826" not in text


def test_a_missing_slice_is_seen(series: Path) -> None:
    (series / "slice0002.dcm").unlink()
    assert "distances from 4.00 to 8.00 mm" in sentence(series)


def test_two_echoes_in_one_series_are_seen(series: Path) -> None:
    def stack(index: int, dataset: Any) -> None:
        dataset.ImagePositionPatient = [0, 0, 4 * (index // 2)]

    edit(series, stack)
    assert "2 of 5 slices share their place" in sentence(series)


def test_a_localiser_is_no_volume(series: Path) -> None:
    def turn(index: int, dataset: Any) -> None:
        if index == 2:
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    edit(series, turn)
    assert "different directions" in sentence(series)


def test_slices_of_another_size_or_spacing_or_colour_are_seen(series: Path) -> None:
    def change(index: int, dataset: Any) -> None:
        if index == 1:
            dataset.Rows, dataset.PixelSpacing = 6, [1, 1]
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"

    edit(series, change)
    text = sentence(series)
    assert "12 x 9 (4 slices), 6 x 9 (1 slices)" in text
    assert "pixel spacing" in text
    assert "colour" in text


def test_a_truncated_slice_is_named_by_its_place(series: Path) -> None:
    file = series / "slice0004.dcm"
    file.write_bytes(file.read_bytes()[:-50])
    assert "slice 4 of 5: the pixels cannot be read" in sentence(series)


def test_a_damaged_file_is_not_passed_over(series: Path) -> None:
    file = series / "slice0005.dcm"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00U?"))
    assert content != file.read_bytes()
    assert "file 5 of 5: a damaged DICOM file" in sentence(series)


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("seen", encoding="utf-8")
    assert "no DICOM image; found 1 files" in sentence(tmp_path)


def test_compressed_pixels_are_read_where_they_can_be(series: Path) -> None:
    edit(series, lambda index, dataset: dataset.compress(RLELossless, generate_instance_uid=False))
    np.testing.assert_array_equal(read_series(series, "T1").pixels, pixels())


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "MR_small_RLE.dcm"])
def test_lossless_files_hold_the_same_pixels(name: str) -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    if not (folder / name).is_file():
        pytest.skip("this pydicom comes without its example files")
    expected = read_series(folder / "MR_small.dcm", "T1")
    np.testing.assert_array_equal(read_series(folder / name, "T1").pixels, expected.pixels)


def test_either_decoder_keeps_rescaling_and_inversion(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(index: int, dataset: Any) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, 10
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.compress(RLELossless, generate_instance_uid=False)

    def fail(*arguments: object) -> None:
        raise RuntimeError("no decoder")

    edit(series, change)
    expected = read_series(series, "T1").pixels
    np.testing.assert_array_equal(expected, 2 * (-1 - pixels().astype(np.float32)) + 10)
    monkeypatch.setattr("rarelesion.frames.sitk.ReadImage", fail)
    np.testing.assert_array_equal(read_series(series, "T1").pixels, expected)


def test_compressed_pixels_that_cannot_be_read_name_the_remedy(series: Path) -> None:
    def pretend(index: int, dataset: Any) -> None:
        dataset.PixelData = pydicom.encaps.encapsulate([b"\x00" * 64])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless

    edit(series, pretend)
    text = sentence(series)
    assert "JPEG 2000" in text
    assert "pip install" in text


def test_no_tag_of_the_patient_reaches_a_message(series: Path) -> None:
    def identify(index: int, dataset: Any) -> None:
        dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = "ROE^JANE", "4711", "A0815"
        dataset.PatientBirthDate = "19700101"

    edit(series, identify)
    (series / "slice0002.dcm").unlink()
    text = sentence(series) + repr(read_series(series / "slice0001.dcm", "T1"))
    assert not any(word in text for word in ("ROE", "JANE", "4711", "A0815", "1970"))


def test_an_enhanced_file_holds_its_slices_itself(series: Path, tmp_path: Path) -> None:
    files = [pydicom.dcmread(file) for file in sorted(series.iterdir())]
    enhanced = pydicom.dcmread(series / "slice0001.dcm")
    enhanced.SOPClassUID = enhanced.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    enhanced.NumberOfFrames = len(files)
    order = [3, 0, 4, 1, 2]
    enhanced.PixelData = b"".join(files[index].PixelData for index in order)
    groups = []
    for index in order:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = files[index].ImagePositionPatient
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = enhanced.PixelSpacing, 4
    plane.ImageOrientationPatient = enhanced.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
    enhanced.PerFrameFunctionalGroupsSequence = Sequence(groups)
    enhanced.SharedFunctionalGroupsSequence = Sequence([shared])
    for keyword in ("PixelSpacing", "SliceThickness", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(enhanced, keyword)
    enhanced.save_as(tmp_path / "enhanced.dcm")
    image = read_series(tmp_path / "enhanced.dcm", "T1")
    np.testing.assert_array_equal(image.pixels, pixels())
    assert image.affine is not None
    np.testing.assert_allclose(image.affine, affine(), atol=1e-6)
