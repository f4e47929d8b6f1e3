"""Volumes as they come from DICOM and go to NIfTI, held against SimpleITK, nibabel and dcm2niix."""

import gzip
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
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
    affine = np.eye(4)
    affine[:3, :3] = np.array(volume.GetDirection()).reshape(3, 3) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    return sitk.GetArrayFromImage(volume).T, affine


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
