"""The programs that compare methods: what they ask for, and what they make of what came out."""

import functools
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from benchmarks import (
    augmentation,
    codes,
    collapse,
    common,
    evaluators,
    fit,
    information,
    methods,
    parity,
    seeds,
    serving,
    train_step,
    verdicts,
)
from keras_ssl import config
from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.results import Result, write_results
from stages.request import read_catalog

BENCHED = augmentation.COLUMNS
NEUTRAL = "none, only normalized"
EVALUATED = "--set=evaluation.clusters=true"
catalog = functools.cache(read_catalog)


def options(workdir, *rest, dataset="digits"):
    return types.SimpleNamespace(workdir=workdir, dataset=dataset, rest=list(rest))


def recipe_of(name, *flags):
    return common.new_recipe(f"--method={name}", *flags)


def finished(workdir, *flags):
    """A run of which nothing is left but its recipe and its results."""
    config.save(recipe_of("simclr", *flags), workdir / "simclr")
    (workdir / "simclr" / "results.json").write_text("{}")


def test_a_finished_run_is_not_repeated(tmp_path):
    finished(tmp_path, "--epochs=7")
    assert common.train("simclr", options(tmp_path, "--epochs=7"))


@pytest.mark.parametrize(
    "made, asked, what",
    [
        (["--epochs=7"], ["--epochs=8"], "training.epochs=7, not 8"),
        (["--epochs=7"], [], "training.epochs=7"),  # nor less than it was made with
        ([], ["--set", "optimizer.weight_decay=0.5"], "optimizer.weight_decay=.*, not 0.5"),
        ([], ["--dataset=npz:other.npz"], "data.dataset=digits"),
    ],
)
def test_a_run_of_another_recipe_is_refused(made, asked, what, tmp_path):
    finished(tmp_path, "--recipe=digits", *made)
    with pytest.raises(UserError, match=what):
        common.train("simclr", options(tmp_path, "--recipe=digits", *asked))


def test_a_precision_that_the_hardware_chose_is_no_other_recipe(tmp_path):
    finished(tmp_path, "--precision=mixed_bfloat16")
    common.check_recipe(tmp_path / "simclr", ["--method=simclr"])
    with pytest.raises(UserError, match="training.precision"):
        common.check_recipe(tmp_path / "simclr", ["--method=simclr", "--precision=float32"])


def test_what_was_not_measured_is_an_empty_cell():
    summary = {
        "labels per class": 5,
        "rank": 3.25,
        "seconds": None,
        "parameters": 2_000_000,
        "rows": {"random": {"knn": 10.0}, "pretrained": {"knn": 20.0, "few labels": 30.0}},
    }
    heading, *_, untrained, trained = methods.format_table(["byol"], [summary]).splitlines()
    assert untrained == "| random weights | 10.0 |  |  |  |  |  |"
    assert trained == "| `byol` | 20.0 |  | 30.0 | 3.2 |  | 2.00 M |"
    assert heading.startswith("| method | k-NN | linear | 5 labels |")


@pytest.mark.parametrize("dataset", ["digits", "npz:images.npz"])
@pytest.mark.parametrize("name", collapse.CLAIMS)
def test_every_setting_of_a_claim_fits_every_recipe(name, dataset, tmp_path):
    for setting in collapse.CLAIMS[name].settings:
        where = collapse.options_of(name, setting, 0, options(tmp_path, dataset=dataset))
        recipe = recipe_of(name, f"--dataset={dataset}", *where.rest)
        for key, value in collapse.CLAIMS[name].settings[setting].items():
            assert recipe.settings[key][1] == "--set", (key, value)


@pytest.mark.parametrize("family", ["digits", "small", "imagenet"])
def test_byol_without_predictor_asks_for_no_learning_rate_of_it(family):
    overrides = [config.parse_set(f"{key}={value}") for key, value in collapse.NO_PREDICTOR.items()]
    recipe = config.resolve(read_catalog(), "byol", overrides, family)
    assert recipe.method["use_predictor"] is False
    assert recipe.optimizer.options["constant_lr_layers"] == ()
    assert recipe.optimizer.constant_lr is None


def test_a_measurement_is_made_once_and_kept(tmp_path):
    path = tmp_path / "collapse.json"
    measurements = iter([{"classes": 10}])
    assert common.kept(path, lambda: next(measurements)) == {"classes": 10}
    assert common.kept(path, lambda: next(measurements)) == json.loads(path.read_text())


