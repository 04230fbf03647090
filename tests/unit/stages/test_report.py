"""The page of a run."""

from dataclasses import replace

import numpy as np

from keras_ssl.analysis.sections import Plot, Section
from keras_ssl.evaluation.results import Result
from stages import report
from stages.describe import save_description
from tests.unit.report.support import Reader
from tests.unit.stages.analysis.test_subject import subject


def test_the_page_and_the_projector_are_written(tmp_path):
    of = replace(subject("sem_simclr"), workdir=tmp_path)
    verdict = Section("collapse", "Collapse", ("No collapse is seen.",))
    path = report.write_run_report(of, [verdict], ["map: no memory"])
    page = path.read_text(encoding="utf-8")
    text = "".join(Reader(page).text)
    assert text.index("No collapse is seen.") < text.index("Left out: map: no memory")
    assert "sem_simclr on digits" in text and "multiply-adds" in text
    assert (tmp_path / "tensorboard" / "projector_config.pbtxt").exists()


def test_wide_embeddings_are_shown_through_random_projections(tmp_path):
    of = subject("sem_simclr", "--set=analysis.max_width=200")
    assert of.features.shape[1] <= 200 < of.embeddings.shape[1]
    report.write_run_projector(replace(of, workdir=tmp_path))
    config = (tmp_path / "tensorboard" / "projector_config.pbtxt").read_text()
    names = [line.split('"')[1] for line in config.splitlines() if "tensor_name" in line]
    assert names == ["features", "embeddings, 200 random projections"]
    blocks = report._narrow("x", np.tile(of.embeddings, (40, 1)), 200)[1]
    np.testing.assert_array_equal(blocks[:20], blocks[-20:])  # the same in every block
    path = next((tmp_path / "tensorboard" / "projector").glob("embeddings*"))
    assert np.loadtxt(path).shape == (20, 128)


def test_a_run_says_what_it_said_when_it_began(tmp_path):
    of = replace(subject("simclr"), workdir=tmp_path)
    save_description({"device": "a large computer", "memory": "3 GiB"}, tmp_path)
    assert report.facts_of(of)["The machine"] == {"device": "a large computer", "memory": "3 GiB"}


def test_a_pause_between_a_stop_and_a_resume_is_no_training_time():
    times = [*np.arange(10.0), *np.arange(1e6, 1e6 + 10)]
    log = [{"time": time, "images_per_second": 100.0} for time in times]
    assert report.time_of(log)["time"] == "about 20.0 s of training, 1.0 s an epoch"
    assert report.time_of(log)["speed"] == "100 images/s, median over epochs"
    assert report.time_of(log[:1]).keys() == {"speed"} and report.time_of([]) == {}


def test_results_become_tables():
    fields = ("pretrained", None, None, "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    [table] = report.result_tables([Result(*fields)])
    assert table.head == ("representation", "knn") and table.rows == (("pretrained", "97.5"),)


def test_tables_say_what_their_columns_are():
    data = (50.0, "digits", "test")
    few = {"per_class": 10, "subsets": 5}
    tables = report.result_tables(
        [
            Result("pretrained", None, None, "knn", "accuracy", *data, {"k": 20}),
            Result("pretrained", None, None, "few labels", "accuracy", *data, few),
            Result("pretrained", None, None, "k-means", "nmi", *data, {"k": 10}),
        ]
    )
    accuracies, clusters = (table.note for table in tables)
    assert "20 nearest" in accuracies and "over 5 subsets" in accuracies
    assert "linear:" not in accuracies  # there is no such column
    assert "k: how many" in clusters and "nmi, ami, ari" in clusters and "used" not in clusters


def test_a_curve_that_a_section_draws_is_not_drawn_with_the_training():
    curve = {"x": [1, 2], "y": [1.0, 2.0]}
    plot = Plot("terms", "Terms", "lines", {"invariance": curve})
    assert report.drawn_by([Section("codes", "", plots=(plot,))]) == {
        "invariance",
        "matching_prior",
    }
    assert report.drawn_by([Section("codes", ""), Section("other", "", plots=(plot,))]) == set()
