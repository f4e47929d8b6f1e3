"""From a DICOM header to what is kept of it: the facts of each frame, see `series.Facts`."""

import math
import re
import struct
from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from rarelesion import tags
from rarelesion.dicom_terms import (
    DIRECTIONALITY,
    FAT_OPTIONS,
    MODALITIES,
    NO_AGENT,
    OPTIONS,
    TECHNIQUES,
    TYPES,
    VARIANTS,
)
from rarelesion.pseudonyms import pseudonym, shifted_moment
from rarelesion.series import CONTOURS, IMAGE, OLDEST, SEGMENTATION, Facts
from rarelesion.vocabulary import vendor_of, words_of

SEG_CLASS, RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
SPACING_MM, TIME_MS = (1e-3, 1000.0), (1e-3, 60_000.0)
SIEMENS_B, GE_B, PHILIPS_B, UIH_B = Tag(0x0019100C), Tag(0x00431039), Tag(0x20011003), Tag(0x00651009)
GE_B_OFFSET = 1e9
"""GE stores some b-values with a thousand million added."""
SIEMENS_NAME = re.compile(r"\*?ep_?b(\d{1,5})(?!\d)")
WEIGHTING = frozenset(
    ("t1", "t2", "t2star", "pd", "flair", "stir", "dwi", "adc", "localizer", "fa", "trace", "exponential")
)


def kind_of(dataset: Dataset) -> str:
    """Image, segmentation or contours."""
    sop_class = tags.text([dataset], "SOPClassUID")
    if sop_class.startswith(SEG_CLASS) or dataset.get("Modality") == "SEG":
        return SEGMENTATION
    return CONTOURS if sop_class == RTSTRUCT_CLASS or dataset.get("Modality") == "RTSTRUCT" else IMAGE


def facts_of(sources: tags.Sources, key: bytes) -> Facts:
    """What the header says of how the image was made; `sources` are the macros that hold for it and the file."""
    dataset = sources[-1]
    spacing = tags.numbers(sources, "PixelSpacing", *SPACING_MM)
    spacing = spacing or tags.numbers(sources, "ImagerPixelSpacing", *SPACING_MM)
    row_mm, column_mm = spacing if len(spacing) == 2 else (None, None)
    return Facts(
        kind=kind_of(dataset),
        modality=next(iter(tags.words(sources, "Modality", MODALITIES)), ""),
        rows=tags.whole(sources, "Rows", 1, 100_000) or 0,
        columns=tags.whole(sources, "Columns", 1, 100_000) or 0,
        orientation=orientation_of(sources),
        spacing_row_mm=row_mm,
        spacing_column_mm=column_mm,
        thickness_mm=tags.number(sources, "SliceThickness", *SPACING_MM),
        gap_mm=tags.number(sources, "SpacingBetweenSlices", *SPACING_MM),
        flip_degrees=tags.number(sources, "FlipAngle", 0, 360),
        te_ms=echo_time_of(sources),
        tr_ms=tags.number(sources, "RepetitionTime", *TIME_MS),
        ti_ms=inversion_time_of(sources),
        b_value=b_value_of(sources),
        echo_train=tags.whole(sources, "EchoTrainLength", 0, 10_000),
        echo=tags.whole(sources, "EchoNumbers", 0, 10_000),
        technique=technique_of(sources),
        variant=tags.words(sources, "SequenceVariant", VARIANTS),
        options=tags.words(sources, "ScanOptions", OPTIONS),
        types=tags.words(sources, "FrameType", TYPES) or tags.words(sources, "ImageType", TYPES),
        dimension=next(iter(tags.words(sources, "MRAcquisitionType", frozenset(("2D", "3D")))), ""),
        diffusion=next(iter(tags.words(sources, "DiffusionDirectionality", DIRECTIONALITY)), "").lower(),
        contrast=contrast_of(sources),
        words=described(sources),
        fat_saturation=fat_saturation_of(sources),
        colour=(tags.whole(sources, "SamplesPerPixel", 1, 4) or 1) > 1,
        burnt_in=tags.text(sources, "BurnedInAnnotation").upper() == "YES",
        refers_to=tuple(pseudonym(key, "series", uid) for uid in referred_series(dataset)),
        **_machine_and_person(dataset, key),
    )


