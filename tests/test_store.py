import errno
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from rarelesion import store
from rarelesion.errors import InputError
from rarelesion.types import Case, Embeddings, Epoch, Scores, Split


def some_scores(recipe="tiny"):
    return Scores(
        recipe=recipe,
        repeat=np.array([0, 0, 0, 1]),
        fold=np.array([0, 0, 1, 0]),
        part=np.array(["tune", "test", "test", "test"]),
        case_id=np.array(["a", "b", "c", "c"]),
        patient_id=np.array(["p", "q", "r", "r"]),
        label=np.array([0, 1, 0, 0]),
        score=np.array([0.1, 1 / 3, -2e-7, 5.0]),
    )


def write(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_scores_read_back_bit_for_bit(tmp_path):
    store.write_scores(tmp_path / "scores.csv", [some_scores("one"), some_scores("two")])
    one, two = store.read_scores(tmp_path / "scores.csv")
    assert (one.recipe, two.recipe) == ("one", "two")
    for name in ("repeat", "fold", "part", "case_id", "patient_id", "label", "score"):
        np.testing.assert_array_equal(getattr(two, name), getattr(some_scores(), name))


def test_scores_from_elsewhere_need_four_columns_and_may_use_semicolons(tmp_path):
    path = write(tmp_path, "recipe;case_id;label;score\nmine;1;benign;0.5\nmine;2;malignant;1e3\n")
    (scores,) = store.read_scores(path)
    assert scores.part.tolist() == ["test", "test"]
    assert scores.patient_id.tolist() == ["1", "2"]
    assert scores.score.tolist() == [0.5, 1000.0]


def test_every_unusable_row_of_scores_is_named(tmp_path):
    path = write(
        tmp_path,
        "recipe,case_id,label,score,part,fold\n"
        "a,1,benign,nan,test,0\na,2,cancer,1,test,0\na,3,benign,x,train,0\na,3,benign,1,test,0\na,4,benign,inf,test,x\n"
        "b,4,malignant,1,test,0\n",
    )
    with pytest.raises(InputError) as error:
        store.read_scores(path)
    text = str(error.value)
    for place in (":2:score", ":3:label", ":4:score", ":4:part", ":5", ":6:score", ":6:fold", "both benign and malig"):
        assert place in text


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a,b\n1,2\n", "misses the column recipe"), ("recipe,case_id,label,score\n", "no row"), ("", "an empty file")],
)
def test_a_file_without_scores_is_an_error(tmp_path, text, reason):
    with pytest.raises(InputError, match=reason):
        store.read_scores(write(tmp_path, text))


def test_a_table_too_large_for_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MOST_SCORES", 3)
    head, row = "recipe,case_id,label,score\n", "a,c{},benign,1\n"
    assert len(store.read_scores(write(tmp_path, head + "".join(map(row.format, range(3)))))[0].score) == 3
    with pytest.raises(InputError, match=r"has more rows than can be read; expected at most 3. Give larger tables as"):
        store.read_scores(write(tmp_path, head + "".join(map(row.format, range(4)))))


def test_missing_scores_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        store.read_scores(tmp_path / "scores.csv")


