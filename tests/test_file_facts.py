"""What a header says of how a file was made, and nothing of whom."""

import math

import numpy as np
import SimpleITK as sitk
from PIL import Image as Picture

from rarelesion.dicom import write_series
from rarelesion.file_facts import is_coloured, read_file_facts


def test_a_dicom_folder(tmp_path):
    tags = {"MagneticFieldStrength": "3", "Manufacturer": "Maker"}
    write_series(tmp_path / "T1", np.zeros((3, 8, 8), np.uint16), np.eye(4), "SYNTHETIC T1", tags, "x")
    facts = read_file_facts(tmp_path / "T1")
    assert facts is not None
    assert (facts.files, facts.bits, facts.channels, facts.lossy) == (3, 16, 1, False)
    assert facts.field_strength_t == 3.0
    assert facts.scanner.startswith("Maker")
    assert math.isnan(facts.year)


def test_plain_files(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Picture.fromarray(grey).save(tmp_path / "a.jpg")
    Picture.fromarray(np.stack([grey, grey, grey], axis=2)).save(tmp_path / "grey.png")
    Picture.fromarray(np.stack([grey, 255 - grey, grey], axis=2)).save(tmp_path / "colour.png")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 8, 8), np.int16)), str(tmp_path / "a.nii"))
    jpeg, volume = read_file_facts(tmp_path / "a.jpg"), read_file_facts(tmp_path / "a.nii")
    assert jpeg is not None
    assert volume is not None
    assert (jpeg.bits, jpeg.lossy) == (8, True)
    assert (volume.bits, volume.lossy, volume.size_bytes) == (16, False, 352 + 256)
    assert is_coloured(tmp_path / "colour.png")
    assert not is_coloured(tmp_path / "grey.png")


def test_what_cannot_be_read_says_nothing(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"torn")
    assert read_file_facts(tmp_path / "torn.png") is None
    assert read_file_facts(tmp_path / "none.nii") is None
