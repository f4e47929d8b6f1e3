"""Several lesions of one patient: whose they are, what they are worth together, and in which order they are drawn."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rarelesion.errors import InputError, Problem
from rarelesion.metrics import check_scores

ROUNDING = 1e-12
"""The spread of shares that are all the same, after rounding."""


def patient_numbers(patients: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Which patient each of the `n` cases is of, as numbers from 0; without `patients` every case is one of its own.

    Raises InputError where there isn't one patient for every case, or an id is missing.
    """
    if patients is None:
        return np.arange(n)
    ids = np.asarray(patients).ravel()
    if ids.size != n:
        expected = "the patient of every case"
        raise InputError(Problem("patients", "not as many as cases", f"{ids.size} for {n} cases", expected))
    missing = np.array([name is None or name == "" or name != name for name in ids.tolist()])
    if missing.any():
        found = f"none at position {np.flatnonzero(missing)[0]} ({missing.sum()} in all)"
        remedy = "Give cases of unknown patients an id of their own only if they are of different patients."
        raise InputError(Problem("patients", "a case has no patient", found, "an id for every case", remedy))
    return np.unique(ids, return_inverse=True)[1]


def effective_cases(right: ArrayLike, patient: ArrayLike) -> float:
    """How many independent cases these (n,) are worth for the share of them judged `right`, some of one patient.

    `right` (n,) in 0..1, `patient` (n,) any ids; result above 0, up to n: n where every patient has one case, or where
    cases of a patient are no more alike than those of different ones. It is n over the design effect (Rao & Scott
    1992, doi:10.2307/2532311); where nothing can be seen of that, as with all judged right or a single patient, it is
    the number of patients.

    >>> effective_cases([1, 1, 0, 0, 1, 1], ["a", "a", "b", "b", "c", "c"])
    3.0
    """
    judged = np.asarray(right, dtype=np.float64)
    number = np.unique(np.asarray(patient), return_inverse=True)[1]
    n, patients, share = judged.size, int(number.max()) + 1, float(judged.mean())
    if patients == n:
        return float(n)
    spread = share * (1 - share) * n
    if patients == 1 or spread < ROUNDING:
        return float(patients)
    return n / max(1.0, float(np.sum(np.bincount(number, weights=judged - share) ** 2)) / spread)


def cases_to_draw(
    labels: ArrayLike, scores: ArrayLike, patients: ArrayLike | None, resamples: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.str_]]:
    """Who is malignant, the scores and the patients (n,) of cases, sorted so that their order can't change a draw.

    Raises InputError as `metrics.check_scores` and `patient_numbers`, and for fewer than 2 resamples.
    """
    malignant, score = check_scores(labels, scores)
    patient = patient_numbers(patients, score.size)
    if resamples < 2:
        raise InputError(Problem("resamples", "too few draws", str(resamples), "at least 2, better 2000"))
    order = np.lexsort((malignant, score))
    own = patient if patients is None else patient[order]
    return malignant[order], score[order], own.astype(np.str_)
