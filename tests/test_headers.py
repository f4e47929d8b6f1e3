"""Headers of DICOM as it is: what can be read is, what cannot has its reason."""

import dataclasses
import gzip
import logging
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless

from dicom_archive import CORONAL, CT_CLASS, SEG_CLASS, enhanced_tags, item, slice_tags, uid, write_dicom
from rarelesion import headers
from rarelesion.headers import read_header
from rarelesion.pseudonyms import pseudonym
from rarelesion.series import LEFT_OUT

KEY = bytes(range(32))


def test_a_plain_slice(tmp_path):
    (header,) = read_header(write_dicom(tmp_path / "a.dcm", slice_tags(number=3)), KEY)
    assert header.patient == pseudonym(KEY, "patient", "P1")
    assert header.series == pseudonym(KEY, "series", uid("P1", "study", "series"))
    assert (header.position, header.instance_number, header.number) == ((0, 0, 8), 3, 0)


@pytest.mark.parametrize("form", [{"preamble": False}, {"implicit": True}, {}])
def test_no_extension_no_preamble_implicit_all_say_the_same(tmp_path, form):
    usual = read_header(write_dicom(tmp_path / "usual.dcm", slice_tags()), KEY)
    assert read_header(write_dicom(tmp_path / "IM0001", slice_tags(), **form), KEY) == usual


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    return path


def test_every_length_of_a_truncated_file_has_its_reason(tmp_path):
    whole = write_dicom(tmp_path / "a", slice_tags()).read_bytes()
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    for keep in range(0, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:keep])
        code = read_header(tmp_path / "cut", KEY)
        if keep >= pixels + 12:
            assert code == "truncated-pixels"
        elif 400 < keep < pixels:
            assert code in ("truncated-header", "no-pixels"), keep
        else:
            assert isinstance(code, str), keep


def test_pixels_shorter_than_the_matrix(tmp_path):
    tags = slice_tags()
    path = write_dicom(tmp_path / "a", tags)
    dataset = pydicom.dcmread(path)
    dataset.Rows = 32
    dataset.save_as(path)
    assert read_header(path, KEY) == "truncated-pixels"


def test_truncated_compressed_pixels_are_found_without_decoding(tmp_path):
    path = write_dicom(tmp_path / "a", slice_tags(), pixels=np.random.default_rng(0).integers(0, 4000, (64, 64)))
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    assert len(read_header(path, KEY)) == 1
    assert read_header(cut(path, -100), KEY) == "truncated-pixels"


def test_a_deflated_file_is_read(tmp_path):
    path = write_dicom(tmp_path / "a", slice_tags())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    assert read_header(path, KEY)[0].facts.modality == "MR"


def write_foreign(folder, kind):
    path = folder / "file"
    if kind == "picture":
        Picture.new("L", (9, 9)).save(path, format="JPEG")
    elif kind == "packed":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.dcm", b"x")
    elif kind == "volume":
        path.write_bytes(b"\x5c\x01\x00\x00" + bytes(400))
    else:
        path.write_bytes({"empty": b"", "document": b"%PDF-1.4 x", "not-dicom": b"T1 T2 STIR " * 99}[kind])
    return path


@pytest.mark.parametrize("kind", ["empty", "picture", "packed", "volume", "document", "not-dicom"])
def test_files_that_are_no_dicom(tmp_path, kind):
    assert read_header(write_foreign(tmp_path, kind), KEY) == kind


def test_a_packed_volume_is_a_volume(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"\x5c\x01\x00\x00" + bytes(500)))
    assert read_header(tmp_path / "a.nii.gz", KEY) == "volume"


