from rarelesion.config import flat_settings
from rarelesion.paper import DECISIONS, SILENT_SETTINGS
from rarelesion.settings import Settings


def test_every_silent_point_is_a_setting_with_a_reason():
    assert set(SILENT_SETTINGS) <= set(flat_settings(Settings()))
    assert all(reason.strip() for reason in SILENT_SETTINGS.values())


def test_reasons_quote_the_default_they_explain():
    flat = flat_settings(Settings())
    assert str(flat["detectors.ocsvm_nu"]) in SILENT_SETTINGS["detectors.ocsvm_nu"]
    assert str(flat["training.patience"]) in SILENT_SETTINGS["training.patience"]
    assert f"Beta({flat['training.mixup']}, {flat['training.mixup']})" in SILENT_SETTINGS["training.mixup"]
    low, high = flat["training.erasing_aspect"]
    assert f"{low} to {high}" in SILENT_SETTINGS["training.erasing_aspect"]
    low, high = flat["training.erasing_area"]
    assert f"{low:.0%} to {high:.0%}".replace("%", " %") in SILENT_SETTINGS["training.erasing_area"]
    assert flat["training.erasing_probability"] == 0.5
    assert flat["images.percentiles"] == (1, 99)


def test_decisions_are_points_of_their_own():
    points = [point for point, _ in DECISIONS]
    assert len(set(points)) == len(points)
    assert not set(points) & set(SILENT_SETTINGS)
