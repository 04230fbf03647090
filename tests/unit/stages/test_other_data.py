"""Other data sets and further test sets: what is read of them, and what is scored."""

import dataclasses
import itertools
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

import keras_ssl
from keras_ssl import config
from keras_ssl.config import parse_set, resolve
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation import classifiers as fitted
from keras_ssl.evaluation import shifted
from keras_ssl.evaluation.evaluators import Evaluation, LeftOut, by_features
from keras_ssl.evaluation.gradient_probe import gradient_probe
from keras_ssl.evaluation.knn import knn_accuracy, knn_scores
from keras_ssl.evaluation.probes import linear as probes
from keras_ssl.evaluation.probes.linear import linear_probe
from keras_ssl.evaluation.probes.transfer import dense_probe
from keras_ssl.evaluation.representation import Features, Representation, flat
from keras_ssl.evaluation.results import Measurement, protocol_hash
from keras_ssl.evaluation.robustness import ALEXNET_ERRORS
from keras_ssl.evaluation.rows import as_rows
from keras_ssl.evaluation.tables import format_tables, name_of, representation_name
from keras_ssl.ops.rows import some_rows
from pipelines.corruptions import CORRUPTIONS, corrupt
from pipelines.data.encoded import EncodedImages
from pipelines.data.image_data import ImageData
from pipelines.data.load import ImagePart, load_test_part
from pipelines.data.names import COLLECTIONS, check_name, members
from stages import evaluation, other_data, transfer
from stages.evaluation import evaluation_of, trained
from stages.inputs import Inputs, Preprocessing
from stages.request import check_mode, read_catalog

RGB = Preprocessing(8, 3, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
GRAY = Preprocessing(8, 1, (0.5,), (0.25,))


def squares(count, seed=0, classes=3, size=8, channels=3):
    """Images of some classes, each brighter in other rows, in noise that hides some of them."""
    draw, labels = np.random.RandomState(seed), np.arange(count) % classes
    images = draw.randint(0, 200, (count, size, size, channels))
    bright = np.arange(size) % classes == labels[:, None]
    return (images + 15 * bright[:, :, None, None]).astype("uint8"), labels


def data_of(name="npz:own.npz", names=None, **sizes):
    return ImageData(name, *squares(60, **sizes), *squares(45, seed=1, **sizes), names)


def recipe(*wishes, method="simclr"):
    small = ("backbone.name=tiny", "backbone.width=4")
    return resolve(read_catalog(), method, [parse_set(text) for text in (*small, *wishes)])


def npz(path, data, parts=("train", "test"), labels=True):
    arrays = {}
    for part in parts:
        arrays[f"x_{part}"] = getattr(data, f"{part}_images")
        if labels:
            arrays[f"y_{part}"] = getattr(data, f"{part}_labels")
    if data.class_names:
        arrays["class_names"] = np.array(data.class_names)
    np.savez(path, **arrays)
    return f"npz:{path}"


# Transfer.


def sem_encoder():
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)
    return keras_ssl.sem_neck(encoder, num_simplices=5, simplex_size=3)


def test_codes_do_not_depend_on_the_other_temperatures():
    asked = recipe(method="sem_simclr").with_({"evaluation.temperatures": (0.0,)}, origin="test")
    every = transfer.representations(asked, RGB, sem_encoder())
    assert [one.tau for one in every] == [None, None, None, 0.0]


def test_codes_are_what_the_one_hot_features_are_under_the_same_protocol():
    encoder, data = sem_encoder(), data_of()
    every = transfer.representations(recipe(method="sem_simclr"), RGB, encoder)
    found = {
        name_of_line(one): one for group in by_features(every) for one in measured(group, data)
    }
    assert list(found) == [
        *("raw pixels", "random weights", "pretrained, backbone"),
        *("pretrained, SEM tau_d=0.1", "pretrained, SEM tau_d=1", "pretrained, SEM tau_d=0"),
    ]
    one_hot = Features(keras_ssl.at_temperature(encoder, 0), RGB.function)
    parts = [one_hot.extract(images) for images in (data.train_images, data.test_images)]
    result = dense_probe(parts[0], data.train_labels, parts[1], data.test_labels, strengths=3)
    assert found["pretrained, SEM tau_d=0"].value == pytest.approx(result.accuracy)
    assert len({str(row.protocol) for row in found.values()}) == 1  # a single column to compare


