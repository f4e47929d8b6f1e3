"""What a series is for: T1, T1 after contrast, T2 … proposed from how it was made, with a confidence and the reason.

Physics come first: echo, repetition and inversion times, the kind of echo, the b-value, the tag of the contrast agent,
the type of image. Words of the description support or contradict them; a contradiction lowers the confidence and is
told. The limits are those of textbooks of clinical MR at 0.2 to 7 T, wide enough for the usual protocols of all makers.
"""

from dataclasses import dataclass

from rarelesion.series import CONTOURS, SEGMENTATION, Facts

T1, T1C, T2, FLAIR, DWI, ADC, STIR, MASK, OTHER = "T1", "T1C", "T2", "FLAIR", "DWI", "ADC", "STIR", "mask", "other"
ROLES = (T1, T1C, T2, FLAIR, DWI, ADC, STIR, MASK, OTHER)
"""T1C is T1 after contrast."""

SHORT_TE_MS, LONG_TE_MS, LONGEST_T1_TR_MS, LONG_TR_MS = 32.0, 60.0, 1250.0, 1400.0
STIR_TI_MS, T1_TI_MS, FLAIR_TI_MS = (60.0, 290.0), (290.0, 1300.0), (1300.0, 3500.0)
GRADIENT_TE_MS, STAR_TE_MS = 10.0, 12.0
DIFFUSION_B, LOW_B = 400.0, 10.0
SURE, LIKELY, WORDS_ONLY = 0.95, 0.85, 0.6
NOT_AN_ACQUISITION = {
    "localizer": "a localiser",
    "screen": "a stored screen or report",
    "mip": "a projection",
    "subtraction": "a subtraction",
    "angiography": "an angiography",
    "spectroscopy": "a spectrum",
    "map": "a parameter map",
    "bold": "functional images",
    "exponential": "an exponential ADC map",
    "fa": "a map of fractional anisotropy",
}
"""Words of the description that mean images of no use as T1, T2 …: what to call them."""
NOT_BY_TYPE = (
    ({"LOCALIZER"}, "a localiser"),
    ({"SCREENSAVE", "SCREEN SAVE"}, "a stored screen"),
    ({"MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "PROJECTION"}, "a projection"),
    ({"SUB", "SUBTRACT", "SUBTRACTION"}, "a subtraction"),
    ({"MOSAIC"}, "slices side by side in one picture"),
    ({"P", "PHASE", "P_SE", "PHASE_MAP", "PHASE MAP", "VELOCITY", "FLOW_ENCODED", "FIELD_MAP"}, "a phase image"),
    ({"R", "REAL", "R_SE", "I", "IMAGINARY", "I_SE"}, "the real or imaginary part of an image"),
    (
        {"FA", "EADC", "EXP", "T1 MAP", "T2 MAP", "T1_MAP", "T2_MAP", "TTP", "RCBV", "RCBF", "MTT", "B0"},
        "a parameter map",
    ),
)
SHOWN = {"t1": "T1", "t2": "T2", "flair": "FLAIR", "stir": "STIR", "dwi": "diffusion", "adc": "ADC", "pd": "PD"}


@dataclass(frozen=True, slots=True)
class _Guess:
    role: str
    confidence: float
    reason: str


def propose(facts: Facts) -> tuple[str, float, str]:
    """The role of a series, how sure that is (0 to 1), and why, in words a radiologist understands."""
    if facts.kind in (SEGMENTATION, CONTOURS):
        return MASK, 1.0, "a DICOM segmentation" if facts.kind == SEGMENTATION else "contours of a structure set"
    if facts.modality != "MR":
        named = facts.modality
        return OTHER, 1.0 if named else 0.5, f"modality {named}, not MR" if named else "no modality is named"
    guess = _no_acquisition(facts) or _diffusion(facts) or _weighting(facts)
    if guess.role == T1:
        guess = _contrast(facts, guess)
    if {"MPR", "REFORMATTED", "RESAMPLED"} & set(facts.types) or "mpr" in facts.words:
        guess = _Guess(guess.role, guess.confidence * 0.6, f"{guess.reason}; reformatted from another series")
    return guess.role, round(guess.confidence, 2), guess.reason


def _no_acquisition(facts: Facts) -> _Guess | None:
    """Images that are none of the roles, whatever their echo times."""
    if facts.colour:
        return _Guess(OTHER, SURE, "colour images")
    if {"FAT", "F"} & set(facts.types) or {"fat", "dixon"} <= set(facts.words):
        return _Guess(OTHER, LIKELY, "the fat image of a Dixon acquisition")
    for types, name in NOT_BY_TYPE:
        if types & set(facts.types) and not _is_adc(facts):
            return _Guess(OTHER, SURE, f"{name}, by the image type")
    for word, name in NOT_AN_ACQUISITION.items():
        if word in facts.words:
            return _Guess(OTHER, LIKELY, f"{name}, by the description")
    return None


def _is_adc(facts: Facts) -> bool:
    return bool({"ADC", "ADC_UNSPECIFIED"} & set(facts.types))


def _diffusion(facts: Facts) -> _Guess | None:
    """Diffusion-weighted images and what is computed from them."""
    named = "dwi" in facts.words or "trace" in facts.words
    if _is_adc(facts):
        return _Guess(ADC, SURE, "ADC map, by the image type")
    weighted = facts.b_value is not None and facts.b_value > LOW_B
    by_type = bool({"DIFFUSION", "TRACEW", "TRACE", "DIFFUSION_ISO"} & set(facts.types))
    if "adc" in facts.words and not weighted and not by_type:
        original = "ORIGINAL" in facts.types
        confidence, but = (0.5, ", but the image type says original images") if original else (LIKELY, "")
        return _Guess(ADC, confidence, f"'ADC' in the description{but}")
    if weighted or by_type:
        return _of_b_value(facts, named)
    planar = "EP" in facts.technique or "epi" in facts.words
    if named and (planar or facts.te_ms is None or facts.te_ms >= 40):
        if facts.b_value is not None:
            return _Guess(DWI, 0.4, f"b-value {facts.b_value:.0f} s/mm²: the image without diffusion weighting")
        return _Guess(DWI, 0.7, "'diffusion' in the description; no b-value in the header")
    if planar and "gre" not in facts.words:
        if facts.b_value is not None:
            return _Guess(DWI, 0.4, f"echo-planar, b-value {facts.b_value:.0f} s/mm²: no diffusion weighting")
        return _Guess(OTHER, WORDS_ONLY, "echo-planar without a b-value: perfusion or functional images")
    return None


def _of_b_value(facts: Facts, named: bool) -> _Guess:
    support = "; 'diffusion' in the description" if named else ""
    if facts.b_value is None:
        return _Guess(DWI, LIKELY, f"diffusion-weighted, by the image type{support}")
    if facts.b_value <= LOW_B:
        return _Guess(DWI, 0.4, f"b-value {facts.b_value:.0f} s/mm²: the image without diffusion weighting")
    if facts.b_value < DIFFUSION_B:
        return _Guess(DWI, 0.75, f"low b-value {facts.b_value:.0f} s/mm²{support}")
    return _Guess(DWI, SURE, f"b-value {facts.b_value:.0f} s/mm²{support}")


def _weighting(facts: Facts) -> _Guess:
    """T1, T2, FLAIR, STIR or none of them; T1 stands for T1C too."""
    named = _named(facts)
    if facts.te_ms is None or facts.tr_ms is None:
        if named:
            return _Guess(named, WORDS_ONLY, f"'{named}' in the description; no TR and TE in the header")
        return _Guess(OTHER, 0.3, "neither TR and TE nor a known word in the description")
    guess = _by_inversion(facts) or (_by_gradient_echo if _is_gradient(facts) else _by_spin_echo)(facts)
    if not named:
        return _Guess(guess.role, guess.confidence * 0.9, f"{guess.reason}; no word for it in the description")
    if named == guess.role:
        return _Guess(guess.role, min(SURE, guess.confidence + 0.1), f"{guess.reason}; '{named}' in the description")
    if guess.role == OTHER:
        return _Guess(OTHER, guess.confidence * 0.7, f"{guess.reason}; but '{named}' in the description")
    return _Guess(guess.role, guess.confidence * 0.5, f"{guess.reason}; but '{named}' in the description")


def _named(facts: Facts) -> str:
    """The weighting that the description names, "" for none."""
    words = set(facts.words)
    if "flair" in words:
        return T1 if "t1" in words and "t2" not in words else FLAIR
    if "stir" in words:
        return STIR
    if {"t1", "t2"} <= words or "t2star" in words:
        return ""
    if "t2" in words:
        return T2
    return T1 if words & {"t1", "mprage", "vibe"} else ""


def _times(facts: Facts) -> str:
    return f"TR {facts.tr_ms:.0f} ms and TE {facts.te_ms:.0f} ms"


def _by_inversion(facts: Facts) -> _Guess | None:
    """Images after an inversion pulse, by the inversion time."""
    words, te, tr = set(facts.words), facts.te_ms or 0.0, facts.tr_ms or 0.0
    inverted = "IR" in facts.technique or {"M_IR", "FLUID_ATTENUATED"} & set(facts.types)
    if not inverted and not words & {"flair", "stir", "ir", "mprage"} and (facts.technique or facts.ti_ms is None):
        return None
    ti = facts.ti_ms
    if ti is None or ti <= 0:
        return _without_inversion_time(facts) if inverted and not _is_gradient(facts) else None
    if _is_gradient(facts) and te <= GRADIENT_TE_MS:
        dimension = "3D " if facts.dimension == "3D" else ""
        return _Guess(T1, LIKELY, f"{dimension}gradient echo after inversion, TI {ti:.0f} ms, as MPRAGE")
    if ti >= FLAIR_TI_MS[0]:
        sure = LIKELY if te >= LONG_TE_MS and ti <= FLAIR_TI_MS[1] else WORDS_ONLY
        return _Guess(FLAIR, sure, f"long inversion time {ti:.0f} ms and TE {te:.0f} ms")
    if STIR_TI_MS[0] <= ti <= STIR_TI_MS[1] and tr >= LONG_TR_MS:
        return _Guess(STIR, LIKELY, f"short inversion time {ti:.0f} ms, TR {tr:.0f} ms")
    if T1_TI_MS[0] < ti < T1_TI_MS[1] and te <= SHORT_TE_MS:
        return _Guess(T1, LIKELY, f"inversion time {ti:.0f} ms and short TE {te:.0f} ms, as T1 FLAIR")
    return None


def _without_inversion_time(facts: Facts) -> _Guess:
    te, tr = facts.te_ms or 0.0, facts.tr_ms or 0.0
    if tr >= 5500 and te >= LONG_TE_MS:
        return _Guess(FLAIR, 0.55, f"inversion recovery with long {_times(facts)}; no inversion time")
    if tr >= LONG_TR_MS and ("stir" in facts.words or te >= SHORT_TE_MS):
        return _Guess(STIR, 0.5, f"inversion recovery with {_times(facts)}; no inversion time")
    return _Guess(T1, 0.5, f"inversion recovery with short TE {te:.0f} ms; no inversion time")


def _is_gradient(facts: Facts) -> bool:
    if "GR" in facts.technique or "M_FFE" in facts.types:
        return "SE" not in facts.technique
    if "SE" in facts.technique:
        return False
    words = set(facts.words)
    spin = words & {"tse", "fse", "se", "haste", "space"}
    gradient = words & {"gre", "vibe", "mprage", "balanced"} or (facts.tr_ms or 1000.0) < 60
    return bool(gradient) and not spin


def _by_gradient_echo(facts: Facts) -> _Guess:
    te, tr, flip = facts.te_ms or 0.0, facts.tr_ms or 0.0, facts.flip_degrees
    if te >= STAR_TE_MS:
        return _Guess(OTHER, 0.8, f"gradient echo with long TE {te:.0f} ms: T2*")
    balanced = "balanced" in facts.words or ("SS" in facts.variant and "SP" not in facts.variant and (flip or 0) >= 25)
    if balanced and tr < 12:
        return _Guess(OTHER, 0.7, f"balanced gradient echo, {_times(facts)}: neither T1 nor T2")
    if {"OPP_PHASE", "OUT_PHASE", "OP"} & set(facts.types) or "outphase" in facts.words:
        return _Guess(T1, 0.5, f"gradient echo, {_times(facts)}, opposed phase")
    if flip is not None and flip < (5 if tr < 60 else 40):
        return _Guess(T1, 0.5, f"gradient echo, {_times(facts)}, small flip angle {flip:.0f} degrees")
    if tr < 60:
        kind = "3D gradient echo" if facts.dimension == "3D" else "gradient echo"
        return _Guess(T1, LIKELY, f"{kind} with very short {_times(facts)}")
    return _Guess(T1, 0.8 if tr <= 500 else WORDS_ONLY, f"gradient echo with short {_times(facts)}")


def _by_spin_echo(facts: Facts) -> _Guess:
    te, tr = facts.te_ms or 0.0, facts.tr_ms or 0.0
    volume = facts.dimension == "3D" or "space" in facts.words
    if te <= SHORT_TE_MS and tr <= LONGEST_T1_TR_MS:
        sure = LIKELY if tr <= 900 else 0.75
        return _Guess(T1, sure, f"short {_times(facts)}")
    if te >= LONG_TE_MS and tr >= LONG_TR_MS:
        return _Guess(T2, LIKELY, f"long {_times(facts)}")
    if te >= LONG_TE_MS:
        single_shot = "haste" in facts.words
        return _Guess(T2, 0.8 if volume or single_shot else WORDS_ONLY, f"long TE {te:.0f} ms, TR {tr:.0f} ms")
    if tr >= LONG_TR_MS and te >= 45:
        return _Guess(T2, WORDS_ONLY, f"long TR {tr:.0f} ms and TE {te:.0f} ms, between T2 and proton density")
    if tr >= LONG_TR_MS:
        return _Guess(OTHER, 0.8, f"long TR {tr:.0f} ms with short TE {te:.0f} ms: proton density")
    return _Guess(T1, 0.5, f"{_times(facts)}, between T1 and proton density")


def _contrast(facts: Facts, guess: _Guess) -> _Guess:
    """Whether a T1 series was acquired after contrast, by the tag meant for it and the description."""
    words = set(facts.words)
    before, after = "pre" in words, bool(words & {"contrast", "post"})
    if "dynamic" in words and not before:
        return _Guess(T1C, guess.confidence * 0.6, f"{guess.reason}; dynamic: some time points are before contrast")
    if before:
        share, but = (0.6, ", though the header names a contrast agent") if facts.contrast == "yes" else (1.0, "")
        return _Guess(T1, guess.confidence * share, f"{guess.reason}; before contrast by the description{but}")
    if facts.contrast == "yes":
        support = " and the description" if after else ""
        return _Guess(T1C, guess.confidence, f"{guess.reason}; a contrast agent is named in the header{support}")
    if after:
        share, but = (0.6, ", though the header says none") if facts.contrast == "no" else (0.95, "")
        return _Guess(T1C, guess.confidence * share, f"{guess.reason}; contrast in the description{but}")
    return _Guess(T1, guess.confidence, f"{guess.reason}; no sign of contrast")