def test_a_measurement_of_an_earlier_version_is_made_again(tmp_path):
    (tmp_path / "methods.json").write_text('{"rows": {"random weights": {"knn": 10.0}}}')
    found = {"rows": {"random": {"knn": 20.0}, "pretrained": {}}}
    again = common.kept(tmp_path / "methods.json", lambda: found, methods.has_accuracies)
    assert again == found == json.loads((tmp_path / "methods.json").read_text())


def test_accuracies_are_those_of_the_data_and_settings_of_the_run():
    recipe = recipe_of("simclr", "--dataset=digits", "--set=evaluation.labels_per_class=5")
    own = [("knn", 50.0, {}), ("linear", 60.0, {}), ("few labels", 40.0, {"per_class": 5})]
    other = [("few labels", 2.0, {"per_class": 10})]
    results = [
        Result("pretrained", None, None, task, "accuracy", value, dataset, "test", protocol)
        for dataset, rows in (("digits", own + other), ("npz:other.npz", own[:1]))
        for task, value, protocol in rows
    ]
    expected = {"knn": 50.0, "linear": 60.0, "few labels": 40.0}
    assert common.accuracies_of(results, "pretrained", recipe) == expected
    assert common.accuracies_of(results, "random", recipe) == {}
    with pytest.raises(UserError, match="two accuracies of the task 'linear' on 'digits'"):
        common.accuracies_of([*results, results[1]], "pretrained", recipe)


def test_speed_of_the_stream_is_a_share_of_the_constant_batch():
    measured = {"stream": [(90.0, 0.1), (96.0, 0.2), (80.0, 0.3)], "constant": [(100.0, 0.0)] * 3}
    _, _, stream, constant, _, last = fit.format_table(measured).splitlines()
    assert stream == "| stream | 90 | 80 to 96 | 20.0% |"
    assert constant == "| constant | 100 | 100 to 100 | 0.0% |"
    assert last == "The stream has 90.0% of the constant batch."


def test_a_stream_is_timed_after_its_first_batches():
    asked = []

    def batches():
        for number in range(10**6):
            asked.append(number)
            yield number

    found = common.stream_speed(batches, 0.01, views=8, bytes_of=lambda batch: 4)
    assert found["bytes"] == 4
    assert 0 < found["views"] <= 8 * len(asked) / 0.01
    assert found["memory"] is None or found["memory"] >= 0


def test_requests_are_timed_by_turns_after_two_rounds_that_do_not_count():
    order = []
    times = serving.seconds([lambda: order.append("live"), lambda: order.append("exported")], 3)
    assert order == 5 * ["live", "exported"]
    assert times.shape == (2, 3) and (times > 0).all()
    assert serving.cells(8, [0.002, 0.004, 0.004]) == ["4.00", "4.00", "2,000"]


def test_a_peer_that_is_not_installed_has_a_row_that_says_so():
    clock = {column: {"views": 1234.5, "bytes": 2**20, "memory": None} for column in BENCHED}
    rows = {"ours": clock, "torchvision": None}
    *_, ours, peer = augmentation.speed_table(rows).splitlines()
    assert ours.startswith("| ours | 1,23") and peer.count("not installed") == len(BENCHED)
    *_, batch, ours = augmentation.memory_table(rows).splitlines()
    assert batch.startswith("| one batch | 1 |") and ours == "| ours |" + 5 * "  |"


def test_operators_are_timed_alone():
    cases = augmentation.operator_cases(224, Path("images"))
    assert json.loads(json.dumps(cases)).keys() == augmentation.OPERATORS.keys()
    for name, fields in augmentation.OPERATORS.items():
        for view in cases[name]["policy"]:
            active = {key for key in view if view[key] != cases[NEUTRAL]["policy"][0][key]}
            assert active <= fields.keys(), name
            assert active or name == NEUTRAL


@pytest.mark.parametrize("dataset", ["", "digits"])
def test_the_images_of_the_speed_table_are_colours_of_the_asked_size(dataset):
    images = augmentation.images_of(dataset, 3, (10, 12))
    assert images.shape == (3, 10, 12, 3) and images.dtype == "uint8"
    assert (images == augmentation.images_of(dataset, 3, (10, 12))).all()
    assert images.std() > 10


