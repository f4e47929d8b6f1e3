"""Slices of DICOM files in every way they are stored: the values, and nothing of the patient."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from rarelesion.dicom import write_series
from rarelesion.errors import InputError
from rarelesion.frames import Frame, check_uniform, frames_of, is_image, numbers, read_file, read_planes

AXIAL = np.eye(4)[[2, 1, 0, 3]]
SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}
KINDS = {
    "signed": (np.int16, -32768, 32767, 16),
    "unsigned": (np.uint16, 0, 65535, 16),
    "twelve bits": (np.uint16, 0, 4095, 12),
    "signed twelve bits": (np.int16, -2048, 2047, 12),
    "eight bits": (np.uint8, 0, 255, 8),
}


def values(kind: str, frames: int = 1) -> NDArray[np.integer]:
    number, low, high, _ = KINDS[kind]
    return np.random.default_rng(5).integers(low, high + 1, (frames, 24, 18)).astype(number)


def made(pixels: NDArray[np.integer], bits: int) -> Any:
    """A data set of these frames, uncompressed."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.Modality, dataset.PatientName, dataset.NumberOfFrames = "MR", "ROE^JANE", len(pixels)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *pixels.shape[1:], 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, bits, bits - 1
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = int(pixels.dtype.kind == "i"), "MONOCHROME2"
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def packed_by_simpleitk(pixels: NDArray[np.integer], compressor: str, folder: Path) -> bytes:
    frames = []
    for plane in pixels:
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(folder / "packed.dcm"))
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(plane[None]))
        frames.append(get_frame(pydicom.dcmread(folder / "packed.dcm").PixelData, 0, number_of_frames=1))
    return encapsulate(frames)


def stored(pixels: NDArray[np.integer], bits: int, syntax: str, folder: Path) -> Path:
    """The frames in a file of this transfer syntax."""
    dataset, path = made(pixels, bits), folder / "frame"
    if syntax in ("JPEG lossless", "JPEG 2000"):
        dataset.PixelData = packed_by_simpleitk(pixels, {"JPEG lossless": "JPEG"}.get(syntax, "JPEG2000"), folder)
        dataset["PixelData"].is_undefined_length = True
        dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, 8 * pixels.itemsize - 1
    elif syntax in ("RLE", "JPEG-LS"):
        dataset.compress(SYNTAXES[syntax], generate_instance_uid=False)
    elif syntax == "big endian":
        dataset.PixelData = pixels.byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    dataset.save_as(path, enforce_file_format=True)
    return path


def frames(path: Path) -> list[Frame]:
    dataset = read_file("s-abc", path)
    assert dataset is not None
    return frames_of("s-abc", dataset)


def planes(path: Path) -> NDArray[np.float32]:
    return read_planes("s-abc", frames(path))


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_way_to_store_pixels_keeps_their_values(syntax: str, kind: str, tmp_path: Path) -> None:
    pixels = values(kind, 3)
    path = stored(pixels, KINDS[kind][3], syntax, tmp_path)
    read = planes(path)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, pixels)
    np.testing.assert_array_equal(read_planes("s-abc", frames(path)[2:]), pixels[2:])


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big endian"])
def test_files_without_preamble_are_read(syntax: str, tmp_path: Path) -> None:
    path = stored(values("signed"), 16, syntax, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[132:])
    np.testing.assert_array_equal(planes(path), values("signed"))
    begin = content.find(bytes.fromhex("00080016" if syntax == "big endian" else "08001600"))
    path.write_bytes(content[begin:])
    np.testing.assert_array_equal(planes(path), values("signed"))


def test_what_is_no_dicom_is_none(tmp_path: Path) -> None:
    for content in (b"", b"notes", b"\x08\x00" + b"x" * 500, b"\x08\x00\x05\x00UI\x04\x001.2 ", b"PK\x03\x04" * 99):
        (tmp_path / "a").write_bytes(content)
        assert read_file("s-abc", tmp_path / "a") is None


def test_what_older_files_keep_in_unused_bits_is_left_out(tmp_path: Path) -> None:
    pixels = values("twelve bits")
    path = stored(pixels | np.uint16(0xA000), 12, "explicit", tmp_path)
    np.testing.assert_array_equal(planes(path), pixels)
    signed = values("signed twelve bits")
    changed(path, lambda dataset: setattr(dataset, "PixelRepresentation", 1))
    changed(path, lambda dataset: setattr(dataset, "PixelData", ((signed & 0x0FFF) | 0x4000).tobytes()))
    np.testing.assert_array_equal(planes(path), signed)

    def raise_bits(dataset: Any) -> None:
        dataset.HighBit, dataset.PixelRepresentation, dataset.PixelData = 13, 0, (pixels << 2).tobytes()

    np.testing.assert_array_equal(planes(changed(path, raise_bits)), pixels)


