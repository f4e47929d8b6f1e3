"""Reasons for files that are left out: one for every code that the readers give."""

from rarelesion.headers import FOREIGN, NO_IMAGES
from rarelesion.series import LEFT_OUT, LeftOut


def test_every_code_has_a_reason_and_a_remedy():
    given = {code for _, code in (*NO_IMAGES, *FOREIGN) if code}
    assert given <= set(LEFT_OUT)
    assert all(reason and remedy.endswith(".") for reason, remedy in LEFT_OUT.values())


def test_a_file_left_out_tells_its_reason():
    one = LeftOut("f-a", "f-b", "empty")
    assert (one.reason, one.remedy) == ("the file is empty", "Copy or export it again.")