def seeded(workdir, name, seed, *flags, k=20, random=30.0, **values):
    """A run with a recipe and the k-NN of its representations, raw pixels among them."""
    where = workdir / f"{name}-{seed}{''.join(flags)}"
    config.save(recipe_of(name, f"--seed={seed}", *flags), where)
    fields = {
        "pixels": ("pixels", None, None),
        "random": ("random", "backbone", None),
        "pretrained": ("pretrained", None, None),
        "backbone": ("pretrained", "backbone", None),
        "simplices": ("pretrained", "simplices", 1.0),
    }
    values = {fields[of]: v for of, v in {"pixels": 40.0, "random": random, **values}.items()}
    results = [
        Result(*of, "knn", "accuracy", value, "digits", "test", {"k": k})
        for of, value in values.items()
    ]
    write_results(where, results, {})
    return seeds.read(where, catalog())


def test_runs_that_differ_in_their_seed_only_are_one_row(tmp_path):
    runs = [
        seeded(tmp_path, "byol", seed, random=29.0 + seed, pretrained=value)
        for seed, value in ((0, 50.0), (1, 52.0), (2, 54.0))
    ]
    again = seeded(tmp_path, "simclr", 0, random=29.0, pretrained=60.0)
    text, apart = seeds.table([*runs, again])
    assert text.splitlines() == [
        "| method | representation | knn |",
        "| --- | --- | ---: |",
        "|  | raw pixels | 40.0 |",
        "|  | random weights | 30.0 ± 1.0 (n=3) |",
        "| byol | pretrained | 52.0 ± 2.0 (n=3) |",
        "| simclr | pretrained | 60.0 (n=1) |",
    ]
    assert not apart


def test_runs_of_other_settings_are_another_method_that_names_them(tmp_path):
    runs = [
        seeded(tmp_path, "byol", 0, "--learning_rate=0.1", pretrained=50.0),
        seeded(tmp_path, "byol", 0, "--learning_rate=0.2", pretrained=60.0),
        seeded(tmp_path, "byol", 1, "--learning_rate=0.2", EVALUATED, pretrained=62.0),
    ]
    *_, short, long = seeds.table(runs)[0].splitlines()
    assert short == "| byol (optimizer.learning_rate=0.1) | pretrained | 50.0 (n=1) |"
    assert long == "| byol (optimizer.learning_rate=0.2) | pretrained | 61.0 ± 1.4 (n=2) |"


def test_what_no_network_feels_makes_no_other_method(tmp_path):
    unfelt = ("--set=transfer.strengths=5", "--set=finetune.steps=30", EVALUATED)
    runs = [
        seeded(tmp_path, "byol", seed, *flags, pretrained=50.0)
        for seed, flags in enumerate([(), *((flag,) for flag in unfelt)])
    ]
    assert [len(members) for members in seeds.grouped(runs).values()] == [4]


def test_a_seed_counts_once(tmp_path):
    runs = [seeded(tmp_path / part, "byol", 0, pretrained=50.0) for part in "ab"]
    with pytest.raises(UserError, match="a/byol-0 and .*b/byol-0 are both byol with seed 0"):
        seeds.table(runs)


def test_numbers_of_other_protocols_have_a_column_of_their_own(tmp_path):
    runs = [seeded(tmp_path, "byol", seed, k=k, pretrained=50.0) for seed, k in ((0, 20), (1, 5))]
    text, apart = seeds.table(runs)
    assert text.count("50.0 (n=1)") == 2 and text.count("knn digits/test [") == 2
    assert len(apart) == 1 and apart[0].endswith("k is 20, not 5.")


def test_raw_pixels_that_runs_disagree_on_show_it(tmp_path):
    runs = [seeded(tmp_path, "byol", seed, pretrained=50.0, pixels=40.0 + seed) for seed in (0, 2)]
    assert "| raw pixels | 41.0 ± 1.4 (n=2) |" in seeds.table(runs)[0]


def test_differences_are_paired_by_seed_and_of_the_best_representation(tmp_path):
    sem = [{"backbone": 10.0, "simplices": value} for value in (51.0, 54.0)]
    runs = [seeded(tmp_path, "byol", seed, pretrained=50.0 + seed) for seed in (0, 1, 2)]
    runs += [seeded(tmp_path, "sem_byol", seed, **sem[seed]) for seed in (0, 1)]
    runs.append(seeded(tmp_path, "simclr", 9, pretrained=70.0))
    *_, ours, unpaired = seeds.differences(runs, "byol").splitlines()
    assert ours == "| sem_byol | +2.0 ± 1.4 (n=2), SEM tau_d=1 |"
    assert unpaired == "| simclr | - |"
    with pytest.raises(UserError, match="Unknown method 'bjol'. Did you mean 'byol'"):
        seeds.differences(runs, "bjol")


