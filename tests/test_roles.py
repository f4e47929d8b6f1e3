"""Roles proposed for headers as scanners of several makers, languages and field strengths write them."""

import pytest

from rarelesion.roles import ROLES, propose
from rarelesion.series import Facts
from rarelesion.vocabulary import words_of

SE, GR, IR, EP = ("SE",), ("GR",), ("SE", "IR"), ("EP",)


def facts(text="", technique=SE, tr=None, te=None, ti=None, **more):
    return Facts(
        modality=more.pop("modality", "MR"),
        words=words_of(text),
        technique=technique,
        tr_ms=tr,
        te_ms=te,
        ti_ms=ti,
        **more,
    )


DERIVED = ("DERIVED", "PRIMARY")
CASES = [
    # spin echo, T1, without a word on contrast
    ("t1_tse_tra", "T1", facts("t1_tse_tra", SE, 500, 11)),
    ("Ax T1 FSE, GE 3 T", "T1", facts("Ax T1 FSE", SE, 1050, 9, field_strength_t=3.0)),
    ("T1W_TSE Philips", "T1", facts("T1W_TSE", SE, 620, 8, types=("ORIGINAL", "PRIMARY", "M_SE"))),
    ("T1 SE at 0.3 T", "T1", facts("T1 SE AX", SE, 400, 20, field_strength_t=0.3)),
    ("nameless T1", "T1", facts("", SE, 450, 12)),
    ("French", "T1", facts("Axial T1 SE", SE, 560, 14)),
    ("Japanese", "T1", facts("T1強調 横断", SE, 550, 12)),
    ("T1 SPACE", "T1", facts("t1_space_sag", SE, 700, 11, dimension="3D", echo_train=42)),
    ("before, German", "T1", facts("t1_se_tra nativ", SE, 520, 12, contrast="")),
    ("before, though the tag was left filled", "T1", facts("T1 tra pre KM", SE, 520, 12, contrast="yes")),
    ("before, Spanish", "T1", facts("T1 SIN CONTRASTE", SE, 520, 12)),
    # after contrast
    ("German", "T1C", facts("t1_tse_tra_fs nach KM", SE, 600, 11, contrast="yes")),
    ("tag only", "T1C", facts("t1_tse_tra", SE, 600, 11, contrast="yes")),
    ("words only", "T1C", facts("T1 C+ AX", SE, 600, 11)),
    ("GE plus C", "T1C", facts("Ax T1 FSE FS+C", SE, 650, 10)),
    ("Gd", "T1C", facts("T1W_TSE_Gd", SE, 600, 10)),
    ("French after", "T1C", facts("T1 FATSAT APRES GADO", SE, 600, 12)),
    ("Spanish after", "T1C", facts("T1 CON CONTRASTE", SE, 600, 12)),
    ("Japanese after", "T1C", facts("造影後T1", SE, 600, 12)),
    ("post", "T1C", facts("T1 POST", SE, 600, 12)),
    ("words against the tag", "T1C", facts("T1 post Gd", SE, 600, 12, contrast="no")),
    # gradient echo
    ("VIBE", "T1", facts("t1_vibe_fs_tra", GR, 4.2, 1.8, flip_degrees=10, variant=("SP",), dimension="3D")),
    ("VIBE after", "T1C", facts("t1_vibe_fs_tra_KM", GR, 4.2, 1.8, flip_degrees=10, dimension="3D", contrast="yes")),
    ("LAVA", "T1C", facts("Ax LAVA+C", GR, 3.9, 1.7, flip_degrees=12, dimension="3D")),
    ("THRIVE", "T1", facts("eTHRIVE", GR, 3.7, 1.8, flip_degrees=10, types=("ORIGINAL", "PRIMARY", "M_FFE"))),
    ("2D FLASH", "T1", facts("t1_fl2d_tra", GR, 180, 4.8, flip_degrees=70, variant=("SP",))),
    ("Dixon water", "T1", facts("t1_vibe_dixon_tra_W", GR, 6.7, 2.4, flip_degrees=9, types=("WATER",))),
    ("Dixon in phase", "T1", facts("t1_vibe_dixon_in", GR, 6.7, 2.4, flip_degrees=9, types=("IN_PHASE",))),
    ("MPRAGE Siemens", "T1", facts("t1_mprage_sag", ("GR", "IR"), 2200, 2.9, 900, flip_degrees=8, dimension="3D")),
    ("BRAVO GE", "T1", facts("Sag BRAVO", GR, 8.2, 3.2, 450, flip_degrees=12, dimension="3D")),
    ("3D TFE Philips", "T1", facts("sT1W_3D_TFE", GR, 7.5, 3.5, flip_degrees=8, dimension="3D")),
    ("MPRAGE after", "T1C", facts("t1_mprage_KM", ("GR", "IR"), 2000, 3.0, 1100, flip_degrees=8, contrast="yes")),
    ("T1 FLAIR GE", "T1", facts("Sag T1 FLAIR", IR, 2600, 22, 860, field_strength_t=3.0)),
    # T2
    ("t2_tse", "T2", facts("t2_tse_tra", SE, 4000, 95)),
    ("FRFSE", "T2", facts("Ax T2 FRFSE FS", SE, 3800, 85, fat_saturation="yes")),
    ("T2 SPIR", "T2", facts("T2W_SPIR", SE, 3500, 80)),
    ("HASTE", "T2", facts("t2_haste_cor", SE, 1000, 91)),
    ("T2 SPACE", "T2", facts("t2_space_sag", SE, 3200, 410, dimension="3D")),
    ("low field", "T2", facts("T2 FSE", SE, 3000, 120, field_strength_t=0.2)),
    ("nameless T2", "T2", facts("", SE, 4500, 100)),
    ("Japanese T2", "T2", facts("脂肪抑制T2強調", SE, 4000, 90)),
    ("propeller", "T2", facts("Ax T2 PROPELLER", ("RM", "SE"), 5000, 110)),
    ("T2 after contrast", "T2", facts("t2_tse_tra", SE, 4000, 95, contrast="yes")),
    # inversion
    ("FLAIR", "FLAIR", facts("t2_flair_tra", IR, 9000, 90, 2500)),
    ("dark fluid", "FLAIR", facts("t2_tirm_tra_dark-fluid", IR, 8000, 100, 2370)),
    ("3D FLAIR", "FLAIR", facts("Sag CUBE FLAIR", IR, 6000, 120, 1850, dimension="3D")),
    ("FLAIR without TI", "FLAIR", facts("FLAIR longTR", IR, 11000, 125)),
    ("STIR 1.5 T", "STIR", facts("t2_tirm_cor", IR, 4200, 60, 160)),
    ("STIR 3 T", "STIR", facts("STIR_TSE", IR, 5000, 70, 220)),
    ("STIR 0.3 T", "STIR", facts("COR STIR", IR, 2500, 30, 90)),
    ("STIR without TI", "STIR", facts("STIR", IR, 4000, 50)),
    # diffusion
    ("b 800", "DWI", facts("ep2d_diff_b800", EP, 5000, 80, b_value=800.0)),
    ("b 50", "DWI", facts("ep2d_diff", EP, 5000, 80, b_value=50.0)),
    ("trace", "DWI", facts("ep2d_diff_TRACEW", EP, 5000, 80, types=("DERIVED", "TRACEW"))),
    ("RESOLVE without b", "DWI", facts("RESOLVE", EP, 6000, 75)),
    ("French diffusion", "DWI", facts("DIFFUSION b1000", EP, 6000, 75, b_value=1000.0)),
    ("TSE diffusion", "DWI", facts("DWI HASTE", SE, 2000, 110, b_value=1000.0)),
    ("b 0", "DWI", facts("ep2d_diff", EP, 5000, 80, b_value=0.0)),
    ("ADC Siemens", "ADC", facts("ep2d_diff_ADC", EP, 5000, 80, types=("DERIVED", "PRIMARY", "ADC"))),
    ("ADC GE", "ADC", facts("Apparent Diffusion Coefficient (mm2/s)", EP, 5000, 80, types=DERIVED)),
    ("ADC Philips", "ADC", facts("dADC", SE, 5000, 80, types=DERIVED)),
    ("a protocol that promises an ADC", "DWI", facts("ep2d_diff_b0_800_ADC", EP, 5000, 80, b_value=800.0)),
    # nothing of these
    ("localiser", "other", facts("localizer", GR, 8.6, 4.0, flip_degrees=20)),
    ("localiser by type", "other", facts("", GR, 8.6, 4.0, types=("ORIGINAL", "LOCALIZER"))),
    ("survey", "other", facts("Survey", GR, 11, 4.6)),
    ("proton density", "other", facts("pd_tse_tra", SE, 3000, 25)),
    ("T2*", "other", facts("t2_fl2d_hemo", GR, 800, 26, flip_degrees=20)),
    ("SWI", "other", facts("SWI_Images", GR, 28, 20, flip_degrees=15)),
    ("SWI phase", "other", facts("Pha_Images", GR, 28, 20, types=("ORIGINAL", "PRIMARY", "P"))),
    ("CISS", "other", facts("CISS", GR, 5.4, 2.4, flip_degrees=60, variant=("SS",))),
    ("TOF", "other", facts("TOF_3D_multi-slab", GR, 22, 7)),
    ("subtraction", "other", facts("t1_vibe_SUB", GR, 4, 2, contrast="yes")),
    ("MIP", "other", facts("MIP T1 KM", GR, 4, 2)),
    ("Dixon fat", "other", facts("t1_vibe_dixon_tra_F", GR, 6.7, 2.4, types=("FAT",))),
    ("mosaic", "other", facts("ep2d_diff", EP, 5000, 80, b_value=800.0, types=("ORIGINAL", "MOSAIC"))),
    ("Dixon fat of a T2", "other", facts("t2_tse_dixon_cor_F", SE, 4000, 90, types=("ORIGINAL", "FAT"))),
    ("perfusion", "other", facts("ep2d_perf", EP, 1500, 30)),
    ("eADC", "other", facts("eADC", EP, 5000, 80, types=DERIVED)),
    ("CT", "other", facts("Neck 2.0", (), modality="CT")),
    ("ultrasound", "other", facts("", (), modality="US")),
    ("nothing known", "other", facts("", ())),
    ("colour", "other", facts("", SE, 500, 12, colour=True)),
    # words only
    ("words, T1", "T1", facts("t1_tse", ())),
    ("words, after", "T1C", facts("t1_tse_gd", ())),
    ("words, T2", "T2", facts("T2 axial", ())),
    ("masks", "mask", facts("", (), modality="SEG", kind="segmentation")),
    ("contours", "mask", facts("", (), modality="RTSTRUCT", kind="contours")),
]


