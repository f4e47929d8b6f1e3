"""Volumes as they come from DICOM and go to NIfTI, held against SimpleITK, nibabel and dcm2niix."""

import gzip
import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from rarelesion.dicom import write_series
from rarelesion.errors import InputError
from rarelesion.images import read_image
from rarelesion.types import Floats, Image
from rarelesion.volumes import read_stack, write_volume

SHAPE = (4, 7, 6)
SPACING = (3.0, 0.8, 0.5)
OBLIQUE = [(20, -35, 50), (90, 10, 0), (-75, 40, 160)]


def pixels(shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    return np.random.default_rng(len(shape)).permutation(int(np.prod(shape))).reshape(shape).astype(np.int16)


def turned(angles: tuple[float, float, float] = (0, 0, 0), step: tuple[float, float] = (0, 0)) -> Floats:
    """An axial volume turned about x, y, z, each slice `step` mm further down and across than the one before."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[:, ::-1] * SPACING
    affine[:3, 0] += affine[:3, 1:3] / SPACING[1:] @ step
    affine[:3, 3] = (-30.25, 12.5, 7.75)
    return affine


def all_48() -> Iterator[tuple[str, Floats]]:
    """Every way to lay slices, rows and columns along the patient's axes, forwards and backwards."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = (np.eye(3)[:, list(axes)] * signs) * SPACING
            affine[:3, 3] = (11.5, -20.25, 33.0)
            yield (
                "".join("xyz"[axis] + ("p" if sign > 0 else "m") for axis, sign in zip(axes, signs, strict=True)),
                affine,
            )


def files_of(folder: Path) -> list[tuple[Path, int]]:
    """The files of a folder, shuffled."""
    files = sorted(folder.iterdir())
    return [(files[index], 0) for index in np.random.default_rng(1).permutation(len(files))]


def edit(folder: Path, change: Callable[[int, Any], None]) -> None:
    for index, file in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(file)
        change(index, dataset)
        dataset.save_as(file)


def written(folder: Path, affine: Floats | None = None, kind: type = np.int16) -> Path:
    write_series(folder, pixels().astype(kind), turned() if affine is None else affine, folder.name, {}, folder.name)
    return folder


def sentence(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_stack(files_of(folder), "T1", "s-abc")
    return str(caught.value)


def outcome(folder: Path) -> str:
    """What a reader would see of a folder: its notes, or why it cannot be read."""
    try:
        return repr(read_stack(files_of(folder), "T1", "s-abc")[1])
    except InputError as error:
        return str(error)


def lps(path: Path) -> tuple[NDArray[np.generic], Floats]:
    """(columns, rows, slices) values and the affine from those to LPS, as nibabel reads the file."""
    volume = nibabel.load(path)  # pyright: ignore[reportPrivateImportUsage]
    return np.asarray(volume.dataobj), np.diag([-1, -1, 1, 1]) @ volume.affine  # pyright: ignore


def values_at(points: Floats, values: NDArray[np.generic], affine: Floats) -> NDArray[np.generic]:
    """The values at points in the patient, which have to be voxel centres."""
    index = np.linalg.solve(affine, np.column_stack([points, np.ones(len(points))]).T)[:3].T
    np.testing.assert_allclose(index, np.rint(index), atol=0.01)
    return values[tuple(np.rint(index).astype(int).T)]


def centres(image: Image) -> Floats:
    assert image.affine is not None
    return np.argwhere(np.ones(image.pixels.shape)) @ image.affine[:3, :3].T + image.affine[:3, 3]


def simpleitk(folder: Path) -> tuple[NDArray[np.generic], Floats]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    volume = reader.Execute()
    return sitk.GetArrayFromImage(volume).T, place_of(volume)


def place_of(volume: sitk.Image) -> Floats:
    affine = np.eye(4)
    affine[:3, :3] = np.array(volume.GetDirection()).reshape(3, 3) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    return affine


@pytest.fixture(scope="module")
def orientations(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Floats]]:
    """All 48 orientations and some oblique ones as DICOM, what dcm2niix makes of them, and their affines."""
    folder = tmp_path_factory.mktemp("orientations")
    affines = {**dict(all_48()), **{f"oblique{number}": turned(angles) for number, angles in enumerate(OBLIQUE)}}
    for name, affine in affines.items():
        written(folder / "dicom" / name, affine)
    (folder / "nifti").mkdir()
    command = [Path(sys.executable).with_name("dcm2niix"), "-b", "n", "-z", "n", "-d", "9", "-f", "%d", "-o"]
    subprocess.run([*command, folder / "nifti", folder / "dicom"], check=True, capture_output=True)
    return folder / "dicom", folder / "nifti", affines


NAMES = [name for name, _ in all_48()] + [f"oblique{number}" for number in range(len(OBLIQUE))]


@pytest.mark.parametrize("name", NAMES)
def test_every_orientation_lies_where_the_referees_put_it(
    name: str, orientations: tuple[Path, Path, dict[str, Floats]], tmp_path: Path
) -> None:
    dicom, nifti, affines = orientations
    image, notes = read_stack(files_of(dicom / name), "T1", "s-abc")
    points, values = centres(image), image.pixels.ravel()
    assert notes == ()
    write_volume(tmp_path / "v.nii.gz", image)
    again = read_image(tmp_path / "v.nii.gz", "T1")
    assert again.affine is not None
    truth = (pixels().T, affines[name][:, [2, 1, 0, 3]])
    ours = (again.pixels.T, again.affine[:, [2, 1, 0, 3]])
    for referee in (truth, simpleitk(dicom / name), lps(nifti / f"{name}.nii"), lps(tmp_path / "v.nii.gz"), ours):
        np.testing.assert_array_equal(values_at(points, *referee), values)


def ramp(points: Floats) -> Floats:
    """A value that grows evenly through the patient: linear sampling changes nothing of it."""
    return points @ [3.0, -2.0, 5.0] + 400


def write_ramp(folder: Path, affine: Floats, heights: list[float], tags: dict[str, object] | None = None) -> Path:
    """The ramp in slices at these multiples of the affine's slice step."""
    index = np.argwhere(np.ones((len(heights), 20, 24)))
    index = np.column_stack([np.array(heights)[index[:, 0]], index[:, 1:]])
    values = ramp(index @ affine[:3, :3].T + affine[:3, 3]).reshape(len(heights), 20, 24)
    write_series(folder, np.rint(values).astype(np.int16), affine, folder.name, tags or {}, folder.name)

    def place(number: int, dataset: Any) -> None:
        dataset.ImagePositionPatient = [f"{value:.9g}" for value in affine[:3, 3] + heights[number] * affine[:3, 0]]

    edit(folder, place)
    return folder


@pytest.mark.parametrize("angles", [(0, 0, 0), *OBLIQUE])
@pytest.mark.parametrize("step", [(0.9, 0), (-0.4, 1.1)])
def test_a_tilted_stack_is_brought_to_right_angles(
    angles: tuple[float, float, float], step: tuple[float, float], tmp_path: Path
) -> None:
    affine = turned(angles, step)
    image, notes = read_stack(files_of(write_ramp(tmp_path / "s", affine, [0, 1, 2, 3, 4])), "T1", "s-abc")
    degrees = np.degrees(np.arctan(np.hypot(*step) / SPACING[0]))
    assert notes == (f"a tilt of {degrees:.1f} degrees resampled to right angles",)
    assert image.affine is not None
    sides = image.affine[:3, :3]
    np.testing.assert_allclose(sides.T @ sides, np.diag(np.square(SPACING)), atol=1e-6)
    # Every pixel that was there is there still, at its place, and what is new around it is the smallest value.
    ends = np.array([[0, 0, 0], [4, 0, 0], [0, 19, 23], [4, 19, 23]]) @ affine[:3, :3].T + affine[:3, 3]
    index = np.linalg.solve(image.affine, np.column_stack([ends, np.ones(4)]).T)[:3].T
    assert (index >= -1e-6).all()
    assert (index <= np.array(image.pixels.shape) - 1 + 1e-6).all()
    back = np.linalg.solve(affine, np.column_stack([centres(image), np.ones(image.pixels.size)]).T)[:3].T
    covered = ((back > 0.001) & (back < np.array([4, 19, 23]) - 0.001)).all(axis=1)
    assert covered.sum() > 1000
    np.testing.assert_allclose(image.pixels.ravel()[covered], ramp(centres(image)[covered]), atol=0.51)
    outside = ((back < -1.001) | (back > np.array([4, 19, 23]) + 1.001))[:, 1:].any(axis=1)
    assert set(image.pixels.ravel()[outside]) <= {image.pixels.min()}


def test_a_gantry_tilt_is_mended_as_dcm2niix_mends_it(tmp_path: Path) -> None:
    affine = turned((0, 0, 0), (0.9, 0))
    tags = {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "GantryDetectorTilt": "-16.699"}
    folder = write_ramp(tmp_path / "s", affine, [0, 1, 2, 3, 4], tags)
    command = [Path(sys.executable).with_name("dcm2niix"), "-b", "n", "-z", "n", "-f", "%d", "-o", tmp_path, folder]
    subprocess.run(command, check=True, capture_output=True)
    theirs = next(path for path in tmp_path.glob("*.nii") if "Tilt" in path.name)
    values, place = lps(theirs)
    inside = np.argwhere(values > values.min())
    inside = inside[(inside[:, 1] > 3) & (inside[:, 1] < 20)]
    points = inside @ place[:3, :3].T + place[:3, 3]
    image, _ = read_stack(files_of(folder), "CT", "s-abc")
    assert image.affine is not None
    index = np.linalg.solve(image.affine, np.column_stack([points, np.ones(len(points))]).T)[:3]
    ours = map_coordinates(image.pixels, index, order=1, mode="nearest")
    assert len(ours) > 1000
    np.testing.assert_allclose(ours, values[tuple(inside.T)], atol=1.5)


@pytest.mark.parametrize(
    ("heights", "note"),
    [
        ([0, 1, 3, 4, 5], "1 missing slice interpolated, at 6.0 mm along the stack"),
        ([0, 2, 3, 6, 7], "3 missing slices interpolated, at 3.0, 12.0, 15.0 mm along the stack"),
        ([0, 1, 2.4, 3.4, 4], "slices 1.80 to 4.20 mm apart resampled to 3.00 mm"),
        ([0, 1, 2.02, 3], None),
    ],
)
def test_gaps_are_filled_and_uneven_slices_evened(heights: list[float], note: str | None, tmp_path: Path) -> None:
    affine = turned(OBLIQUE[0])
    image, notes = read_stack(files_of(write_ramp(tmp_path / "s", affine, heights)), "T1", "s-abc")
    assert notes == (() if note is None else (note,))
    assert image.pixels.shape == (heights[-1] + 1, 20, 24)
    assert image.affine is not None
    np.testing.assert_allclose(image.affine, affine, atol=0.03)
    np.testing.assert_allclose(image.pixels.ravel(), ramp(centres(image)), atol=0.51 if note else 1.5)


def test_a_volume_with_more_holes_than_slices_is_none(tmp_path: Path) -> None:
    text = sentence(write_ramp(tmp_path / "s", turned(), [0, 1, 9]))
    assert text.startswith("s-abc: more slices are missing than there are; found 3 of 10 slices")


def test_a_slice_that_is_there_twice_is_kept_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    for number in (2, 3):
        dataset = pydicom.dcmread(folder / f"slice000{number}.dcm")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        dataset.InstanceNumber = number + 10
        dataset.save_as(folder / f"again{number}.dcm")
    image, notes = read_stack(files_of(folder), "T1", "s-abc")
    assert notes == ("2 duplicate slices dropped",)
    np.testing.assert_array_equal(image.pixels, pixels())
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(folder / "again3.dcm")
    assert "s-abc: several images at one place; found 1 of 6 slices" in sentence(folder)


def test_images_beside_each_other_are_no_volume(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")

    def beside(number: int, dataset: Any) -> None:
        dataset.ImagePositionPatient = [40 * number, 0, 3 * number]

    edit(folder, beside)
    assert "do not lie above each other" in sentence(folder)


def test_slices_that_wander_are_brought_above_each_other(tmp_path: Path) -> None:
    folder = written(tmp_path / "s", turned())

    def wander(number: int, dataset: Any) -> None:
        dataset.ImagePositionPatient = [[0, 1, -0.5, 0][number], 0, 3 * number]

    edit(folder, wander)
    image, notes = read_stack(files_of(folder), "T1", "s-abc")
    assert notes == ("slices up to 1.0 mm beside each other brought above each other",)
    assert image.pixels.shape == (4, 7, 9)
    for number, first in enumerate([1, 3, 0, 1]):  # half a millimetre a column
        np.testing.assert_array_equal(image.pixels[number, :, first : first + 6], pixels()[number])


def test_single_slices_are_as_thick_as_the_file_says(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    file = folder / "slice0003.dcm"
    image, notes = read_stack([(file, 0)], "T1", "s-abc")
    assert notes == ()
    assert image.spacing_mm == pytest.approx(SPACING)
    np.testing.assert_array_equal(image.pixels, pixels()[2:3])

    def strip(number: int, dataset: Any) -> None:
        del dataset.SliceThickness, dataset.SpacingBetweenSlices

    edit(folder, strip)
    image, notes = read_stack([(file, 0)], "T1", "s-abc")
    assert notes == ("a single slice without a thickness: 1 mm assumed",)
    assert image.spacing_mm == pytest.approx((1, 0.8, 0.5))
    image, notes = read_stack(files_of(folder), "T1", "s-abc")
    assert notes == ()
    assert image.spacing_mm == pytest.approx(SPACING)


def test_without_coordinates_the_numbers_order_the_slices(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")

    def strip(number: int, dataset: Any) -> None:
        del dataset.ImagePositionPatient
        dataset.InstanceNumber = 9 - number

    edit(folder, strip)
    image, notes = read_stack(files_of(folder), "US", "s-abc")
    assert notes == ("no patient coordinates in the files",)
    assert image.affine is None
    np.testing.assert_array_equal(image.pixels, pixels()[::-1])
    write_volume(tmp_path / "v.nii.gz", image)
    again = read_image(tmp_path / "v.nii.gz", "US")
    assert again.affine is None
    np.testing.assert_array_equal(again.pixels, image.pixels)


def test_only_the_frames_asked_for_are_read(tmp_path: Path) -> None:
    path = enhanced(written(tmp_path / "s"), tmp_path / "e.dcm")
    image, notes = read_stack([(path, 2), (path, 0), (path, 3), (path, 1)], "T1", "s-abc")
    assert notes == ()
    np.testing.assert_array_equal(image.pixels, pixels() * np.array([2, 3, 4, 5])[:, None, None] - 7)
    assert image.affine is not None
    np.testing.assert_allclose(image.affine, turned(), atol=1e-6)
    image, _ = read_stack([(path, 1), (path, 2)], "T1", "s-abc")
    np.testing.assert_array_equal(image.pixels[0], pixels()[1] * 3.0 - 7)
    with pytest.raises(InputError, match="s-abc, file 1 of 1: the file has fewer frames than it should; found 4"):
        read_stack([(path, 4)], "T1", "s-abc")


def enhanced(folder: Path, path: Path) -> Path:
    """The slices of a folder as frames of one file, each with a slope of its own."""
    files = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    whole, groups = files[0].copy(), []
    for number, file in enumerate(files):
        place, plane, measures, value, group = (pydicom.Dataset() for _ in range(5))
        place.ImagePositionPatient, plane.ImageOrientationPatient = (
            file.ImagePositionPatient,
            file.ImageOrientationPatient,
        )
        measures.PixelSpacing, measures.SliceThickness = file.PixelSpacing, file.SliceThickness
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 2 + number, -7, "US"
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [plane]
        group.PixelMeasuresSequence, group.PixelValueTransformationSequence = [measures], [value]
        groups.append(group)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(whole, keyword)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
    whole.NumberOfFrames, whole.PerFrameFunctionalGroupsSequence = len(files), groups
    whole.PixelData = b"".join(file.PixelData for file in files)
    whole.save_as(path)
    return path


def test_an_enhanced_file_of_a_scanner_lies_where_simpleitk_puts_it(tmp_path: Path) -> None:
    example = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / "philips_mprage.dcm.gz"
    if not example.is_file():
        pytest.skip("this nibabel comes without its example files")
    (tmp_path / "e").write_bytes(gzip.decompress(example.read_bytes()))
    theirs = sitk.ReadImage(str(tmp_path / "e"), imageIO="GDCMImageIO")
    image, notes = read_stack([(tmp_path / "e", index) for index in range(176)], "T1", "s-abc")
    assert notes == ()
    some = np.random.default_rng(0).integers(0, image.pixels.shape, (5000, 3))
    assert image.affine is not None
    points = some @ image.affine[:3, :3].T + image.affine[:3, 3]
    values = values_at(points, sitk.GetArrayFromImage(theirs).T, place_of(theirs))
    np.testing.assert_allclose(image.pixels[tuple(some.T)], values, rtol=1e-6)


def test_a_mosaic_is_no_volume(tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    edit(folder, lambda number, dataset: setattr(dataset, "ImageType", ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]))
    assert "s-abc: slices laid out side by side in one picture (mosaic)" in sentence(folder)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"notes", "no DICOM image"), (b"", "no DICOM image"), (b"\x00" * 128 + b"DICM" + b"\xff" * 99, "DICOM")],
)
def test_a_file_that_is_no_image_is_named_by_its_place_only(content: bytes, what: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "s")
    (folder / "ROE_JANE.dcm").write_bytes(content)
    text = sentence(folder)
    assert what in text
    assert "s-abc, file" in text
    assert not any(word in text for word in ("ROE", "JANE", str(tmp_path)))


def test_a_missing_file_is_an_input_error_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_stack([(tmp_path / "ROE_JANE.dcm", 0)], "T1", "s-abc")
    assert "s-abc, file 1 of 1: the file cannot be read" in str(caught.value)
    assert "ROE" not in str(caught.value)


def test_no_tag_reaches_a_message_whatever_is_damaged(tmp_path: Path) -> None:
    """Each tag in turn holds a name where a number belongs, or is missing, or is cut off within."""
    folder = written(tmp_path / "s")
    file = folder / "slice0002.dcm"
    content = file.read_bytes()
    tags = ["20003200", "20003700", "28003000", "20001300", "28001000", "28000001", "28000400", "02001000"]
    for tag in tags:
        place = content.find(bytes.fromhex(tag))
        assert place > 0
        for begin in (place, place + 4, place + 6, place + 8):  # its number, its kind, its length, its value
            for damaged in (content[:begin] + b"ROE^JANE" + content[begin + 8 :], content[:begin]):
                file.write_bytes(damaged)
                assert not any(word in outcome(folder) for word in ("ROE", "^", str(tmp_path), "slice0"))


def test_values_and_geometry_are_kept_exactly_and_nothing_else(tmp_path: Path) -> None:
    folder = written(tmp_path / "s", turned(OBLIQUE[0]))
    image, _ = read_stack(files_of(folder), "T1", "s-abc")
    for name in ("one", "two"):
        write_volume(tmp_path / f"{name}.nii.gz", image)
    content = (tmp_path / "one.nii.gz").read_bytes()
    assert content == (tmp_path / "two.nii.gz").read_bytes()
    assert content[3:8] == bytes(5)  # neither a name nor a time
    assert sorted(path.name for path in tmp_path.glob("*.nii*")) == ["one.nii.gz", "two.nii.gz"]
    volume: Any = nibabel.load(tmp_path / "one.nii.gz")  # pyright: ignore[reportPrivateImportUsage]
    header = volume.header
    assert header.get_data_dtype() == np.int16
    assert (header["descrip"], header["intent_name"], header["aux_file"], header["db_name"]) == (b"", b"", b"", b"")
    assert header.get_xyzt_units()[0] == "mm"
    assert image.affine is not None
    ras = np.diag([-1, -1, 1, 1]) @ image.affine[:, [2, 1, 0, 3]]
    for affine, code in (volume.get_sform(coded=True), volume.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(affine, ras, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(volume.dataobj).T, pixels())


@pytest.mark.parametrize(
    ("top", "kind"), [(32767, np.int16), (32768, np.float32), (0.5, np.float32), (-32769, np.float32)]
)
def test_whole_numbers_stay_whole(top: float, kind: type, tmp_path: Path) -> None:
    values = np.zeros((2, 3, 4), np.float32)
    values[1, 2, 3] = top
    write_volume(tmp_path / "v.nii.gz", Image(values, "T1", turned()))
    volume: Any = nibabel.load(tmp_path / "v.nii.gz")  # pyright: ignore[reportPrivateImportUsage]
    assert volume.header.get_data_dtype() == kind
    np.testing.assert_array_equal(np.asarray(volume.dataobj).T, values)


def test_a_skewed_volume_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v.nii.gz: the axes of the volume are not at right angles"):
        write_volume(tmp_path / "v.nii.gz", Image(np.zeros((2, 3, 4), np.float32), "T1", turned(step=(1, 0))))
    assert list(tmp_path.iterdir()) == []


def test_a_volume_is_read_with_little_more_memory_than_it_takes(tmp_path: Path) -> None:
    write_series(tmp_path / "s", np.zeros((12, 512, 512), np.int16), turned(), "T1", {}, "s")
    files = files_of(tmp_path / "s")
    read_stack(files, "T1", "s-abc")
    tracemalloc.start()
    image, _ = read_stack(files, "T1", "s-abc")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The volume itself, what was read from the disk at half its size, and tags.
    assert peak < 1.8 * image.pixels.nbytes