def test_a_folder_that_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="No run in"):
        seeds.read(tmp_path, catalog())
    config.save(recipe_of("simclr"), tmp_path)
    with pytest.raises(UserError, match="its training has not ended"):
        seeds.read(tmp_path, catalog())


def test_a_train_step_that_fails_leaves_the_others_their_rows(monkeypatch, capsys):
    def build(width, precision):
        if width == 64:
            raise MemoryError("too wide")

    monkeypatch.setattr(train_step, "build", build)
    monkeypatch.setattr(train_step, "measure", lambda *_: [3.0, 1.0, 2.0])
    monkeypatch.setattr(sys, "argv", ["train_step.py", "--widths=64,16"])
    with pytest.raises(SystemExit):
        train_step.main()
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-2:] == [
        "| 64 | float32 | failed |  |",
        "| 16 | float32 | 2 | 1 to 3 |",
    ]
    assert "width 64, float32: MemoryError: too wide" in printed.err


def test_a_row_that_fails_is_named_and_costs_no_other(capsys):
    attempt = common.Attempts()
    assert attempt("halves", lambda x: x / 2, 3) == 1.5
    attempt.finish()  # nothing to say
    assert attempt("zeroth", lambda: 1 / 0) is None
    assert attempt("exit", sys.exit, "ended with status 3") is None
    assert "zeroth: ZeroDivisionError: division by zero" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="Failed: zeroth, exit. The other"):
        attempt.finish()


def test_tables_say_which_rows_failed():
    assert codes.line_of("codes", "ours", None) == "| codes | ours | failed |  |  |  |  |"
    assert codes.line_of("codes", "ours", (128, 97.0, 0.1, 2.0, 30)).count("|") == 8
    lines = fit.format_table({"stream": [None], "constant": [None, (100.0, 0.0)]}).splitlines()
    assert lines[2:] == ["| stream | failed |  |  |", "| constant | 100 | 100 to 100 | 0.0% |"]
    assert parity.format_table({"PNG": None}).endswith("| PNG | failed |  |")
    clock = {column: {"views": 1.0, "bytes": 2**20, "memory": 2**20} for column in BENCHED}
    first = next(iter(BENCHED))
    partly = {"ours": {first: clock[first]}, "peer": {}}
    *_, ours, peer = augmentation.speed_table(partly).splitlines()
    assert ours.count("failed") == len(BENCHED) - 1 and peer.count("failed") == len(BENCHED)
    *_, batch, ours = augmentation.memory_table(partly).splitlines()
    assert batch.startswith("| one batch | 1 |  |") and ours.startswith("| ours | 1 |  |")


def test_a_run_that_cannot_be_measured_costs_no_other_its_line(tmp_path, monkeypatch, capsys):
    def measure(workdir):
        if workdir.name == "byol":
            raise OSError("no model")
        found = {"rank": 1.0, "seconds": None, "parameters": 10**6, "rows": {}}
        return {**found, "labels per class": 10}

    monkeypatch.setattr(methods, "train", lambda *_: True)
    monkeypatch.setattr(methods, "measure", measure)
    monkeypatch.setattr(methods, "kept", lambda path, measured, _: measured())
    flags = ["--dataset=digits", f"--workdir={tmp_path}", "--only=byol,simclr"]
    monkeypatch.setattr(sys, "argv", ["methods.py", *flags])
    with pytest.raises(SystemExit, match="Missing: byol"):
        methods.main()
    printed = capsys.readouterr()
    assert "| `simclr` |" in printed.out and "byol: OSError: no model" in printed.err


def test_a_case_that_aborts_its_process_costs_no_other(tmp_path, monkeypatch):
    program = """import json, os, sys
print("a library says hello")
for name in json.loads(sys.argv[1])["cases"]:
    if name == "b":
        os.abort()
    print(json.dumps({name: {"views": 1.0}}), flush=True)
"""
    (tmp_path / "augmentation_torchvision.py").write_text(program)
    monkeypatch.setattr(augmentation, "HERE", tmp_path)
    options = types.SimpleNamespace(seconds=1, workers=1, peer_python=sys.executable)
    attempt = common.Attempts()
    found = augmentation.measured("torchvision", dict.fromkeys("abc"), options, attempt)
    assert found == dict.fromkeys("ac", {"views": 1.0}) and attempt.failed == ["torchvision, b"]


