"""From headers to facts: each maker's way of saying it, and nothing kept that is not on a list."""

import struct

import pytest
from pydicom.sequence import Sequence

from dicom_archive import item, slice_tags
from rarelesion import acquisition
from rarelesion.acquisition import GE_B, PHILIPS_B, SIEMENS_B, age_of, b_value_of, contrast_of, facts_of

KEY = bytes(range(32))


def test_facts_of_a_plain_slice():
    dataset = item(**slice_tags(), Rows=16, Columns=20, FlipAngle=90, ScanOptions=["FS", "MUSTERMANN"])
    facts = facts_of([dataset], KEY)
    assert (facts.modality, facts.rows, facts.columns, facts.tr_ms, facts.te_ms) == ("MR", 16, 20, 500.0, 11.0)
    assert (facts.technique, facts.words, facts.options) == (("SE",), ("t1", "tse", "axial"), ("FS",))
    assert (facts.spacing_row_mm, facts.thickness_mm, facts.field_strength_t) == (0.5, 3.5, 1.5)
    assert (facts.sex, facts.age, facts.vendor, facts.fat_saturation) == ("F", 55, "siemens", "yes")
    assert facts.scanner.startswith("siemens-")
    assert facts.orientation == (1, 0, 0, 0, 1, 0)


def test_the_scanner_is_told_by_its_serial_number():
    def scanner(**tags):
        return facts_of([item(**slice_tags(**tags))], KEY).scanner

    assert scanner() == scanner(patient="P2", series="other")
    assert len({scanner(), scanner(DeviceSerialNumber="4712"), scanner(ManufacturerModelName="Aera")}) == 3
    assert scanner(Manufacturer=None, ManufacturerModelName=None, DeviceSerialNumber=None) == ""


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "091Y"}, 90),
        ({"PatientAge": "018M"}, 1),
        ({"PatientBirthDate": "19600602"}, 54),
        ({"PatientBirthDate": "19200101"}, 90),
        ({"PatientBirthDate": "20200101"}, None),
        ({"PatientBirthDate": None}, None),
    ],
)
def test_age(tags, years):
    assert age_of([item(**slice_tags(**tags))]) == years


def test_b_value_by_the_standard_tag():
    assert b_value_of([item(DiffusionBValue=800.0)]) == 800
    assert b_value_of([item(DiffusionBValue=1_000_000_600.0)]) == 600
    assert b_value_of([item()]) is None


@pytest.mark.parametrize(
    ("tag", "vr", "value", "expected"),
    [
        (SIEMENS_B, "IS", 800, 800),
        (SIEMENS_B, "UN", b"1000", 1000),
        (GE_B, "IS", [1_000_000_800, 8, 0, 0], 800),
        (GE_B, "IS", [50, 8, 0, 0], 50),
        (GE_B, "UN", b"1000000800\\8\\0\\0", 800),
        (PHILIPS_B, "FL", 600.0, 600),
        (PHILIPS_B, "UN", struct.pack("<f", 600.0), 600),
        (PHILIPS_B, "UN", b"MUSTERMANN", None),
        (SIEMENS_B, "UN", b"MUSTERMANN", None),
    ],
)
def test_b_value_by_private_tags(tag, vr, value, expected):
    dataset = item()
    dataset.add_new(tag, vr, value)
    assert b_value_of([dataset]) == expected


@pytest.mark.parametrize(
    ("name", "b_value"), [("*ep_b800t", 800), ("ep_b1000#3", 1000), ("*tse2d1_15", None), ("ep_b", None)]
)
def test_b_value_by_the_name_of_siemens_sequences(name, b_value):
    assert b_value_of([item(SequenceName=name)]) == b_value


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ContrastBolusAgent": "Dotarem"}, "yes"),
        ({"ContrastBolusAgent": "NONE"}, "no"),
        ({"ContrastBolusAgent": "ohne"}, "no"),
        ({"ContrastBolusAgent": ""}, ""),
        ({"ContrastBolusVolume": 15}, "yes"),
        ({"ContrastBolusAgentSequence": Sequence([item(CodeMeaning="Gadovist")])}, "yes"),
        ({}, ""),
    ],
)
def test_contrast(tags, expected):
    assert contrast_of([item(**tags)]) == expected


@pytest.mark.parametrize(
    ("written", "tesla"), [("1.5", 1.5), ("15000", 1.5), ("0.35", 0.35), ("40", None), (None, None)]
)
def test_field_strength_in_tesla_or_gauss(written, tesla):
    assert acquisition.field_strength_of([item(MagneticFieldStrength=written)]) == tesla


def test_the_description_goes_before_the_protocol():
    both = item(SeriesDescription="t2_tse nativ", ProtocolName="T1 KM cor", SequenceName="*tse2d1_15")
    assert acquisition.described([both]) == ("t2", "tse", "pre", "coronal")
    assert acquisition.described([item(SeriesDescription="Series 4", ProtocolName="T1 KM")]) == ("t1", "contrast")


def test_series_that_contours_and_segmentations_refer_to():
    series = item(SeriesInstanceUID="1.2.3")
    assert acquisition.referred_series(item(ReferencedSeriesSequence=Sequence([series]))) == ("1.2.3",)
    study = item(RTReferencedSeriesSequence=Sequence([series, series]))
    frame = item(RTReferencedStudySequence=Sequence([study]))
    assert acquisition.referred_series(item(ReferencedFrameOfReferenceSequence=Sequence([frame]))) == ("1.2.3",)
