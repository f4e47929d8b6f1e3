"""Photographs of materials: what is read, in which order, and what a folder without them says."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from rarelesion.errors import InputError
from rarelesion.materials import read_materials


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), str(path))


def test_photographs_of_every_depth_and_colour(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", np.array([[0, 51], [102, 255]], np.uint8))
    _save(tmp_path / "b" / "deep.tif", np.array([[0, 13107, 65535]], np.uint16))
    _save(tmp_path / "c.PNG", np.full((2, 2, 3), (255, 0, 0), np.uint8))
    (tmp_path / "notes.txt").write_text("not a photograph", encoding="utf-8")
    grey, deep, red = read_materials(tmp_path)
    np.testing.assert_allclose(grey, [[0, 0.2], [0.4, 1]], atol=1e-6)
    np.testing.assert_allclose(deep, [[0, 0.2, 1]], atol=1e-6)
    np.testing.assert_allclose(red, np.full((2, 2), 0.299), atol=1e-6)


def test_all_bad_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    _save(tmp_path / "real.tif", np.zeros((3, 3), np.float32))
    with pytest.raises(InputError) as caught:
        read_materials(tmp_path)
    assert [Path(problem.where).name for problem in caught.value.problems] == ["broken.png", "real.tif"]


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_photographs(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no photographs of materials"):
        read_materials(tmp_path / name)


def test_the_texture_photographs_of_kth(shared_data: Path) -> None:
    folder = shared_data / "textures" / "kth_tips_grey"
    if not folder.is_dir():
        pytest.skip("no KTH-TIPS")
    images = read_materials(folder)
    assert len(images) == len(list(folder.rglob("*.png")))
    assert all(image.ndim == 2 and 0 <= image.min() < image.max() <= 1 for image in images)
