"""The page of several runs, of what they left."""

import json

import pytest

from keras_ssl import config
from keras_ssl.analysis.sections import Plot, Section
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.results import Measurement, write_results
from stages import comparison, request
from stages.analysis.analyze import write_analysis
from tests.unit.report.support import Reader, curve


@pytest.fixture
def runs(tmp_path):
    folders = []
    for name, method in (("first", "simclr"), ("second", "sem_byol")):
        folder = tmp_path / name / "run"
        folder.mkdir(parents=True)
        options = request.parse_flags(["run.py", f"--method={method}", "--epochs=3"])
        config.save(request.recipe_of(options, request.read_catalog()), folder)
        found = Measurement({"accuracy": 97.5}, {"k": 20})
        write_results(folder, found.results("knn", "digits", source="pretrained"), {})
        rows = [{"epoch": epoch, "loss": 3.0 / epoch, "time": epoch} for epoch in (1, 2, 3)]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
        plots = (Plot("spectrum", "Spectrum", "lines", {"features": curve(3, 2, 1)}),)
        said = (f"No collapse of {method} is seen.",)
        write_analysis(folder, [Section("collapse", "Collapse", said, plots=plots)], [])
        folders.append(str(folder))
    return folders


def test_verdicts_curves_and_results_of_all_runs_are_on_the_page(runs, tmp_path, capsys):
    page = tmp_path / "page.html"
    comparison.compare(runs, page, request.read_catalog())
    text = "".join(Reader(page.read_text(encoding="utf-8")).text)
    assert "Comparison of first/run and second/run" in text
    assert text.index("No collapse of simclr") < text.index("No collapse of sem_byol")
    assert "97.5" in text and "sem_byol" in text
    assert Reader(page.read_text(encoding="utf-8")).tags.count("svg") == 2  # loss and spectrum
    assert str(page) in capsys.readouterr().out


def test_runs_without_common_results_are_put_together_all_the_same(runs, tmp_path):
    (tmp_path / "second" / "run" / "results.json").unlink()
    comparison.compare(runs, tmp_path / "page.html", request.read_catalog())
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "no results.json" in page and page.count("<svg") == 2


def test_runs_are_named_by_as_much_of_their_paths_as_tells_them_apart():
    assert comparison.names_of(["runs/a", "runs/b"]) == ["a", "b"]
    assert comparison.names_of(["x/run", "y/run"]) == ["x/run", "y/run"]
    with pytest.raises(UserError, match="different runs"):
        comparison.names_of(["runs/a", "runs/a/"])


def test_a_folder_without_a_run_is_told(tmp_path, runs):
    with pytest.raises(UserError):
        comparison.compare([runs[0], str(tmp_path)], tmp_path / "a", request.read_catalog())
