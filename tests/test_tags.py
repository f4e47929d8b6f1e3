"""Values of tags: what is no plausible number, known word or day counts as missing."""

from datetime import date

import pytest

from dicom_archive import item
from rarelesion import tags


def test_the_first_source_that_has_the_value_wins():
    assert tags.number([item(EchoTime=80), item(EchoTime=11)], "EchoTime", 0, 1000) == 80
    assert tags.number([item(), item(EchoTime=11)], "EchoTime", 0, 1000) == 11
    assert tags.number([item(EchoTime=None), item(EchoTime=11)], "EchoTime", 0, 1000) == 11


@pytest.mark.parametrize("value", ["-5", "20000", None])
def test_a_number_out_of_range_is_missing(value):
    assert tags.number([item(RepetitionTime=value)], "RepetitionTime", 0, 10_000) is None


def test_text_where_a_number_should_be_is_missing():
    dataset = item()
    dataset.add_new("PatientComments", "LT", "4711")
    dataset.add_new("ImageComments", "LT", "Mustermann")
    assert tags.number([dataset], "ImageComments", 0, 10_000) is None
    assert tags.whole([dataset], "PatientComments", 0, 10_000) == 4711


def test_several_numbers_are_all_plausible_or_none_is_taken():
    assert tags.numbers([item(PixelSpacing=[0.5, 0.7])], "PixelSpacing", 0, 10) == (0.5, 0.7)
    assert tags.numbers([item(PixelSpacing=[0.5, 70])], "PixelSpacing", 0, 10) == ()


def test_words_are_of_the_vocabulary_only():
    dataset = item(ImageType=["ORIGINAL", "MUSTERMANN", "ADC"])
    assert tags.words([dataset], "ImageType", frozenset(("ORIGINAL", "ADC"))) == ("ORIGINAL", "ADC")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20150601", date(2015, 6, 1)),
        ("2015.06.01", date(2015, 6, 1)),
        ("20151301", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_day(text, expected):
    dataset = item()
    dataset.add_new("ImageComments", "LT", text)
    assert tags.day([dataset], "ImageComments") == expected


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        ("StudyTime", "101530.5", 36_930.5),
        ("StudyTime", "10", 36_000),
        ("AcquisitionDateTime", "20150601101530.5+0200", 36_930.5),
        ("AcquisitionDateTime", "20150601", None),
    ],
)
def test_seconds(tag, text, expected):
    assert tags.seconds([item(**{tag: text})], tag) == expected