def measured(group, data, strengths=3):
    results, left_out = transfer.measured(group, data, strengths, 8)
    assert left_out == []
    return results


def name_of_line(result):
    return representation_name(*result.representation)


def pixels(source="pixels"):
    return [Representation(Features(None, RGB.function), source)]


def test_simplices_that_do_not_fit_are_measured_all_the_same():
    every = transfer.representations(recipe(method="sem_simclr"), RGB, sem_encoder())
    *_, simplices = by_features(every)
    data = data_of()
    whole = {one.representation: one.value for one in measured(simplices, data)}
    results, left_out = transfer.measured(simplices, data, 3, 8, memory=4 * 15 * 45)
    assert left_out == []
    assert {one.representation: one.value for one in results} == pytest.approx(whole)


def test_a_validation_split_chooses_the_strength():
    data = dataclasses.replace(data_of(), validation_rows=np.arange(24))
    (found,) = measured(pixels(), data)
    assert found.protocol["validation_images"] == 24 and found.protocol["train_images"] == 60
    parts = [flat(part) for part in (data.train_images, data.test_images)]
    expected = dense_probe(
        parts[0],
        data.train_labels,
        parts[1],
        data.test_labels,
        strengths=3,
        validation=np.arange(24),
    )
    assert found.value == expected.accuracy


def test_a_representation_that_cannot_be_measured_is_told_and_the_others_stay():
    data = data_of()
    lonely = ImageData(
        *("lonely", data.train_images, np.arange(60) // 59, data.test_images, np.zeros(45, int))
    )
    results, left_out = transfer.measured(pixels(), lonely, 3, 8)
    assert results == [] and left_out[0].text.startswith("lonely, raw pixels: ")


def test_other_sizes_that_were_read_are_other_protocols():
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)
    trained = [Representation(Features(encoder, RGB.function), "pretrained")]
    found = {}
    for side in (6, 8):
        for group in (pixels(), trained):
            (one,) = measured(group, data_of(size=side))
            found[side, name_of_line(one)] = one.protocol
    sizes = {key: protocol["image_size"] for key, protocol in found.items()}
    assert sizes[6, "raw pixels"] == [6, 6] and sizes[6, "pretrained"] == [8, 8]
    assert found[8, "raw pixels"] == found[8, "pretrained"]
    assert "by the preprocessing" in found[6, "pretrained"]["images"]
    assert protocol_hash(found[6, "raw pixels"]) != protocol_hash(found[8, "raw pixels"])
    at_size = transfer.images_read(pixels()[0].features, data_of("cifar10"), 8)
    assert at_size == {"image_size": [8, 8], "images": transfer.READ_AT_SIZE}


@pytest.mark.parametrize("wish, passed", [("yes", True), ("no", False), ("auto", None)])
def test_images_are_decoded_when_the_recipe_says(monkeypatch, wish, passed):
    seen, wanted = [], recipe(f"data.in_memory={wish}", f"data.data_dir=/{wish}")
    for module, name in ((other_data, "load"), (other_data, "load_test_part")):
        monkeypatch.setattr(module, name, lambda *_, in_memory, **__: seen.append(in_memory))
    for read in (
        other_data.load_other,
        lambda n, r, _: other_data.shifted_part(n, r.data, data_of()),
    ):
        with pytest.raises(AttributeError, match="NoneType"):
            read("cifar10", wanted, RGB)
    other_data._loaded.cache_clear()
    assert seen == [passed, passed]


def test_paths_of_other_sets_hold_in_every_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = ("evaluation.shifted=npz:a.npz", "transfer.datasets=digits,npz:b.npz")
    amended = config.override(recipe(), [parse_set(text) for text in texts])
    for one in (recipe(*texts), amended):
        assert one.evaluation.shifted == (f"npz:{tmp_path}/a.npz",)
        assert one.transfer.datasets == ("digits", f"npz:{tmp_path}/b.npz")


