import subprocess
import sys

import pytest

from keras_ssl.config.resolution import recipe_of
from keras_ssl.core.errors import UserError
from pipelines.data.names import check_exists, check_name
from pipelines.data.shards import find_shards, parts_of


@pytest.mark.parametrize(
    "name, message",
    [
        ("cifar100:coarse_label", "cifar100#coarse_label"),
        ("cifar100#", "lacks the feature"),
        ("digits#label", "no other labels"),
        ("cifr100#coarse_label", "Did you mean 'cifar100'"),
        ("imagenet10", "Did you mean 'imagenet100'"),
        ("mini-imagenet", "Did you mean 'mini_imagenet'"),
        ("svhn", "Did you mean 'svhn_cropped'"),
        ("tfrecord:", "tfrecord:PATH"),
        ("images/train.tfrecord", "Did you mean"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_form(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "train.tfrecord").touch()
    with pytest.raises(UserError, match=message):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    ["cifar100#coarse_label", "cifar100:3.*.*#coarse_label", "mini_imagenet", "tfrecord:a#b/*"],
)
def test_features_subsets_and_patterns_are_names(name):
    check_name(name)


def test_a_feature_keeps_the_recipe_of_its_set_and_a_subset_has_its_own():
    assert recipe_of("cifar100#coarse_label") == "cifar100"
    assert recipe_of("imagenet100") == "imagenet100"


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def test_a_pattern_exists_if_a_file_fits(tmp_path):
    touch(tmp_path, "train-0.tfrecord", "test-0.tfrecord")
    for path in (tmp_path, tmp_path / "tr*", tmp_path / "test-0.tfrecord"):
        check_exists(f"tfrecord:{path}")
    for path in (tmp_path / "val*", tmp_path / "no", tmp_path / "train.tfrecord@2"):
        with pytest.raises(UserError, match="No file fits .*tfrecord:PATTERN"):
            check_exists(f"tfrecord:{path}")


def test_a_directory_and_a_count_want_every_numbered_file(tmp_path):
    names = [f"train-{number:05d}-of-00003.tfrecord" for number in range(3)]
    touch(tmp_path, *names)
    whole = [str(tmp_path / name) for name in names]
    assert find_shards(str(tmp_path)) == find_shards(f"{tmp_path}/train@3.tfrecord") == whole
    (tmp_path / names[1]).unlink()
    for pattern in (str(tmp_path), f"{tmp_path}/train@3.tfrecord"):
        with pytest.raises(UserError, match="train-00001-of-00003.tfrecord is missing"):
            find_shards(pattern)
    assert find_shards(f"{tmp_path}/train*") == [whole[0], whole[2]]


def test_a_directory_without_records_and_a_bucket_are_refused(tmp_path):
    touch(tmp_path, "classes.txt")
    with pytest.raises(UserError, match="has no \\*.tfrecord files"):
        find_shards(str(tmp_path))
    with pytest.raises(UserError, match="local disk"):
        find_shards("gs://bucket/train*")


def test_names_of_files_say_the_part():
    files = ["a/train/training_1.tfrecord", "val-0.tfrecord", "retrained.tfrecord", "x-test@.tfrec"]
    parts = parts_of(files)
    assert parts == {
        "train": files[:1],
        "validation": [files[1]],
        "": [files[2]],
        "test": files[3:],
    }


def test_checking_names_imports_nothing_slow():
    code = (
        "import sys, run, pipelines.data.names as n; n.check_name('cifar100#coarse_label'); "
        "assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
