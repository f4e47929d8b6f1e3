import tomllib

import pytest

from rarelesion.config import flat_settings, named_settings, read_settings, settings_toml
from rarelesion.errors import InputError
from rarelesion.settings import Settings


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_the_defaults():
    assert read_settings(None) == Settings()


def test_the_file_is_read_and_overrides_lie_on_top(tmp_path):
    path = write(tmp_path, 'recipes = ["tiny"]\n[split]\nfolds = 3\nrepeats = 2\n[weights.files]\ntiny = "a.h5"\n')
    settings = read_settings(path, {"seed": 7, "split": {"folds": 1, "repeats": None}})
    assert settings.recipes == ("tiny",)
    assert (settings.seed, settings.split.folds, settings.split.repeats) == (7, 1, 2)
    assert settings.weights.files == {"tiny": "a.h5"}


def test_what_the_user_named_is_known_apart_from_the_defaults(tmp_path):
    assert named_settings(None) == frozenset()
    path = write(tmp_path, 'recipes = ["tiny"]\n[split]\nfolds = 5\n[weights.files]\ntiny = "a.h5"\n')
    overrides = {"seed": None, "training": {"max_epochs": 60, "profile": None}}
    named = {"recipes", "split.folds", "weights.files", "training.max_epochs"}
    assert named_settings(path, overrides) == named
    every = write(tmp_path, settings_toml(Settings()))
    assert flat_settings(Settings()).keys() - named_settings(every) == {
        key for key, value in flat_settings(Settings()).items() if value is None
    }


def test_what_is_written_reads_back_the_same(tmp_path):
    settings = read_settings(None, {"recipes": ["tiny", "cvae"], "training": {"profile": "paper"}})
    assert read_settings(write(tmp_path, settings_toml(settings))) == settings


def test_every_unknown_key_is_named_with_the_valid_ones(tmp_path):
    path = write(tmp_path, "sead = 1\n[split]\nfold = 5\n[nonsense]\n")
    with pytest.raises(InputError) as error:
        read_settings(path)
    text = str(error.value)
    assert len(error.value.problems) == 3
    assert "Did you mean seed?" in text
    assert "split.fold: unknown setting; expected one of folds, repeats. Did you mean split.folds?" in text


def test_every_wrong_value_is_named_with_what_was_found(tmp_path):
    path = write(tmp_path, '[split]\nfolds = "many"\n[training]\nprofile = "slow"\n')
    with pytest.raises(InputError) as error:
        read_settings(path)
    assert len(error.value.problems) == 2
    assert "split.folds" in str(error.value)
    assert "'slow'" in str(error.value)


def test_a_table_given_as_a_number_is_an_error(tmp_path):
    with pytest.raises(InputError, match="split"):
        read_settings(write(tmp_path, "split = 3\n"))


@pytest.mark.parametrize("text", ["folds = = 1", "\x00"])
def test_a_file_that_is_not_toml_is_an_error(tmp_path, text):
    with pytest.raises(InputError, match="cannot be read as TOML"):
        read_settings(write(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such settings file"):
        read_settings(tmp_path / "none.toml")


def test_flat_settings_name_every_setting_of_the_file():
    settings = Settings()
    flat = flat_settings(settings)
    written = tomllib.loads(settings_toml(settings))
    assert flat["split.folds"] == 5
    assert flat["weights.files"] == {}
    assert {key.split(".")[0] for key in flat} == set(written)