def loaded(path, data, preprocessing=RGB, **settings):
    return other_data.load_other(npz(path / "x.npz", data, **settings), recipe(), preprocessing)


def test_gray_images_reach_an_encoder_of_colours(tmp_path):
    data = loaded(tmp_path, data_of(channels=1, size=6))
    assert data.train_images.shape == (60, 6, 6, 3) and data.test_images.shape[-1] == 3
    np.testing.assert_array_equal(data.test_images[..., 0], data.test_images[..., 2])
    assert Features().extract(data.test_images).shape == (45, 108)
    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)
    assert len(Features(encoder, RGB.function).extract(data.test_images)) == 45


def test_colours_do_not_reach_an_encoder_of_gray_images(tmp_path):
    with pytest.raises(UserError, match="takes gray images, .*x.npz' has 3 channels"):
        loaded(tmp_path, data_of(), GRAY)


def test_data_that_cannot_be_scored_say_what_they_lack(tmp_path):
    with pytest.raises(UserError, match="there are no labels for both parts"):
        loaded(tmp_path, data_of(), labels=False)
    with pytest.raises(UserError, match="there is no test part"):
        loaded(tmp_path, data_of(), labels=False, parts=("train",))


# Shifted test sets.


def scored(data, *datasets, group=None, wanted=None):
    """Results on shifted sets, and what was left out."""
    wanted = wanted or recipe(f"evaluation.shifted={','.join(datasets)}")
    group = group or pixels()
    train = group[0].features.extract(data.train_images)
    by = evaluation_of(wanted, Inputs(data, RGB))
    return list(shifted.other_images(by, group, train, None)), by.left_out


def test_a_shifted_set_that_is_the_test_part_scores_as_the_test_part_does(tmp_path):
    data = data_of()
    results, left_out = scored(data, npz(tmp_path / "same.npz", data, parts=("test",)))
    flat = [part.reshape(len(part), -1) / 255 for part in (data.train_images, data.test_images)]
    parts = [part.astype("float32") for part in flat]
    parts = (parts[0], data.train_labels, parts[1], data.test_labels)
    knn, linear = knn_accuracy(*parts), linear_probe(*parts)
    assert left_out == []
    assert [name_of(one) for one in results] == ["knn, same", "linear, same"]
    assert 40 < knn.accuracy < 100 and 40 < linear.accuracy < 100
    for one, whole in zip(results, (knn, linear), strict=True):
        np.testing.assert_array_equal(one.correct, np.atleast_2d(whole.correct))
        assert one.value == pytest.approx(whole.accuracy)
        assert whole.protocol | {"among_classes": 3} == one.protocol
        assert one.dataset == f"npz:{tmp_path}/same.npz"


def test_every_temperature_of_the_simplices_is_scored_as_it_is_read(tmp_path):
    wanted, data = recipe(method="sem_simclr"), data_of()
    dataset = npz(tmp_path / "same.npz", data, parts=("test",))
    settings = {"evaluation.shifted": (dataset,), "evaluation.knn_neighbours": 7}
    wanted = wanted.with_(settings, origin="a test")
    group = trained(sem_encoder(), wanted, RGB.function)[1:]
    images = (data.train_images, data.test_images)
    train, test = map(group[0].features.extract, images)
    results, left_out = scored(data, group=group, wanted=wanted)
    assert left_out == [] and len(results) == 6
    for one in group:
        parts = (one.rows(train), data.train_labels, one.rows(test))
        expected = knn_accuracy(*parts, data.test_labels, k=7).accuracy
        assert expected == pytest.approx(
            next(r.value for r in results if r.tau == one.tau and r.task == "shifted knn")
        )