def _machine_and_person(dataset: Dataset, key: bytes) -> dict[str, Any]:
    source = [dataset]
    maker = tags.text(source, "Manufacturer")
    machine = (maker, tags.text(source, "ManufacturerModelName"), tags.text(source, "DeviceSerialNumber"))
    vendor = vendor_of(maker)
    scanner = pseudonym(key, "scanner", "\0".join(machine))[2:] if any(machine) else ""
    sex = next(iter(tags.words(source, "PatientSex", frozenset("MFO"))), "")
    return {
        "vendor": vendor,
        "scanner": f"{vendor or 'unknown'}-{scanner}" if scanner else "",
        "sex": sex,
        "age": age_of(source),
        "field_strength_t": field_strength_of(source),
    }


def field_strength_of(sources: tags.Sources) -> float | None:
    """In tesla; some scanners write gauss."""
    found = tags.number(sources, "MagneticFieldStrength", 0.01, 150_000)
    tesla = found / 10_000 if found is not None and found > 50 else found
    return None if tesla is None or tesla > 25 else round(tesla, 2)


def age_of(sources: tags.Sources) -> int | None:
    """In whole years at the study; 90 stands for everyone older than 89."""
    written = tags.text(sources, "PatientAge").upper()
    born, studied = tags.day(sources, "PatientBirthDate"), study_day(sources)
    years = None
    if len(written) == 4 and written[:3].isdigit() and written[3] in "YMWD":
        years = int(written[:3]) // {"Y": 1, "M": 12, "W": 52, "D": 365}[written[3]]
    elif born and studied and born <= studied:
        years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    return None if years is None or years > 130 else min(years, OLDEST)


def study_day(sources: tags.Sources) -> date | None:
    """The day of the study, or the first other day the header names."""
    named = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
    return next((day for day in (tags.day(sources, keyword) for keyword in named) if day), None)


def moment_of(sources: tags.Sources, key: bytes) -> float | None:
    """When the frame was acquired, in shifted seconds."""
    for keyword in ("FrameAcquisitionDateTime", "AcquisitionDateTime"):
        day, seconds = tags.day(sources, keyword), tags.seconds(sources, keyword)
        if day and seconds is not None:
            return shifted_moment(key, day, seconds)
    for prefix in ("Acquisition", "Series", "Content", "Study"):
        day, seconds = tags.day(sources, f"{prefix}Date") or study_day(sources), tags.seconds(sources, f"{prefix}Time")
        if day and seconds is not None:
            return shifted_moment(key, day, seconds)
    return None


def orientation_of(sources: tags.Sources) -> tuple[float, ...]:
    """Six direction cosines to four decimals, () where there are none."""
    found = tags.numbers(sources, "ImageOrientationPatient", -1.001, 1.001)
    return tuple(round(item, 4) + 0.0 for item in found) if len(found) == 6 and any(found) else ()


def position_of(sources: tags.Sources) -> tuple[float, ...]:
    """Patient coordinates in mm, () where there are none."""
    found = tags.numbers(sources, "ImagePositionPatient", -20_000, 20_000)
    return tuple(round(item, 4) for item in found) if len(found) == 3 else ()


def echo_time_of(sources: tags.Sources) -> float | None:
    """In ms; ultrashort echoes are below one."""
    found = tags.number(sources, "EffectiveEchoTime", 0, 10_000)
    return tags.number(sources, "EchoTime", 0, 10_000) if found is None else found


def inversion_time_of(sources: tags.Sources) -> float | None:
    """In ms; None where there is no inversion."""
    found = tags.number(sources, "InversionTimes", *TIME_MS)
    return tags.number(sources, "InversionTime", *TIME_MS) if found is None else found


