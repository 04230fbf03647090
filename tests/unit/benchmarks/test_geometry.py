"""The table and the picture of runs with linear projectors."""

import json

import numpy as np

from benchmarks import geometry
from keras_ssl.analysis import Plot, Section
from stages.analysis.analyze import write_analysis


def write_run(folder, values):
    folder.mkdir()
    lines = [{"epoch": e, "singular_values": v} for e, v in enumerate(values)]
    log = [{"epoch": e, "knn": 40.0 + e, "linear": 50.0} for e in range(1, len(values))]
    for name, rows in (("projector.jsonl", lines), ("metrics.jsonl", log)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = {"after training": {"edges": np.linspace(0, 2, 3), "counts": [1, 2]}}
    plot = Plot("negative_distances", "", "histogram", counts)
    share = {"before training": 0.5, "after training": 0.25}
    write_analysis(folder, [Section("geometry", "", (), {"unexplained": share}, (), (plot,))], [])
    return folder


def test_runs_are_listed_by_their_start_and_end(tmp_path):
    run = write_run(tmp_path / "large", [[1.0, 1.0, 1.0], [2.0, 0.3, 0.1]])
    table = geometry.format_table([run])
    assert "| rank of W: RankMe | 3 -> 1.7" in table
    assert "| rank of W: values of at least 0.2 of the largest | 3 -> 1 |" in table
    assert "| knn, % | 41.0 |" in table and "50 -> 25" in table


def test_the_picture_of_two_runs_is_written(tmp_path):
    values = [[2.0, 1.0], [2.0, 0.5], [2.0, 0.1]]
    runs = [write_run(tmp_path / name, values) for name in ("small", "large")]
    geometry.draw(runs, tmp_path / "picture.svg")
    picture = (tmp_path / "picture.svg").read_text()
    assert "small" in picture and "before training" in picture