def classifiers(count=60, k=20, classes=3):
    """The classifiers of some images, and the features of others."""
    images, labels = squares(count, classes=classes)
    wanted = recipe(f"evaluation.knn_neighbours={k}").evaluation
    (one,) = pixels()
    train, unseen = map(one.features.extract, (images, squares(45, seed=2)[0]))
    regression = probes.linear_classifier(train, labels)
    by = fitted.Classifiers(one, one.rows(train), labels, regression, wanted)
    return by, as_rows(unseen)


@pytest.mark.parametrize("task", ["knn", "linear", "probe"])
@pytest.mark.parametrize("classes", [(0, 2), (1,), (0, 1, 2)])
def test_predictions_are_among_the_classes_that_occur(task, classes):
    by, unseen = classifiers()
    weights = np.random.default_rng(0).normal(size=(3, unseen.shape[1])).astype("float32")
    weights -= weights.mean(axis=1, keepdims=True)
    probe = Measurement({}, {}, classifier=(weights, np.zeros(3, "float32")))
    by = dataclasses.replace(by, probe=probe)
    scores, among, _ = by.answers()[task](unseen, np.array(classes))
    assert set(among[scores.argmax(axis=1)]) == set(classes) == set(among)
    assert scores.shape == (45, len(classes))


def test_train_images_of_some_classes_are_taken_once_for_all_batches(monkeypatch):
    by, unseen = classifiers()
    take = Mock(side_effect=by.train.take)
    monkeypatch.setattr(by.train, "take", take)
    for classes in ((0, 2), (0, 2), (0, 1, 2), (0, 2), (1,)):
        by.nearest(unseen, np.array(classes))
    assert take.call_count == 2


def test_two_classes_are_told_apart_as_many_are():
    by, _ = classifiers(classes=2)
    scores, among, _ = by.most_likely(by.train, np.array([0, 1]))
    assert np.mean(among[scores.argmax(axis=1)] == by.labels) > 0.9


def test_the_protocol_of_a_knn_is_that_of_the_search():
    by, unseen = classifiers(k=30)
    rows = by.labels != 1
    expected = knn_scores(by.train[rows], by.labels[rows], unseen, k=30, num_classes=3)
    scores, among, protocol = by.nearest(unseen, np.array([0, 2]))
    np.testing.assert_array_equal(scores, expected[:, among])
    assert (protocol["k"], protocol["train_images"]) == (30, 40)
    _, _, protocol = by.nearest(unseen, np.array([2]))
    assert (protocol["k"], protocol["train_images"]) == (20, 20)


def test_the_regression_is_fitted_once_however_many_sets_and_blocks_there_are(
    tmp_path, monkeypatch
):
    data, calls, columns = data_of(), [], probes.scaling
    paths = [npz(tmp_path / f"{name}.npz", data, parts=("test",)) for name in "ab"]
    whole, _ = scored(data, *paths)
    monkeypatch.setattr(probes, "scaling", lambda train: calls.append(0) or columns(train))
    monkeypatch.setattr(fitted, "_HELD", 10 * 192)
    in_blocks, _ = scored(data, *paths)
    assert len(calls) == 1 and len(in_blocks) == 4
    for one, other in zip(in_blocks, whole, strict=True):
        assert one == other
        np.testing.assert_array_equal(one.correct, other.correct)


def test_one_black_image_costs_the_knn_of_its_representation_alone(tmp_path):
    data = data_of()
    black = np.concatenate([data.test_images[:-1], np.zeros_like(data.test_images[:1])])
    black = dataclasses.replace(data, test_images=black)
    results, left_out = scored(data, npz(tmp_path / "black.npz", black, parts=("test",)))
    assert [name_of(one) for one in results] == ["linear, black"]
    (why,) = left_out
    assert why.text.startswith("raw pixels, knn, black: 1 of 45 test features are all zero")


def test_a_classifier_that_may_succeed_later_is_tried_again(tmp_path, monkeypatch):
    def fail(*_):
        raise UserError("3.png cannot be read any more.", retry=True)

    monkeypatch.setattr(fitted.Classifiers, "nearest", fail)
    data = data_of()
    results, (why,) = scored(data, npz(tmp_path / "x.npz", data, parts=("test",)))
    assert [name_of(one) for one in results] == ["linear, x"]
    assert why == LeftOut("raw pixels, knn, x: 3.png cannot be read any more.", retry=True)