def b_value_of(sources: tags.Sources) -> float | None:
    """In s/mm²: the standard tag, else those of the makers, else the name of the sequence."""
    found = tags.number(sources, "DiffusionBValue", 0, 2e9)
    for tag in (SIEMENS_B, GE_B, PHILIPS_B, UIH_B) if found is None else ():
        found = _private_number(sources, tag) if found is None else found
    if found is None:
        named = SIEMENS_NAME.match(tags.text(sources, "SequenceName").lower())
        found = float(named[1]) if named else None
    if found is None:
        return None
    found = found - GE_B_OFFSET if found >= GE_B_OFFSET else found
    return float(round(found)) if 0 <= found <= 20_000 else None


def _private_number(sources: tags.Sources, tag: BaseTag) -> float | None:
    """The first number of a private tag, which readers without a dictionary hand out as bytes."""
    found = tags.value(sources, tag)
    if not isinstance(found, bytes):
        return tags.number(sources, tag, 0, 2e9)
    if tag in (PHILIPS_B, UIH_B):
        binary = {4: "<f", 8: "<d"}.get(len(found))
        value = struct.unpack(binary, found)[0] if binary else math.nan
        return value if math.isfinite(value) else None
    head = found.decode("ascii", "replace").partition("\\")[0].strip(" \0")
    return float(head) if head.isdigit() else None


def technique_of(sources: tags.Sources) -> tuple[str, ...]:
    """ScanningSequence, or what the tags of enhanced objects say instead."""
    found = tags.words(sources, "ScanningSequence", TECHNIQUES)
    if found:
        return found
    pulse = tags.text(sources, "EchoPulseSequence").upper()
    parts = {"SPIN": ["SE"], "GRADIENT": ["GR"], "BOTH": ["SE", "GR"]}.get(pulse, [])
    parts += ["EP"] if tags.text(sources, "EchoPlanarPulseSequence").upper() == "YES" else []
    parts += ["IR"] if tags.text(sources, "InversionRecovery").upper() == "YES" else []
    return tuple(parts)


def contrast_of(sources: tags.Sources) -> str:
    """Whether a contrast agent was given, as far as the tags meant for it say so."""
    agent = tags.text(sources, "ContrastBolusAgent").casefold().strip(" .-/")
    if agent in NO_AGENT:
        return "no"
    volume = tags.number(sources, "ContrastBolusVolume", 0, 1000)
    sequence = tags.value(sources, "ContrastBolusAgentSequence")
    return "yes" if agent or volume or sequence else ""


def fat_saturation_of(sources: tags.Sources) -> str:
    """ "yes" where the tags meant for it say so."""
    options = tags.words(sources, "ScanOptions", OPTIONS)
    suppressed = tags.text(sources, "SpectrallySelectedSuppression").upper()
    return "yes" if FAT_OPTIONS & set(options) or suppressed in ("FAT", "FAT_AND_WATER") else ""


def described(sources: tags.Sources) -> tuple[str, ...]:
    """Known words of the series' description; of its protocol's and sequence's names where that says nothing."""
    own = words_of(tags.text(sources, "SeriesDescription"))
    other = words_of(
        *(tags.text(sources, keyword) for keyword in ("ProtocolName", "SequenceName", "PulseSequenceName"))
    )
    weighted = WEIGHTING & set(own)
    extra = [word for word in other if word not in own and not (weighted and word in WEIGHTING)]
    agent = {"contrast", "post", "pre"}
    extra = [word for word in extra if not (word in agent and agent & set(own))]
    return (*own, *extra)


def referred_series(dataset: Dataset) -> tuple[str, ...]:
    """UIDs of the series a segmentation or a set of contours was drawn on, to be hashed by the caller."""
    referred = list(tags.value([dataset], "ReferencedSeriesSequence") or ())
    for frame in tags.value([dataset], "ReferencedFrameOfReferenceSequence") or ():
        for study in tags.value([frame], "RTReferencedStudySequence") or ():
            referred += tags.value([study], "RTReferencedSeriesSequence") or ()
    found = (tags.text([item], "SeriesInstanceUID") for item in referred)
    return tuple(dict.fromkeys(uid for uid in found if uid))
