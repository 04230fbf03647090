import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ssl.core.errors import UserError
from pipelines import subset
from pipelines.subset import balanced, draw, main, positions, take


def examples(count):
    for position in np.random.default_rng(0).permutation(count):
        image = np.full((2, 2, 3), position, "uint8")
        yield {"id": f"train_{position:05d}".encode(), "image": image, "label": position % 10}


def test_rows_come_in_the_order_of_the_positions_whatever_the_order_of_the_data():
    wanted = np.array([7, 2, 19])
    images, labels = take(examples(20), wanted)
    np.testing.assert_array_equal(images[:, 0, 0, 0], wanted)
    np.testing.assert_array_equal(labels, wanted % 10)


def test_missing_images_are_counted():
    with pytest.raises(UserError, match="2 of 3"):
        take(examples(5), np.array([1, 5, 6]))


def test_positions_are_distinct_and_official():
    found = positions()
    for part, count, most in (("train", 10_000, 50_000), ("test", 5_000, 10_000)):
        assert found[part].shape == (count,)
        assert len(np.unique(found[part])) == count
        assert found[part].min() >= 0 and found[part].max() < most


def labels_of(count=40, classes=4):
    rng = np.random.default_rng(3)
    return {part: rng.permutation(np.arange(count) % classes) for part in ("train", "test")}


def test_every_class_is_drawn_equally_often_and_no_image_twice():
    labels = labels_of()
    rows = draw(labels, {"train": 5, "test": 2}, seed=0)
    for part, count in (("train", 5), ("test", 2)):
        assert len(np.unique(rows[part])) == 4 * count
        np.testing.assert_array_equal(np.bincount(labels[part][rows[part]]), [count] * 4)


def test_the_rule_is_the_documented_one():
    labels, rng = labels_of(), np.random.default_rng(7)
    chosen = {}
    for part, count in (("train", 5), ("test", 2)):
        chosen[part] = []
        for number in range(4):
            candidates = [row for row, label in enumerate(labels[part]) if label == number]
            chosen[part] += list(rng.choice(candidates, count, replace=False))
    expected = {part: rng.permutation(rows) for part, rows in chosen.items()}
    found = draw(labels, {"train": 5, "test": 2}, seed=7)
    for part, rows in expected.items():
        np.testing.assert_array_equal(found[part], rows)


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(UserError, match="class 2 has 1 train images.*--train=1 or less"):
        draw({"train": np.array([0, 0, 1, 1, 2])}, {"train": 2}, seed=0)


def test_a_class_without_test_images_is_named_with_what_to_do():
    labels = {"train": np.array([0, 1]), "test": np.array([0])}
    with pytest.raises(UserError, match=r"class 1 \(dog\) has 0 test images.*or take --test=0"):
        draw(labels, {"train": 1, "test": 1}, seed=0, class_names=("cat", "dog"))


def test_no_test_images_leave_out_the_test_part(tmp_path):
    main([f"{tmp_path}/few.npz", "digits", "--train=2", "--test=0"])
    with np.load(tmp_path / "few.npz") as few:
        assert sorted(few.files) == ["names", "train_index", "x_train", "y_train"]


def test_a_name_that_the_terminal_cannot_print_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    main([f"{tmp_path}/\u00e4.npz", "digits", "--train=2", "--test=0"])
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue().endswith(b"/?.npz.\n")


def test_a_subset_of_a_file_is_rows_of_it(tmp_path):
    images = np.arange(12 * 4).reshape(12, 2, 2, 1).astype(np.uint8)
    file = {"x_train": images, "y_train": np.arange(12) % 2, "names": np.array(["a", "b"])}
    np.savez(tmp_path / "all.npz", **file, x_test=images[:4], y_test=np.array([0, 1, 0, 1]))
    main([f"{tmp_path}/few.npz", f"npz:{tmp_path}/all.npz", "--train=3", "--test=1", "--seed=2"])
    with np.load(tmp_path / "few.npz") as few:
        assert sorted(few.files) == sorted(
            ["names", *(f"{what}_{part}" for what in "xy" for part in ("train", "test"))]
            + ["train_index", "test_index"]
        )
        np.testing.assert_array_equal(few["x_train"], images[few["train_index"]])
        np.testing.assert_array_equal(few["y_train"], file["y_train"][few["train_index"]])
        np.testing.assert_array_equal(np.bincount(few["y_test"]), [1, 1])