@pytest.mark.parametrize("compiled", [True, False])
def test_only_missing_operators_of_torchvision_are_declared(compiled, tmp_path):
    """With packages of the form of torch and torchvision, which are not installed for the tests."""
    packages = {
        "torch": """import os, types
class Library:
    def __init__(self, *names): pass
    def define(self, text):
        if os.path.exists(os.path.join(os.path.dirname(__file__), "../torchvision/_C.so")):
            os.abort()  # as two operators of one name do
        defined.append(text.partition("(")[0])
defined = []
library = types.SimpleNamespace(Library=Library)
utils = types.SimpleNamespace(data=types.SimpleNamespace(Dataset=object))
""",
        "torchvision": "import torch\ntransforms = None\nprint(*torch.defined)\n",
        "PIL": "Image = ImageFilter = None\n",
    }
    for name, text in packages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    if compiled:
        (tmp_path / "torchvision" / "_C.so").touch()
    done = subprocess.run(
        [sys.executable, str(augmentation.HERE / "augmentation_torchvision.py"), '{"cases": {}}'],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ([] if compiled else ["nms", "qnms"])


@pytest.mark.parametrize("name, simplices", [("knn", 0), ("knn", 3), ("k-means", 3)])
def test_an_evaluator_is_measured_on_made_features(name, simplices, tmp_path):
    evaluators.write(tmp_path, (60, 20), columns=8, classes=4)
    task = {"folder": tmp_path, "name": name, "simplices": simplices, "simplex_size": 2}
    task |= {"tau": 0.1 if simplices else None, "rows": 40, "epochs": 1, "memory": 0.5}
    found = evaluators.measure(task)
    assert 0 <= found["accuracy"] <= 100 and found["seconds"] > 0 and found["bytes"] >= 0


def test_the_line_through_two_sizes_goes_on_to_imagenet():
    found = [{"accuracy": 50.0, "seconds": s, "bytes": 2**20} for s in (10.0, 20.0)]
    half, whole = evaluators.lines_of("knn", "64", (100_000, 200_000), found)
    assert half[-1] == "" and whole[-1] == "2.1 min"
    assert whole[2:6] == ["200,000", "50.0", "20.0", "1"]
    ((*_, last),) = evaluators.lines_of("k-means", "64", (100_000, 200_000), found[1:])
    assert last == "the same"
    assert evaluators.at_imagenet((1, 2), (5.0, 4.0)) == 4.0


def test_bounds_on_gaussians_are_printed_next_to_the_true_information(capsys):
    information.main(["--information=1", "--pairs=200", "--draws=2", "--steps=0"])
    head, _, row = capsys.readouterr().out.strip().splitlines()[-3:]
    assert head.split(" | ")[1:3] == ["I", "InfoNCE"]
    infonce = float(row.split(" | ")[2].split(" ±")[0])
    assert infonce == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("kind", verdicts.PROVOKED)
@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
def test_what_provokes_a_collapse_are_settings_of_a_recipe(kind, dataset):
    provoked = verdicts.PROVOKED[kind]
    flags = verdicts.flags_of(provoked.settings_on(dataset), seed=3)
    recipe = common.new_recipe(f"--method={provoked.method}", f"--dataset={dataset}", *flags)
    assert recipe.training.seed == 3
    assert all(key in recipe.settings for key in provoked.settings)


def test_a_verdict_is_shown_with_the_evidence_for_what_was_provoked():
    kinds = {
        "representation": "spread 0.9; spread 0.4",
        "cluster": "2 of 9 (collapsed below 3; so)",
    }
    verdict = {"overall": "This run has collapsed: cluster collapse."}
    verdict |= {kind: {"evidence": evidence} for kind, evidence in kinds.items()}
    head = ["npz:data/cifar10.npz", 1, verdict]
    assert verdicts.row("cluster", *head)[-1] == "2 of 9"
    assert verdicts.row("healthy", *head)[1:] == [
        "cifar10.npz",
        1,
        verdict["overall"],
        "spread 0.9",
    ]
