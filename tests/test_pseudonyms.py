"""Pseudonyms: keyed, stable, and dates of which only the differences are true."""

import base64
import hmac
from datetime import date

import pytest

from rarelesion.pseudonyms import new_key, pseudonym, shifted_day, shifted_moment

KEY = bytes(range(32))


def test_a_pseudonym_is_the_head_of_the_keyed_hash():
    digest = hmac.new(KEY, b"patient\x004711", "sha256").digest()
    assert pseudonym(KEY, "patient", "4711") == "p-" + base64.b32encode(digest).decode()[:10].lower()


def test_blanks_do_not_count_but_kind_key_and_text_do():
    name = pseudonym(KEY, "patient", "4711")
    assert pseudonym(KEY, "patient", " 4711  ") == name
    others = {
        pseudonym(KEY, "patient", "4712"),
        pseudonym(KEY, "study", "4711"),
        pseudonym(new_key(), "patient", "4711"),
    }
    assert len(others | {name}) == 4


def test_any_text_can_be_hashed_even_names_no_encoding_knows():
    assert pseudonym(KEY, "file", "\udcff山").startswith("f-")


@pytest.mark.parametrize(("key", "kind"), [(b"", "patient"), (KEY, "")])
def test_no_key_or_no_kind_is_an_error(key, kind):
    with pytest.raises(ValueError, match="needs a key and a kind"):
        pseudonym(key, kind, "4711")


def test_intervals_stay_true_and_days_do_not():
    first, second = date(2015, 6, 1), date(2016, 6, 1)
    assert shifted_day(KEY, second) - shifted_day(KEY, first) == 366
    assert shifted_day(KEY, first) != first.toordinal()
    assert shifted_day(KEY, first) != shifted_day(new_key(), first)
    assert shifted_moment(KEY, second, 30.0) - shifted_moment(KEY, first, 10.0) == 366 * 86_400 + 20


def test_keys_are_new_each_time():
    assert len({new_key() for _ in range(5)}) == 5
    assert len(new_key()) == 32
