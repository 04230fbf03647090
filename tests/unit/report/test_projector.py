"""The files of TensorBoard's projector."""

import numpy as np
import pytest
from PIL import Image

from keras_ssl.report import write_projector
from keras_ssl.report.pictures import row, sprite


@pytest.fixture
def folder(tmp_path):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (7, 6, 9, 3)).astype("uint8")
    tensors = {"features": random.rand(7, 3), "wide": random.rand(7, 300)}
    write_projector(tmp_path, tensors, images, ["a\tb", "<c>", "", 3, 4, 5, 6])
    return tmp_path


def test_the_configuration_names_files_that_are_there(folder):
    text = (folder / "projector_config.pbtxt").read_text()
    for line in text.splitlines():
        if "_path" in line:
            assert (folder / line.split('"')[1]).is_file()
    assert "single_image_dim: 9\n    single_image_dim: 6" in text  # width, then height


def test_there_is_a_row_for_each_image(folder):
    for name, width in (("features", 3), ("wide", 128)):
        tensor = np.loadtxt(folder / "projector" / f"{name}.tsv", delimiter="\t")
        assert tensor.shape == (7, width)
    head, *lines = (folder / "projector" / "metadata.tsv").read_text().splitlines()
    assert head == "class\timage" and len(lines) == 7
    assert all(line.count("\t") == 1 for line in lines)


def test_the_sprite_has_the_images_row_by_row(folder):
    picture = np.asarray(Image.open(folder / "projector" / "sprite.png"))
    assert picture.shape == (3 * 6, 3 * 9, 3)
    images = np.arange(5 * 4).reshape(5, 2, 2, 1).astype("uint8")
    np.testing.assert_array_equal(sprite(images)[2:4, 2:4], images[4])


def test_tensorboard_reads_the_configuration(folder):
    pytest.importorskip("tensorboard")
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    config = ProjectorConfig()
    text_format.Parse((folder / "projector_config.pbtxt").read_text(), config)
    assert [one.tensor_name for one in config.embeddings] == ["features", "wide"]


def test_collapsed_features_and_no_labels_are_written(tmp_path):
    images = np.zeros((4, 2, 2, 1), "uint8")
    write_projector(tmp_path, {"features": np.zeros((4, 200))}, images)
    assert np.loadtxt(tmp_path / "projector/features.tsv").shape == (4, 128)
    assert (tmp_path / "projector/metadata.tsv").read_text().split() == list("0123")


def test_large_images_are_made_smaller_and_none_are_a_white_square():
    large = np.random.RandomState(0).randint(0, 256, (4, 300, 200, 3)).astype("uint8")
    assert row(large).startswith("data:image/jpeg") and len(row(large)) < 40_000
    assert row(np.zeros((0, 8, 8, 1), "uint8")).startswith("data:image/png")
