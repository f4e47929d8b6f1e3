"""What a person is told of a new case."""

from dataclasses import replace

from fabricated import make_prediction as prediction
from rarelesion.verdict import prediction_text


def test_the_text_says_what_a_radiologist_needs_in_the_order_of_need():
    lines = prediction_text(prediction(0.9, 0.7, 0.2)).splitlines()
    assert lines[0] == "next: malignant"
    assert lines[1] == "  2 of 3 networks call it malignant, each at the threshold chosen on its tuning cases."
    assert lines[2] == "  Only malignant is left at 10 % mistakes in each class."
    assert lines[3] == "  Probability of malignancy 70 % (20 to 90 % by network), if it is as common as in the study."
    assert lines[4] == "  More suspicious than 60 % of the benign cases learnt from (20 to 90 % by network)."
    assert lines[5] == "  Looks most like c7 (benign, pleomorphic adenoma), c9 (malignant)."
    assert [line.split()[-1] for line in lines[7:10]] == ["yes", "yes", "no"]
    assert lines[-1] == "  Recipe tiny+lof. For research only, not for diagnosis."


def test_one_network_alone_does_not_vote():
    assert prediction_text(prediction(0.9)).splitlines()[1:5] == [
        "  The only network calls it malignant, at the threshold chosen on its tuning cases.",
        "  Only malignant is left at 10 % mistakes in each class.",
        "  Probability of malignancy 90 %, if it is as common as in the study.",
        "  More suspicious than 90 % of the benign cases learnt from.",
    ]


def test_doubt_is_said_first():
    assert prediction_text(prediction(0.9, 0.2, unsure=True)).startswith("next: malignant, but unsure\n")
    second = prediction_text(prediction(0.9, known_as="c3")).splitlines()[1]
    assert second == "  CAUTION: the study holds this picture as case c3: it is no reading of a new case."
    texture = tuple(replace(reading, texture_probability=0.8) for reading in prediction(0.9).readings)
    assert "CAUTION: this does not look like a lesion (texture probability 0.80)" in prediction_text(
        prediction(0.9, readings=texture)
    )


def test_what_is_not_ruled_out_is_said_with_the_reason():
    both = ("benign", "malignant")
    neither = "  Neither answer can be ruled out at 10 % mistakes in each class"
    assert prediction_text(prediction(0.9, possible=both)).splitlines()[2] == neither + "."
    few = prediction_text(prediction(0.9, possible=both, conformal_note="4 malignant tuning patients, 9 needed"))
    assert few.splitlines()[2] == neither + " (4 malignant tuning patients, 9 needed)."
    assert "like neither class, look at it" in prediction_text(prediction(0.9, possible=()))
    stated = prediction_text(prediction(0.9, prevalence=0.05)).splitlines()[3]
    assert stated == "  Probability of malignancy 90 %, if 5 % of the lesions are malignant."


def test_features_alone_are_no_network_and_do_not_look():
    lines = prediction_text(prediction(0.9, 0.7, 0.2, recipe="radiomics+clinical")).splitlines()
    assert lines[1] == "  2 of 3 models call it malignant, each at the threshold chosen on its tuning cases."
    assert "(20 to 90 % by model)" in lines[3]
    assert lines[5] == "  Is most like c7 (benign, pleomorphic adenoma), c9 (malignant)."
    assert lines[6].split() == ["model", "score", "threshold", "percentile", "malignant"]
    assert "network" not in "\n".join(lines)