def test_embeddings_read_back_the_same_and_hold_no_pickle(tmp_path):
    rng = np.random.default_rng(0)
    written = Embeddings(
        network="tiny+texture",
        repeat=1,
        fold=2,
        case_ids=np.array(["a", "b"]),
        parts=np.array(["train", "test"]),
        labels=np.array([0, 1]),
        vectors=rng.normal(size=(2, 4)).astype(np.float32),
        logits=rng.normal(size=(2, 3)).astype(np.float32),
    )
    store.write_embeddings(tmp_path / "e.npz", written)
    read = store.read_embeddings(tmp_path / "e.npz")
    assert (read.network, read.repeat, read.fold) == ("tiny+texture", 1, 2)
    for name in ("case_ids", "parts", "labels", "vectors", "logits"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_a_pickle_in_place_of_embeddings_is_refused(tmp_path):
    path = tmp_path / "e.npz"
    path.write_bytes(pickle.dumps({"vectors": 1}))
    with pytest.raises(InputError, match="only this network is embedded anew"):
        store.read_embeddings(path)


def test_splits_and_history_read_back_the_same(tmp_path):
    splits = (Split(0, 0, ("a",), ("b",), ("c", "d")), Split(0, 1, ("d",), ("c",), ("a", "b")))
    store.write_splits(tmp_path / "splits.json", splits)
    assert store.read_splits(tmp_path / "splits.json") == splits
    history = (Epoch(1, 0.7, 1 / 3, 1.5), Epoch(2, 0.6, 0.25, 1.25))
    store.write_history(tmp_path / "history.csv", history)
    assert store.read_history(tmp_path / "history.csv") == history


def test_damaged_splits_say_what_to_do(tmp_path):
    (tmp_path / "splits.json").write_text('[{"repeat": 0}]', encoding="utf-8")
    with pytest.raises(InputError, match="remove it and give the study's command again"):
        store.read_splits(tmp_path / "splits.json")


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    store.write_text(path, "old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"No space left on device.*goes on where it stopped"):
        store.write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    store.write_text(path, "old")

    def interrupted():
        with store.replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cohort_in_a_run_holds_no_paths_and_only_harmless_columns(tmp_path):
    columns = {"sex": "f", "patient_name": "Planted", "grade": "2"}
    case = Case("c1", "p1", 1, {"T1": Path("Planted/t1")}, {}, None, columns)
    store.write_cohort(tmp_path / "cohort.csv", [case], further=("grade",))
    assert (tmp_path / "cohort.csv").read_text(encoding="utf-8") == (
        "case_id,patient_id,label,sex,grade\nc1,p1,malignant,f,2\n"
    )
    assert store.read_case_table(tmp_path / "cohort.csv")[0]["grade"] == "2"


def test_provenance_names_versions_and_inputs(tmp_path):
    store.write_provenance(tmp_path / "p.json", {"seed": 3, "cohort_sha256": store.array_sha256(np.arange(3))})
    content = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert content["seed"] == 3
    assert content["versions"]["torch"].startswith("2.")
    assert len(content["cohort_sha256"]) == 64


def fill(path, pixels):
    store.start_array(path, pixels.shape)
    for row in pixels:
        store.append_row(path, row)
    return store.map_array(path)


def test_an_array_file_grows_row_by_row_and_is_read_as_a_map(tmp_path):
    pixels = np.random.default_rng(0).random((2 * store.HASHED_ROWS + 3, 3, 4, 4), dtype=np.float32)
    mapped = fill(tmp_path / "pixels.npy", pixels)
    assert isinstance(mapped, np.memmap)
    assert mapped.dtype == np.float32
    np.testing.assert_array_equal(mapped, pixels)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


def test_the_hash_of_a_map_is_that_of_the_array_whatever_its_order_in_memory(tmp_path):
    pixels = np.random.default_rng(0).random((2 * store.HASHED_ROWS + 3, 3, 4, 4), dtype=np.float32)
    expected = hashlib.sha256(pixels.tobytes()).hexdigest()
    assert store.array_sha256(pixels) == expected
    assert store.array_sha256(np.asfortranarray(pixels)) == expected
    assert store.array_sha256(fill(tmp_path / "pixels.npy", pixels)) == expected


def test_an_array_file_that_is_gone_or_not_whole_says_what_to_do(tmp_path):
    path = tmp_path / "pixels.npy"
    store.start_array(path, (3, 2))
    store.append_row(path, np.zeros(2, np.float32))
    empty = tmp_path / "empty.npy"
    empty.touch()
    for wrong in (path, empty, tmp_path / "none.npy"):
        with pytest.raises(InputError, match="Give the same command again"):
            store.map_array(wrong)


def test_too_little_room_for_an_array_is_told_before_a_row_is_written(tmp_path):
    with pytest.raises(InputError, match=r"too little room.*expected 6021120.0 GB for the patches.*Free some space"):
        store.start_array(tmp_path / "pixels.npy", (10**10, 3, 224, 224))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full")
def test_a_disk_that_fills_up_under_an_array_is_no_crash():
    with pytest.raises(InputError, match=r"cannot be written: No space left on device\. Free some space"):
        store.append_row(Path("/dev/full"), np.zeros(4, np.float32))


def test_a_file_needed_within_a_block_is_gone_after_it_and_a_stale_one_before(tmp_path):
    path = tmp_path / "pixels.npy"
    path.write_bytes(b"of a run that was killed")
    with store.needed_within(path) as given:
        assert given == path
        assert not path.exists()
        path.touch()
    assert not path.exists()


@pytest.mark.parametrize("ending", [InputError([]), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_file_needed_within_a_block_is_gone_however_the_block_ends(tmp_path, ending):
    def stop(path):
        path.touch()
        raise ending

    with pytest.raises(type(ending)), store.needed_within(tmp_path / "pixels.npy") as path:
        stop(path)
    assert list(tmp_path.iterdir()) == []