def test_a_regression_that_cannot_be_fitted_names_its_representation(tmp_path):
    data = data_of()
    few = dataclasses.replace(data, train_labels=np.minimum(np.arange(60), 2)[::-1])
    results, left_out = scored(few, npz(tmp_path / "x.npz", data, parts=("test",)))
    assert [name_of(one) for one in results] == ["knn, x"]
    assert left_out[0].text.startswith("raw pixels, linear, shifted: ")


def oblong(data, height, width):
    parts = {f"{part}_images": getattr(data, f"{part}_images") for part in ("train", "test")}
    cut = {name: images[:, :height, :width] for name, images in parts.items()}
    return dataclasses.replace(data, **cut)


def test_images_that_are_not_square_stay_so(tmp_path):
    data = oblong(data_of(), 8, 6)
    own = npz(tmp_path / "own.npz", data, parts=("test",))
    other = npz(tmp_path / "other.npz", oblong(data_of(), 4, 8), parts=("test",))
    results, left_out = scored(data, own, other)
    assert [name_of(one) for one in results] == ["knn, own", "linear, own"]
    images = data.train_images, data.test_images
    flat = [part.reshape(len(part), -1).astype("float32") / 255 for part in images]
    expected = knn_accuracy(flat[0], data.train_labels, flat[1], data.test_labels)
    np.testing.assert_array_equal(results[0].correct, np.atleast_2d(expected.correct))
    reason = "The images are 4 x 8, those of 'npz:own.npz' 8 x 6."
    assert left_out == [LeftOut(f"raw pixels, other: {reason}")]

    encoder = keras_ssl.create_backbone("tiny", (8, 8, 3), width=4)
    group = [Representation(Features(encoder, RGB.function), "pretrained")]
    results, left_out = scored(data, other, group=group)
    assert len(results) == 2 and left_out == []


def test_what_is_right_among_all_classes_is_right_among_those_that_occur(tmp_path):
    data = data_of()
    rows = data.test_labels < 2
    few = ImageData("few", *squares(3), data.test_images[rows], data.test_labels[rows])
    paths = [npz(tmp_path / f"{part.name}.npz", part, parts=("test",)) for part in (data, few)]
    results, _ = scored(data, *paths)
    among_all, among_two = [one for one in results if one.task == "shifted linear"]
    assert among_two.protocol["among_classes"] == 2
    among_all, among_two = among_all.correct[:, rows], among_two.correct
    assert (among_two >= among_all).all() and among_two.sum() > among_all.sum()


@pytest.mark.parametrize(
    "own, other, labels",
    [
        (None, None, [1, 2]),
        (("a", "b", "c"), None, [1, 2]),
        (("a", "b", "c"), ("0", "1", "2"), [1, 2]),  # the numbers are no names
        (("a", "b", "c"), ("c", "b", "a"), [1, 0]),
        (("c", "a", "b"), ("a", "b", "c", "d"), [2, 0]),
        (("1", "2", "5"), None, [0, 1]),  # labels with gaps, named by their numbers
        (None, ("0", "2", "1"), [2, 1]),
    ],
)
def test_classes_are_matched_by_name_where_both_sets_have_names(own, other, labels):
    part = ImagePart("other", None, np.array([1, 2]), other)
    np.testing.assert_array_equal(other_data.labels_in(data_of(names=own), part), labels)


def test_classes_that_the_run_has_no_train_image_of_are_refused():
    with pytest.raises(
        UserError, match="'far' has classes that 'npz:own.npz' has no train image of: 7"
    ):
        other_data.labels_in(data_of(), ImagePart("far", None, np.array([1, 7]), None))
    names = ImagePart("far", None, np.array([0, 1]), ("b", "z"))
    with pytest.raises(UserError, match="no train image of: z"):
        other_data.labels_in(data_of(names=("a", "b", "c")), names)