def test_there_are_enough_cases():
    assert len(CASES) >= 80


@pytest.mark.parametrize(("role", "case"), [(role, case) for _, role, case in CASES], ids=[name for name, *_ in CASES])
def test_role(role, case):
    proposed, confidence, reason = propose(case)
    assert (proposed, reason) == (role, reason)
    assert 0 < confidence <= 1
    assert reason


def test_reasons_are_words_a_radiologist_understands():
    _, _, reason = propose(facts("t1_tse_tra Gd", SE, 500, 11, contrast="yes"))
    physics = "short TR 500 ms and TE 11 ms; 'T1' in the description"
    assert reason == f"{physics}; a contrast agent is named in the header and the description"


@pytest.mark.parametrize(
    ("agreeing", "contradicting"),
    [
        (facts("t2_tse", SE, 4000, 95), facts("t1_tse", SE, 4000, 95)),
        (facts("t1_tse", SE, 500, 11), facts("t2_tse", SE, 500, 11)),
        (facts("t1 gd", SE, 500, 11, contrast="yes"), facts("t1 gd", SE, 500, 11, contrast="no")),
        (facts("t1 nativ", SE, 500, 11), facts("t1 nativ", SE, 500, 11, contrast="yes")),
        (facts("stir", IR, 4000, 60, 160), facts("flair", IR, 4000, 60, 160)),
        (facts("b800", EP, 4000, 80, b_value=800.0), facts("b800", EP, 4000, 80, b_value=0.0)),
    ],
)
def test_a_contradiction_lowers_the_confidence(agreeing, contradicting):
    assert propose(contradicting)[1] <= 0.6 * propose(agreeing)[1] + 1e-9


def test_a_contradiction_is_told():
    assert "but 'T1' in the description" in propose(facts("t1_tse", SE, 4000, 95))[2]
    assert "though the header says none" in propose(facts("t1 gd", SE, 500, 11, contrast="no"))[2]


def test_a_reformatted_series_is_less_sure():
    plain, again = facts("t1_mprage", GR, 8, 3, dimension="3D"), facts("t1_mprage MPR", GR, 8, 3, dimension="3D")
    assert propose(again)[1] < propose(plain)[1]
    assert propose(again)[0] == "T1"


def test_every_proposal_is_a_known_role():
    assert {propose(case)[0] for _, _, case in CASES} == set(ROLES)
