"""From a DICOM header to what is kept of it: the facts of each frame, see `series.Facts`."""

from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag

from rarelesion import tags
from rarelesion.pseudonyms import pseudonym, shifted_moment
from rarelesion.series import CONTOURS, IMAGE, SEGMENTATION, Facts
from rarelesion.vocabulary import vendor_of, words_of

SEG_CLASS, RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
MODALITIES = frozenset(
    [
        "MR",
        "CT",
        "US",
        "PT",
        "NM",
        "CR",
        "DX",
        "MG",
        "XA",
        "RF",
        "OT",
        "SC",
        "SEG",
        "RTSTRUCT",
        "RTDOSE",
        "RTPLAN",
        "RTIMAGE",
        "SR",
        "PR",
        "KO",
        "DOC",
        "ES",
        "XC",
        "GM",
        "SM",
        "OP",
        "OPT",
        "IO",
        "PX",
        "IVUS",
        "BI",
        "BMD",
        "ECG",
        "EPS",
        "FID",
        "HD",
        "LS",
        "OAM",
        "OPM",
        "OPV",
        "PLAN",
        "REG",
        "SMR",
        "SRF",
        "TG",
        "VA",
        "AU",
        "AR",
        "ASMT",
        "IVOCT",
    ]
)
TECHNIQUES, VARIANTS = (
    frozenset(["SE", "IR", "GR", "EP", "RM"]),
    frozenset(["SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE", "SS_SP"]),
)
OPTIONS = frozenset(
    [
        "FS",
        "PER",
        "RG",
        "CG",
        "PPG",
        "FC",
        "PFF",
        "PFP",
        "SP",
        "SFS",
        "WE",
        "FATSAT",
        "FAT_SAT",
        "SAT1",
        "SAT2",
        "IR",
        "FSA",
        "STIR",
        "SPIR",
        "SPAIR",
    ]
)
TYPES = frozenset(
    [
        "ORIGINAL",
        "DERIVED",
        "PRIMARY",
        "SECONDARY",
        "M",
        "P",
        "R",
        "I",
        "M_SE",
        "M_IR",
        "M_FFE",
        "R_SE",
        "I_SE",
        "P_SE",
        "PHASE",
        "MAGNITUDE",
        "REAL",
        "IMAGINARY",
        "MIXED",
        "W",
        "F",
        "IP",
        "OP",
        "WATER",
        "FAT",
        "IN_PHASE",
        "OPP_PHASE",
        "OUT_PHASE",
        "IN_OUT_PHASE",
        "ADC",
        "ADC_UNSPECIFIED",
        "EADC",
        "EXP",
        "FA",
        "TRACEW",
        "TRACE",
        "DIFFUSION",
        "DIFFUSION_ANISO",
        "DIS2D",
        "DIS3D",
        "DIS3D2D",
        "NORM",
        "ND",
        "MFSPLIT",
        "FIL",
        "SUB",
        "SUBTRACT",
        "SUBTRACTION",
        "MIP",
        "MINIP",
        "MPR",
        "LOCALIZER",
        "T1",
        "T2",
        "T2_STAR",
        "PROTON_DENSITY",
        "FLUID_ATTENUATED",
        "STIR",
        "FLAIR",
        "MOSAIC",
        "AXIAL",
        "REFORMATTED",
        "PROJECTION",
        "OTHER",
        "AVERAGE",
        "COMPRESSED",
        "SCREENSAVE",
        "PERFUSION",
        "MOTIONCORR",
        "VELOCITY",
        "PHASE_MAP",
        "SHUTTER",
        "NONE",
        "PERFUSION_ASL",
        "DIFFUSION_ISO",
        "ISOTROPIC",
        "T1_MAP",
        "T2_MAP",
        "VOLUME",
        "RESAMPLED",
        "MULTIECHO",
        "B0",
        "TTP",
        "RCBV",
        "RCBF",
        "MTT",
        "COMBINED",
    ]
) | {
    "PROJECTION IMAGE",
    "SCREEN SAVE",
    "MAX_IP",
    "MIN_IP",
    "FLOW_ENCODED",
    "FIELD_MAP",
    "T1 MAP",
    "T2 MAP",
    "PHASE MAP",
}
NO_AGENT = frozenset(
    ("none", "no", "nein", "kein", "keine", "ohne", "non", "sans", "sin", "n", "0", "na", "nil", "なし")
)
SPACING_MM, TIME_MS = (1e-3, 1000.0), (1e-3, 60_000.0)
SIEMENS_B, GE_B, PHILIPS_B, UIH_B = Tag(0x0019100C), Tag(0x00431039), Tag(0x20011003), Tag(0x00651009)
GE_B_OFFSET = 1e9
"""GE stores some b-values with a thousand million added."""
OLDEST = 90


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


DIRECTIONALITY = frozenset(("DIRECTIONAL", "ISOTROPIC", "NONE", "BMATRIX"))


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
    """In s/mm²: the standard tag, else those of Siemens, GE, Philips and United Imaging, else Siemens's sequence name."""
    found = tags.number(sources, "DiffusionBValue", 0, 2e9)
    for tag in (SIEMENS_B, GE_B, PHILIPS_B, UIH_B) if found is None else ():
        found = _private_number(sources, tag) if found is None else found
    if found is None:
        name = tags.text(sources, "SequenceName").lower().lstrip("*")
        digits = name[4:8].rstrip("tabcdefghijklmnopqrsuvwxyz#_") if name.startswith("ep_b") else ""
        found = float(digits) if digits.isdigit() else None
    if found is None:
        return None
    found = found - GE_B_OFFSET if found >= GE_B_OFFSET else found
    return float(round(found)) if 0 <= found <= 20_000 else None


def _private_number(sources: tags.Sources, tag: BaseTag) -> float | None:
    """The first number of a private tag, which readers without a dictionary hand out as bytes."""
    found = tags.value(sources, tag)
    if isinstance(found, bytes):
        if tag in (PHILIPS_B, UIH_B):
            import struct

            return (
                struct.unpack("<f", found)[0]
                if len(found) == 4
                else struct.unpack("<d", found)[0]
                if len(found) == 8
                else None
            )
        head = found.decode("ascii", "replace").partition("\\")[0].strip(" \0")
        return float(head) if head.isdigit() else None
    return tags.number(sources, tag, 0, 2e9)


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
    fat = {"FS", "SFS", "FATSAT", "FAT_SAT", "WE", "SPIR", "SPAIR", "FSA"}
    return "yes" if fat & set(options) or suppressed in ("FAT", "FAT_AND_WATER") else ""


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


WEIGHTING = frozenset(
    ("t1", "t2", "t2star", "pd", "flair", "stir", "dwi", "adc", "localizer", "fa", "trace", "exponential")
)


def referred_series(dataset: Dataset) -> tuple[str, ...]:
    """UIDs of the series a segmentation or a set of contours was drawn on, to be hashed by the caller."""
    found: list[str] = []
    for item in tags.value([dataset], "ReferencedSeriesSequence") or ():
        found.append(tags.text([item], "SeriesInstanceUID"))
    for frame in tags.value([dataset], "ReferencedFrameOfReferenceSequence") or ():
        for study in tags.value([frame], "RTReferencedStudySequence") or ():
            for series in tags.value([study], "RTReferencedSeriesSequence") or ():
                found.append(tags.text([series], "SeriesInstanceUID"))
    return tuple(dict.fromkeys(uid for uid in found if uid))