def test_the_same_seed_gives_the_same_subset_and_another_a_different_one():
    once, again, other = (balanced("digits", train=3, test=2, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(once["train_index"], again["train_index"])
    assert (once["train_index"] != other["train_index"]).any()


def test_candidates_are_in_the_order_of_the_official_positions(monkeypatch):
    import pipelines.data.load

    data = pipelines.data.load.load("digits")
    official = {
        "train": np.random.default_rng(5).permutation(len(data.train_images)),
        "test": np.arange(len(data.test_images)),
    }
    monkeypatch.setattr(subset, "_official", lambda name, data_dir: official)
    few = balanced("digits", train=4, test=1, seed=0)
    row_of = np.argsort(official["train"])
    np.testing.assert_array_equal(few["x_train"], data.train_images[row_of[few["train_index"]]])
    in_order = {"train": data.train_labels[row_of], "test": data.test_labels}
    drawn = draw(in_order, {"train": 4, "test": 1}, seed=0)
    np.testing.assert_array_equal(few["train_index"], drawn["train"])


def test_official_positions_are_read_from_the_names_of_the_examples(monkeypatch):
    import tensorflow as tf

    from pipelines.data import tfds

    class Builder:
        info = SimpleNamespace(features={"id": None, "image": None}, splits={"train": 1, "test": 1})

        def download_and_prepare(self):
            pass

        def as_dataset(self, split):
            names = [f"{split}_{number:05d}" for number in (3, 0, 12)]
            return tf.data.Dataset.from_tensor_slices({"id": names})

    monkeypatch.setattr(tfds, "find", lambda name, data_dir: Builder())
    found = subset._official("cifar100#coarse_label", None)
    assert {part: list(of) for part, of in found.items()} == dict.fromkeys(found, [3, 0, 12])
    assert set(found) == {"train", "test"} and subset._official("npz:a.npz", None) == {}


def test_cifar10_with_the_usual_numbers_is_the_subset_of_the_documents(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(subset, "cifar10", lambda data_dir: made.append(data_dir) or {"x": [1]})
    for more in ([], ["cifar10"], ["cifar10", "--train=1000", "--seed=0"]):
        main([f"{tmp_path}/a.npz", *more])
    assert made == [None] * 3


def test_a_folder_that_is_not_there_is_named_before_anything_is_read(monkeypatch, capsys):
    monkeypatch.setattr(subset, "cifar10", lambda data_dir: pytest.fail("read for nothing"))
    with pytest.raises(SystemExit) as stop:
        main(["/no/such/few.npz"])
    assert stop.value.code == 2 and "there is no folder /no/such" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "few.npz").mkdir()  # in the way of the renaming
    with pytest.raises(UserError, match=r"few\.npz could not be written: Is a directory"):
        subset.write(f"{tmp_path}/few.npz", {"x": np.ones(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["few.npz"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["few.txt"], "ends in .npz"),
        (["few.npz", "digits", "--train=0"], "--train=0"),
        (["few.npz", "digits", "--train=100", "--seed=-1"], "--seed=-1"),
        (["few.npz", "digits", "--train=1000"], "--train=1000 of each class"),
        (["few.npz", "digts"], "Did you mean 'digits'"),
        (["/no/such/few.npz", "digits", "--train=2", "--test=1"], "there is no folder /no/such"),
    ],
)
def test_mistakes_end_in_a_line_with_status_two(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
