"""Synthetic patients: the paper's shares, lesions in a gland, looks that follow the subtype."""

import numpy as np
import pytest

from rarelesion.anatomy import FACE, OVERLAP, SUBTYPES, draw_patient, draw_waves


def test_subtypes_occur_as_often_as_in_the_paper() -> None:
    assert sum(subtype.cases for subtype in SUBTYPES.values() if not subtype.malignant) == 190
    assert sum(subtype.cases for subtype in SUBTYPES.values() if subtype.malignant) == 55
    assert SUBTYPES["pleomorphic adenoma"].cases == 132


@pytest.mark.parametrize("name", SUBTYPES)
def test_a_patient_of_every_subtype(name: str) -> None:
    patients = [draw_patient(name, np.random.default_rng(seed)) for seed in range(40)]
    sides = {np.sign(patient.lesion.centre[0]) for patient in patients}
    assert sides == {-1.0, 1.0}
    assert len(patients[0].tissues) == sum(1 + tissue.paired for tissue in FACE)
    assert all(40 < abs(patient.lesion.centre[0]) < 70 for patient in patients)
    assert all(6 < patient.lesion.radius_mm < 21 for patient in patients)
    other = SUBTYPES["pleomorphic adenoma" if SUBTYPES[name].malignant else "mucoepidermoid carcinoma"]
    slide = OVERLAP * (1 / 2 if SUBTYPES[name].malignant else 1 / 6)
    expected = (1 - slide) * SUBTYPES[name].t2 + slide * other.t2
    assert np.mean([patient.lesion.looks.t2 for patient in patients]) == pytest.approx(expected, abs=0.06)


def test_equal_generators_draw_equal_patients() -> None:
    first, again, other = (draw_patient("lymphoma", np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.tissues == again.tissues != other.tissues
    assert first.lesion.looks == again.lesion.looks
    np.testing.assert_array_equal(first.lesion.centre, again.lesion.centre)


def test_benign_lesions_are_the_compact_class() -> None:
    def looks(malignant: bool) -> np.ndarray:
        drawn = [
            draw_patient(name, np.random.default_rng(seed)).lesion.looks
            for name, subtype in SUBTYPES.items()
            if subtype.malignant == malignant
            for seed in range(subtype.cases)
        ]
        return np.array([(look.blur_mm, look.spikes, look.mottle, look.cysts) for look in drawn])

    assert (looks(False).std(axis=0) < looks(True).std(axis=0)).all()


def test_an_unknown_subtype_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        draw_patient("melanoma", np.random.default_rng(0))


def test_waves_have_about_their_length() -> None:
    waves = draw_waves(np.random.default_rng(0), 12.0, 500)
    lengths = 2 * np.pi / np.linalg.norm(waves.vectors, axis=1)
    assert np.exp(np.log(lengths).mean()) == pytest.approx(12, rel=0.05)
    assert lengths.min() > 12 * np.exp(-0.61)