@pytest.mark.parametrize(
    ("kind", "value", "limit"),
    [("signed", -2000, None), ("signed", 63536, None), ("unsigned", 0, 10), ("signed twelve bits", -32768, None)],
)
def test_padding_becomes_the_smallest_real_value(kind: str, value: int, limit: int | None, tmp_path: Path) -> None:
    pixels = np.clip(values(kind), 50, 1000)
    pixels[0, :5] = np.array(value).astype(pixels.dtype) if limit is None else 7
    path = stored(pixels, KINDS[kind][3], "explicit", tmp_path)

    def pad(dataset: Any) -> None:
        kind_of = "US" if value > 32767 or not dataset.PixelRepresentation else "SS"
        dataset.add_new("PixelPaddingValue", kind_of, value)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", kind_of, limit)
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -100

    read = planes(changed(path, pad))
    np.testing.assert_array_equal(read[0, :5], 2 * pixels[0, 5:].min() - 100)
    np.testing.assert_array_equal(read[0, 5:], 2.0 * pixels[0, 5:] - 100)


def test_a_picture_of_padding_alone_is_black(tmp_path: Path) -> None:
    path = stored(np.full((1, 3, 4), 9, np.uint16), 16, "explicit", tmp_path)
    changed(path, lambda dataset: dataset.add_new("PixelPaddingValue", "US", 9))
    np.testing.assert_array_equal(planes(path), np.zeros((1, 3, 4)))


def test_high_means_black_is_turned_round_before_rescaling(tmp_path: Path) -> None:
    path = stored(values("twelve bits"), 12, "explicit", tmp_path)

    def invert(dataset: Any) -> None:
        dataset.PhotometricInterpretation, dataset.RescaleSlope, dataset.RescaleIntercept = "MONOCHROME1", 3, 5

    np.testing.assert_array_equal(planes(changed(path, invert)), (4095.0 - values("twelve bits")) * 3 + 5)


def test_a_table_of_values_is_looked_up(tmp_path: Path) -> None:
    path = stored(np.array([[[0, 1], [2, 3]]], np.uint16), 16, "explicit", tmp_path)

    def tabulate(dataset: Any) -> None:
        table = pydicom.Dataset()
        table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [4, 0, 16], "US", [10, 70, 30, 100]
        table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
        dataset.ModalityLUTSequence = [table]

    np.testing.assert_array_equal(planes(changed(path, tabulate))[0], [[10, 70], [30, 100]])


def test_the_whole_is_not_read_where_only_tags_are_wanted(tmp_path: Path) -> None:
    path = stored(values("signed"), 16, "explicit", tmp_path)
    dataset = read_file("s-abc", path, pixels=False)
    assert dataset is not None
    assert is_image(dataset)
    assert "PixelData" not in dataset


def test_numbers_are_taken_only_where_they_are_numbers() -> None:
    good, bad = pydicom.Dataset(), pydicom.Dataset()
    good.PixelSpacing, bad.PixelSpacing = [0.5, 0.7], [0.5]
    found = numbers([bad, good], "PixelSpacing", 2)
    assert found is not None
    np.testing.assert_array_equal(found, [0.5, 0.7])
    assert numbers([bad], "PixelSpacing", 2) is None
    assert numbers([bad], "SliceThickness", 1) is None


def test_all_that_differs_among_slices_is_said_at_once(tmp_path: Path) -> None:
    write_series(tmp_path / "s", np.zeros((3, 4, 5), np.int16), AXIAL, "T1", {}, "s")
    files = sorted((tmp_path / "s").iterdir())

    def change(dataset: Any) -> None:
        dataset.PixelSpacing, dataset.ImageOrientationPatient, dataset.Rows = [2, 2], [0, 1, 0, 0, 0, 1], 2

    changed(files[1], change)
    with pytest.raises(InputError) as caught:
        check_uniform("s-abc", [frame for file in files for frame in frames(file)])
    assert len(caught.value.problems) == 3
    assert all(problem.where == "s-abc" for problem in caught.value.problems)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_cut_off_are_named_by_their_slice(syntax: str, tmp_path: Path) -> None:
    path = stored(values("signed"), 16, syntax, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 400])
    with pytest.raises(InputError) as caught:
        planes(path)
    text = str(caught.value)
    assert text.startswith("s-abc")
    assert not any(word in text for word in ("ROE", "JANE", str(tmp_path), "2.25"))


def test_an_unknown_compression_names_no_uid(tmp_path: Path) -> None:
    path = stored(values("signed"), 16, "explicit", tmp_path)
    changed(path, lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", "1.2.3.4711"))
    with pytest.raises(InputError) as caught:
        planes(path)
    assert "4711" not in str(caught.value)