def test_gzip_and_short_rubbish(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x"))
    (tmp_path / "b").write_bytes(b"\x08\x00\x05")
    (tmp_path / "c").write_bytes(b"\x08\x00\x05\x00" + b"\xff" * 50)
    assert read_header(tmp_path / "a.gz", KEY) == "packed"
    assert read_header(tmp_path / "b", KEY) == "not-dicom"
    assert read_header(tmp_path / "c", KEY) in LEFT_OUT


@pytest.mark.parametrize(
    ("sop_class", "modality", "code"),
    [
        ("1.2.840.10008.1.3.10", None, "dicomdir"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "SR", "report"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", "presentation"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "DOC", "dicom-document"),
        ("1.2.840.10008.5.1.4.1.1.66", "MR", "raw-data"),
        ("1.2.840.10008.5.1.4.1.1.4.2", "MR", "raw-data"),
        ("1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN", "plan"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "ECG", "waveform"),
    ],
)
def test_objects_that_are_no_images(tmp_path, sop_class, modality, code):
    path = write_dicom(tmp_path / "a", slice_tags(SOPClassUID=sop_class, Modality=modality), pixels=False)
    assert read_header(path, KEY) == code


def test_an_image_without_pixels(tmp_path):
    tags = slice_tags() | {"Rows": 16, "Columns": 16}
    assert read_header(write_dicom(tmp_path / "a", tags, pixels=False), KEY) == "no-pixels"


def test_masks_are_one_entry_that_names_what_they_were_drawn_on(tmp_path):
    referred = Sequence([item(SeriesInstanceUID=uid("P1", "study", "series"))])
    tags = slice_tags(SOPClassUID=SEG_CLASS, Modality="SEG", ReferencedSeriesSequence=referred, series="seg")
    (header,) = read_header(write_dicom(tmp_path / "seg", tags, pixels=np.zeros((5, 8, 8))), KEY)
    assert header.facts.kind == "segmentation"
    assert header.facts.refers_to == (pseudonym(KEY, "series", uid("P1", "study", "series")),)
    frames = Sequence([item(FrameOfReferenceUID=uid("frame"))])
    tags = slice_tags(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3",
        Modality="RTSTRUCT",
        FrameOfReferenceUID=None,
        ReferencedFrameOfReferenceSequence=frames,
    )
    (header,) = read_header(write_dicom(tmp_path / "rt", tags, pixels=False), KEY)
    assert header.facts.kind == "contours"
    assert header.frame == pseudonym(KEY, "frame", uid("frame"))


def test_enhanced_frames_have_their_own_place_echo_and_b_value(tmp_path):
    frames = [{"position": (0, 0, 3 * z), "te": te, "b": b} for b, te in ((0, 60), (800, 90)) for z in range(4)]
    path = write_dicom(tmp_path / "a", enhanced_tags(frames), pixels=np.zeros((8, 6, 6)))
    found = read_header(path, KEY)
    assert [header.number for header in found] == list(range(8))
    assert [header.position[2] for header in found] == [0, 3, 6, 9] * 2
    assert [header.facts.b_value for header in found] == [0] * 4 + [800] * 4
    assert [header.facts.te_ms for header in found] == [60] * 4 + [90] * 4
    assert {(header.facts.tr_ms, header.facts.echo_train, header.facts.technique) for header in found} == {
        (4000.0, 9, ("SE",))
    }
    assert found[0].facts.orientation == (1, 0, 0, 0, 1, 0)


def test_frames_of_an_enhanced_object_may_lie_in_several_directions(tmp_path):
    frames = [{"position": (0, 0, 0)}, {"position": (0, 0, 0), "orientation": CORONAL}]
    found = read_header(write_dicom(tmp_path / "a", enhanced_tags(frames), pixels=np.zeros((2, 6, 6))), KEY)
    assert [header.facts.orientation for header in found] == [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)]


def test_a_film_without_functional_groups_has_an_entry_a_frame(tmp_path):
    tags = slice_tags(SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US")
    assert len(read_header(write_dicom(tmp_path / "a", tags, pixels=np.zeros((7, 6, 6))), KEY)) == 7


def test_series_without_uids_are_told_apart_by_folder_and_number(tmp_path):
    def series(folder, **tags):
        path = write_dicom(tmp_path / "a", slice_tags(SeriesInstanceUID=None, **tags))
        return read_header(path, KEY, folder)[0].series

    assert series("one") == series("one", number=2)
    assert len({series("one"), series("two"), series("one", SeriesNumber=9), series("one", patient="P2")}) == 4


def test_a_patient_without_number_goes_by_name_and_birth_date(tmp_path):
    def patient(**tags):
        return read_header(write_dicom(tmp_path / "a", slice_tags(PatientID=None, **tags)), KEY)[0].patient

    assert patient() == patient(number=2)
    assert len({patient(), patient(PatientName="Other^Body"), patient(PatientBirthDate="19600502")}) == 3
    assert patient(PatientName=None) == ""


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a", slice_tags())

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    assert read_header(path, KEY) == "unreadable"
    assert read_header(tmp_path / "gone", KEY) == "unreadable"


def test_a_reader_that_breaks_is_a_damaged_file(tmp_path, monkeypatch):
    def break_down(*args, **kwargs):
        raise AttributeError("Mustermann")

    monkeypatch.setattr(headers, "dcmread", break_down)
    assert read_header(write_dicom(tmp_path / "a", slice_tags()), KEY) == "damaged"


def test_damaged_values_count_as_missing(tmp_path):
    path = write_dicom(tmp_path / "a", slice_tags())
    whole = path.read_bytes()
    for before, after in (
        (b"500 ", b"5_0x"),
        (b"102000", b"Muster"),
        (b"20150601", b"MusterMa"),
        (b"0.5\\0.5 ", b"Must\\erm"),
    ):
        assert before in whole
        path.write_bytes(whole.replace(before, after))
        (header,) = read_header(path, KEY)
        assert header.patient == pseudonym(KEY, "patient", "P1")
    path.write_bytes(whole.replace(b"500 ", b"5_0x"))
    assert read_header(path, KEY)[0].facts.tr_ms is None


def test_the_reader_stays_quiet(tmp_path, capfd, caplog):
    tags = slice_tags(StudyDate="MUSTERMANN", PatientSex="MUSTERMANN^ANNA^WRONG^LONG")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_dicom(tmp_path / "a", tags)
    caplog.clear()
    before = logging.getLogger("pydicom").level
    assert read_header(path, KEY)[0].facts.sex == ""
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger("pydicom").level == before


def data_of_pydicom():
    return [path for path in (Path(pydicom.__file__).parent / "data").rglob("*") if path.is_file()]


@pytest.mark.parametrize("cut_to", [None, 700, 3000])
def test_none_of_the_files_that_come_with_pydicom_raises(tmp_path, cut_to):
    paths = data_of_pydicom()
    found = []
    for path in paths:
        if cut_to is not None:
            (tmp_path / "file").write_bytes(path.read_bytes()[:cut_to])
            path = tmp_path / "file"
        found.append(read_header(path, KEY))
    assert len(found) > 100
    assert {code for code in found if isinstance(code, str)} <= set(LEFT_OUT)
    texts = [dataclasses.astuple(header) for result in found if not isinstance(result, str) for header in result]
    assert len(texts) >= (90 if cut_to is None else 0)


def test_ct_is_read_too(tmp_path):
    tags = slice_tags(SOPClassUID=CT_CLASS, Modality="CT", ScanningSequence=None, RepetitionTime=None, EchoTime=None)
    assert read_header(write_dicom(tmp_path / "a", tags), KEY)[0].facts.modality == "CT"
