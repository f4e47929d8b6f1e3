"""Known words in descriptions as departments of several countries write them."""

import pytest

from rarelesion.vocabulary import WORDS, known, vendor_of, words_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t1_tse_tra_fs_KM", {"t1", "tse", "axial", "fs", "contrast"}),
        ("Ax T1 FSE+C", {"t1", "fse", "axial", "contrast"}),
        ("T1 C+", {"t1", "contrast"}),
        ("T1 C-", {"t1", "pre"}),
        ("T1 tse nach KM", {"t1", "tse", "post", "contrast"}),
        ("T1 ohne KM", {"t1", "pre"}),
        ("t1_se_cor_nativ", {"t1", "se", "coronal", "pre"}),
        ("t2_tirm_kor_fettgesättigt", {"t2", "stir", "coronal", "fs"}),
        ("Übersicht", {"localizer"}),
        ("T2 FLAIR sans gado", {"t2", "flair", "pre"}),
        ("T1 SE APRES INJECTION", {"t1", "se", "post", "contrast"}),
        ("Repérage", {"localizer"}),
        ("T1 TSE SAT GRAISSE axial", {"t1", "tse", "fs", "axial"}),
        ("T1 sin contraste", {"t1", "pre"}),
        ("T1 con contraste sagital", {"t1", "post", "contrast", "sagittal"}),
        ("Localizador", {"localizer"}),
        ("Difusión b800", {"dwi"}),
        ("T1造影後 横断", {"t1", "post", "contrast", "axial"}),
        ("造影前T1", {"t1", "pre"}),
        ("脂肪抑制T2強調画像", {"t2", "fs"}),
        ("Ｔ１ 矢状断", {"t1", "sagittal"}),
        ("位置決め", {"localizer"}),
        ("拡散強調", {"dwi"}),
        ("T1W_TSE post Gd", {"t1", "tse", "post", "contrast"}),
        ("AXT1 FS w/o contrast", {"t1", "fs", "axial", "pre"}),
        ("sT1W_3D_TFE", {"t1", "mprage"}),
        ("ep2d_diff_b0_800_ADC", {"dwi", "adc", "epi"}),
        ("t1_vibe_dixon_tra_W", {"t1", "vibe", "dixon", "axial", "water"}),
        ("eADC", {"adc", "exponential"}),
        ("T2* FFE", {"t2star", "gre"}),
        ("T1 mit KM", {"t1", "post", "contrast"}),
        ("T1 nach OP", {"t1"}),
        ("T1 post-op", {"t1"}),
        ("t1_vibe_fa_12", {"t1", "vibe"}),
        ("DTI FA map", {"dwi", "fa"}),
        ("posterior fossa", set()),
        ("Müller Anna 12.03.1954", set()),
        ("", set()),
    ],
)
def test_words_of(text, expected):
    assert set(words_of(text)) == expected


def test_only_words_of_the_list_come_out():
    assert set(words_of("T1 Mustermann", "KM 4711")) <= set(WORDS)


@pytest.mark.parametrize(
    ("maker", "vendor"),
    [
        ("SIEMENS", "siemens"),
        ("Siemens Healthineers", "siemens"),
        ("GE MEDICAL SYSTEMS", "ge"),
        ("Philips Medical Systems", "philips"),
        ("TOSHIBA_MEC", "canon"),
        ("Hitachi Medical Corporation", "hitachi"),
        ("Praxis Dr. Mustermann", "other"),
        ("", ""),
    ],
)
def test_vendor_of(maker, vendor):
    assert vendor_of(maker) == vendor


def test_known_keeps_only_the_vocabulary():
    assert known(["se ", "Mustermann", "IR", "SE"], frozenset(("SE", "IR"))) == ("SE", "IR")