def test_what_cannot_be_scored_is_told_and_the_rest_is_kept(tmp_path):
    data = data_of()
    good = npz(tmp_path / "good.npz", data, parts=("test",))
    bare = npz(tmp_path / "bare.npz", data, parts=("test",), labels=False)
    far = ImageData("far", *squares(3), data.test_images, data.test_labels + 1)
    far = npz(tmp_path / "far.npz", far, parts=("test",))
    results, left_out = scored(data, bare, f"npz:{tmp_path}/gone.npz", far, good)
    assert {one.dataset for one in results} == {good} and len(results) == 2
    for line, words in zip(left_out, ("no labels", "does not exist", "of: 3"), strict=True):
        assert words in line.text and not line.retry


def test_nothing_is_fitted_where_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(fitted, "linear_classifier", None)
    assert scored(data_of()) == ([], [])


def test_memory_that_a_shifted_set_lacked_is_asked_for_again(monkeypatch):
    def lacks(*_, **__):
        raise MemoryError

    other_data._loaded.cache_clear()
    monkeypatch.setattr(other_data, "load_test_part", lacks)
    _, (missing,) = scored(data_of(), "digits")
    assert missing.retry and missing.text.startswith("digits: Out of memory")


# Collections of corrupted sets.


def corrupted_sets(data, monkeypatch, missing=None):
    """Give each member of a collection the test part, upside down from severity 3 on."""
    read = []

    def part(dataset, *_):
        read.append(dataset)
        if dataset == missing:
            raise UserError("It is not there.")
        images = data.test_images[:, ::-1] if int(dataset[-1]) > 2 else data.test_images
        return ImagePart(dataset, images, data.test_labels, data.class_names)

    monkeypatch.setattr(evaluation, "shifted_part", part)
    return read


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_gives_each_severity_and_the_mean_over_all(name, monkeypatch):
    data = data_of()
    read = corrupted_sets(data, monkeypatch)
    results, left_out = scored(data, name)
    assert left_out == [] and read == list(members(name).values()) and len(set(read)) == 75
    for task in ("knn", "linear"):
        each = [one for one in results if one.task == f"severity {task}"]
        assert [one.dataset for one in each] == read and len({one.value for one in each}) > 1
        found = {one.metric: one for one in results if one.task == f"shifted {task}"}
        mean = found["accuracy"]
        assert mean.value == pytest.approx(np.mean([one.value for one in each]))
        assert mean.dataset == name and mean.protocol["corruptions"] == 15
        assert name_of(mean) == f"{task}, {name}"
        assert ("mce" in found) == name.startswith("imagenet")
    table = format_tables(results)
    assert f"knn, {name}" in table and "fog_3" not in table


def test_a_collection_that_lacks_a_set_has_no_mean(monkeypatch):
    data, name = data_of(), "cifar10_corrupted/*"
    read = corrupted_sets(data, monkeypatch, missing="cifar10_corrupted/gaussian_noise_3")
    results, (why, mean) = scored(data, name)
    assert len(read) == 3 and len(results) == 4
    assert mean.text == f"{name}: The mean needs all 75; 2 were read."
    assert {one.task for one in results} == {"severity knn", "severity linear"}
    assert why.text == f"{read[-1]}: It is not there."


def test_names_of_collections_are_for_shifted_sets_alone():
    with pytest.raises(UserError, match="stands for 75 data sets, which evaluation.shifted takes"):
        check_name("cifar10_corrupted/*")
    with pytest.raises(UserError, match="Did you mean 'cifar10_corrupted/\\*'"):
        check_name("cifar10_corupted/*")
    check_mode("evaluate", recipe("evaluation.shifted=cifar10_corrupted/*"), None)
    with pytest.raises(UserError, match="stands for no data sets"):
        check_mode("evaluate", recipe("evaluation.shifted=cifar100/*"), None)


def test_the_sets_of_a_collection_are_those_of_tensorflow_datasets():
    for name in COLLECTIONS:
        known = set(tfds.builder_cls(name.removesuffix("/*")).builder_configs)
        assert {one.split("/")[1] for one in members(name).values()} < known
        assert {corruption for corruption, _ in members(name)} == set(CORRUPTIONS)
    assert set(ALEXNET_ERRORS) == set(CORRUPTIONS)


