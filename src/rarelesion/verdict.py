"""What a study says of a new case, in words for a person."""

from collections.abc import Iterator

import numpy as np

from rarelesion.prediction import Neighbour, Prediction
from rarelesion.recipes import is_features


def prediction_text(prediction: Prediction) -> str:
    """A prediction in words, for a person."""
    readings, one = prediction.readings, _reader(prediction)
    percentiles = [reading.percentile for reading in readings]
    spread = f" ({min(percentiles):.0f} to {max(percentiles):.0f} % by {one})" if len(readings) > 1 else ""
    low, high = (end(reading.probability for reading in readings) for end in (min, max))
    chances = f" ({100 * low:.0f} to {100 * high:.0f} % by {one})" if len(readings) > 1 else ""
    share = "it is as common as in the study"
    if prediction.prevalence is not None:
        share = f"{100 * prediction.prevalence:.3g} % of the lesions are malignant"
    lines = [
        f"{prediction.case_id}: {prediction.decision}{', but unsure' if prediction.unsure else ''}",
        *_warnings(prediction),
        f"  {_votes(prediction)} at the threshold chosen on its tuning cases.",
        f"  {_remaining(prediction)}",
        f"  Probability of malignancy {100 * prediction.probability:.0f} %{chances}, if {share}.",
        f"  More suspicious than {prediction.percentile:.0f} % of the benign cases learnt from{spread}.",
        f"  {'Is' if is_features(prediction.recipe) else 'Looks'} most like "
        + ", ".join(map(_neighbour_text, prediction.neighbours))
        + ".",
        f"  {one:<7}       score  threshold  percentile  malignant",
    ]
    lines += [
        f"  r{r.repeat}f{r.fold:<6}{r.score:10.3f} {r.threshold:10.3f}{r.percentile:10.0f} %  "
        f"{'yes' if r.score >= r.threshold else 'no':>9}"
        for r in readings
    ]
    return "\n".join([*lines, f"  Recipe {prediction.recipe}. For research only, not for diagnosis."])


def _votes(prediction: Prediction) -> str:
    n, one = len(prediction.readings), _reader(prediction)
    if n == 1:
        return f"The only {one} calls it {prediction.decision},"
    return f"{prediction.folds_malignant} of {n} {one}s call it malignant, each"


def _reader(prediction: Prediction) -> str:
    """What reads a case in each fold: a network, or what was learnt from features alone."""
    return "model" if is_features(prediction.recipe) else "network"


def _remaining(prediction: Prediction) -> str:
    """What is left of the two answers at the rate of mistakes that was allowed."""
    allowed = f"at {100 * prediction.conformal_alpha:.0f} % mistakes in each class"
    if not prediction.possible:
        return f"Both answers are ruled out {allowed}: it is like neither class, look at it."
    if len(prediction.possible) == 1:
        return f"Only {prediction.possible[0]} is left {allowed}."
    note = f" ({prediction.conformal_note})" if prediction.conformal_note else ""
    return f"Neither answer can be ruled out {allowed}{note}."


def _warnings(prediction: Prediction) -> Iterator[str]:
    if prediction.known_as is not None:
        yield f"  CAUTION: the study holds this picture as case {prediction.known_as}: it is no reading of a new case."
    textures = [r.texture_probability for r in prediction.readings if r.texture_probability is not None]
    if textures and np.mean(textures) > 0.5:
        chance = f"texture probability {np.mean(textures):.2f}"
        yield f"  CAUTION: this does not look like a lesion ({chance}). Check the image and the box or mask."


def _neighbour_text(neighbour: Neighbour) -> str:
    return f"{neighbour.case_id} ({', '.join(filter(None, (neighbour.label, neighbour.subtype)))})"
