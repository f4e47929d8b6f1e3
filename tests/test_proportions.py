import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarelesion.proportions import proportion_interval


def test_wilson_agrees_with_the_published_example():
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, Table I, method 3
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, n), bounds in published.items():
        assert proportion_interval(successes, n) == pytest.approx(bounds, abs=5e-5)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.01, 0.999))
def test_wilson_is_inside_0_and_1_and_mirrors(n, share, confidence):
    low, high = proportion_interval(share * n, n, confidence)
    assert 0 <= low <= share * n / n <= high <= 1
    assert high > low
    mirrored = proportion_interval(n - share * n, n, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)