def test_the_probe_by_gradient_descent_is_scored_on_other_images(tmp_path):
    data = data_of()
    wanted = recipe(
        "evaluation.corrupted_images=20",
        f"evaluation.shifted={npz(tmp_path / 'x.npz', data, parts=('test',))}",
    )
    by = evaluation_of(wanted, Inputs(data, RGB))
    (one,) = group = pixels()
    train, test = map(one.features.extract, (data.train_images, data.test_images))
    regression = probes.linear_classifier(train, data.train_labels)
    weights = np.eye(3, train.shape[1], dtype="float32"), np.zeros(3, "float32")
    by.probes[one.name] = Measurement({}, {"optimizer": "by hand"}, classifier=weights)
    found = {r.task: r for r in shifted.other_images(by, group, train, None)}
    expected = (test[:, :3].argmax(axis=1) == data.test_labels).mean()
    assert found["shifted probe"].value == pytest.approx(100 * expected)
    assert found["shifted probe"].protocol == {"optimizer": "by hand", "among_classes": 3}
    tasks = {"corrupted", "corrupted linear", "corrupted probe"}
    assert tasks | {f"shifted {one}" for one in ("knn", "linear", "probe")} == set(found)
    assert {found[task].protocol["images"] for task in tasks} == {20}
    rows = some_rows(45, 20)
    right = []
    for name, severity in itertools.product(CORRUPTIONS, (1, 2, 3, 4, 5)):
        images = flat(corrupt(data.test_images[rows], name, severity))
        answers = regression.classes[regression.scores(images).argmax(axis=1)]
        right.append(answers == data.test_labels[rows])
    np.testing.assert_array_equal(found["corrupted linear"].correct, right)


# Test parts alone.


def test_a_file_may_have_test_images_alone(tmp_path):
    data = data_of(names=("a", "b", "c"))
    part = load_test_part(npz(tmp_path / "x.npz", data, parts=("test",)), image_size=6)
    assert part.images.shape == (45, 6, 6, 3) and part.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(part.labels, data.test_labels)


def test_of_other_data_it_is_the_test_part_of_the_whole(tmp_path, capsys):
    part = load_test_part(npz(tmp_path / "x.npz", data_of(), parts=("train",)))
    assert f"{len(part.images)} of 60 images are held out" in capsys.readouterr().out
    assert len(load_test_part("digits").images) == 360
    with pytest.raises(UserError, match="x.npz' has no test part"):
        load_test_part(npz(tmp_path / "x.npz", data_of(), parts=("train",), labels=False))


class Shapes(tfds.core.GeneratorBasedBuilder):
    """A small set that TensorFlow Datasets writes, with any splits."""

    VERSION, counts = tfds.core.Version("1.0.0"), {}

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, manager):
        return {split: self._generate_examples(split) for split in self.counts}

    def _generate_examples(self, split):
        for number in range(self.counts[split]):
            image = np.full((9, 12 + number, 3), number + 10 * (split == "train"), "uint8")
            yield number, {"image": image, "label": number % 2}


@pytest.fixture
def read_test(tmp_path, monkeypatch):
    """Function from {split: count} to `load_test_part` of such a set of TensorFlow Datasets."""
    monkeypatch.setenv("KERAS_SSL_CACHE", str(tmp_path / "cache"))

    def read(counts, **settings):
        monkeypatch.setattr(Shapes, "counts", counts)
        made = Shapes(data_dir=str(tmp_path / "-".join(counts)))
        monkeypatch.setattr(tfds, "builder", lambda name, data_dir: made)
        return load_test_part("shapes", log=lambda line: None, **settings)

    return read


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("counts", [{"test": 4}, {"validation": 4}, {"train": 6, "test": 4}])
def test_a_set_may_have_a_test_split_alone(read_test, counts, in_memory):
    part = read_test(counts, image_size=8, in_memory=in_memory)
    levels = part.images[:][:, 0, 0, 0]
    assert part.images.shape == (4, 8, 8, 3) and sorted(levels) == [0, 1, 2, 3]
    np.testing.assert_array_equal(part.labels, levels % 2)
    assert part.class_names == ("a", "b")


