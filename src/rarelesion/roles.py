"""What a series is for: T1, T1 after contrast, T2 … proposed from how it was made, with a confidence and the reason."""

from rarelesion.series import CONTOURS, SEGMENTATION, Facts

T1, T1C, T2, FLAIR, DWI, ADC, STIR, MASK, OTHER = "T1", "T1C", "T2", "FLAIR", "DWI", "ADC", "STIR", "mask", "other"
ROLES = (T1, T1C, T2, FLAIR, DWI, ADC, STIR, MASK, OTHER)
"""T1C is T1 after contrast."""


def propose(facts: Facts) -> tuple[str, float, str]:
    """The role of a series, how sure that is (0 to 1), and why, in words a radiologist understands."""
    if facts.kind in (SEGMENTATION, CONTOURS):
        return MASK, 1.0, f"a DICOM {facts.kind} object"
    if facts.modality != "MR":
        return OTHER, 1.0, f"modality {facts.modality or 'unknown'}"
    for word, role in (("adc", ADC), ("dwi", DWI), ("flair", FLAIR), ("stir", STIR), ("t2", T2), ("t1", T1)):
        if word in facts.words:
            if role == T1 and (facts.contrast == "yes" or "contrast" in facts.words):
                role = T1C
            return role, 0.6, f"'{word}' in the description"
    return OTHER, 0.3, "nothing recognised"