def test_blocks_of_encoded_images_stay_encoded_until_they_are_read(read_test, monkeypatch):
    class Watched(Features):
        seen = []

        def size(self, images):
            return len(images) * 192

        @property
        def extract(self):
            def extract(images):
                Watched.seen.append((type(images), len(images)))
                return super(Watched, self).extract(images[:]) + 1  # one of them is black

            return extract

    part, data = read_test({"test": 4}, image_size=8, in_memory=False), data_of()
    monkeypatch.setattr(fitted, "_HELD", 2 * 192)
    train, one = data.train_images.reshape(60, -1) / np.float32(255), Watched(lambda x: x)
    (one,) = [Representation(one, "pretrained")]
    monkeypatch.setattr(Features, "extract", property(lambda self: flat))
    wanted = recipe().evaluation
    by = fitted.Classifiers(one, one.rows(train), data.train_labels, None, wanted)
    results = list(shifted.shifted(Evaluation(data, wanted, shifted_part=lambda _: part), [by], ""))
    assert Watched.seen == [(EncodedImages, 2), (EncodedImages, 2)]
    assert results and all(one.correct.shape == (1, 4) for one in results)


def test_a_test_split_alone_chooses_its_own_size(read_test):
    assert read_test({"test": 4}).images.shape == (4, 32, 32, 3)


def test_a_set_without_a_split_to_evaluate_on_is_refused_with_what_it_has(read_test):
    with pytest.raises(UserError, match="'shapes' has no split 'test' or 'validation': train"):
        read_test({"train": 4})


def chosen_probe(kept=True):
    """The results of a shifted set that is the test part, at the tau_d that was chosen."""
    data, wanted = data_of(), recipe(method="sem_simclr")
    settings = {"evaluation.probe": "sem_sgd", "evaluation.probe_epochs": 2}
    settings |= {"evaluation.temperatures": (0.5,), "evaluation.shifted": ("same",)}
    wanted = wanted.with_(settings, origin="a test")
    group = trained(sem_encoder(), wanted, RGB.function)[1:]
    parts = [group[0].features.extract(x) for x in (data.train_images, data.test_images)]
    by = evaluation_of(wanted, Inputs(data, RGB))
    same = ImagePart("same", data.test_images, data.test_labels, data.class_names)
    by = dataclasses.replace(by, shifted_part=lambda _: same)
    first = list(gradient_probe(by, group, *parts))
    if not kept:
        lost = {k: dataclasses.replace(v, classifier=None) for k, v in by.probes.items()}
        by.probes.update(lost)
    return first, list(shifted.other_images(by, group, parts[0], None)), by.left_out


def test_the_temperature_that_was_chosen_is_scored_on_other_images():
    own, results, left_out = chosen_probe()
    assert left_out == []
    assert [(one.task, one.tau) for one in results] == [
        *(("shifted knn", 0.5), ("shifted linear", 0.5), ("shifted probe", 0.5)),
        ("shifted probe", None),
    ]
    for tau, shown in ((0.5, results[-2]), (None, results[-1])):
        (expected,) = (r for r in own if (r.tau, r.metric) == (tau, "accuracy"))
        np.testing.assert_array_equal(shown.correct, expected.correct)
    assert results[-1].readout == "simplices"
    assert results[-1].protocol["temperatures"] == [0.01, 0.1, 1.0]


def test_a_classifier_that_was_too_large_to_keep_is_told():
    _, results, left_out = chosen_probe(kept=False)
    assert [one.task for one in results] == ["shifted knn", "shifted linear"]
    assert [one.text.split(", probe")[0] for one in left_out] == [
        *("pretrained, SEM tau_d=0.5", "pretrained, SEM tau_d chosen"),
    ]
    assert all("set a larger evaluation.memory" in one.text for one in left_out)
