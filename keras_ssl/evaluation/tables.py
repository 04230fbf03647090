"""Tables of results: every word that is displayed is made here, from the fields of a `Result`."""

import textwrap
from pathlib import Path

import numpy as np

from keras_ssl.core.constants import DATASET_PREFIXES
from keras_ssl.core.files import write_text
from keras_ssl.evaluation.probes.sgd import PROBES
from keras_ssl.evaluation.published import pairs
from keras_ssl.evaluation.results import read_results

SOURCES = {
    "pixels": "raw pixels",
    "random": "random weights",
    "pretrained": "pretrained",
    "fine-tuned": "pretrained, fine-tuned",
    "scratch": "from scratch",
}
SEVERITY = "severity "  # tasks on the images of one corruption at one severity
CLUSTER_TASKS = ("k-means", "argmax", "codes")
# Tasks that are not displayed by their own names: functions of the protocol and the data set.
_TASKS = {
    "few labels": lambda protocol, _: f"linear, {protocol['per_class']} labels/class",
    "label fraction": lambda protocol, _: f"linear, {100 * protocol['share']:g} % of labels",
    "finetune": lambda protocol, _: _labels_of(**protocol),
    "knn sweep": lambda protocol, _: _knn_name(**protocol),
    "corrupted linear": lambda *_: "linear, corrupted",
    "corrupted probe": lambda *_: "probe, corrupted",
    **{
        f"{where} {by}": lambda _, dataset, by=by: f"{by}, {title_of(dataset)}"
        for where in ("shifted", SEVERITY.strip())
        for by in ("knn", "linear", "probe")
    },
    **{name: lambda protocol, _, name=name: _probe_name(name, **protocol) for name in PROBES},
}


def _probe_name(name, *, temperatures=(), **_):
    among = f", tau_d in {'/'.join(f'{tau:g}' for tau in temperatures)}" if temperatures else ""
    return f"linear, {name}{among}"


def _labels_of(*, share=None, labels_per_class=None, **_):
    return f"{100 * share:g} % of labels" if share else f"{labels_per_class} labels/class"


def _knn_name(*, k, metric, temperature=None, **_):
    return f"knn k={k} {metric if temperature is None else f'T={temperature:g}'}"


def representation_name(source, readout=None, tau=None) -> str:
    """What a table calls a representation, of which these are the fields in a `Result`.

    Example:

    >>> representation_name("pretrained", "simplices", 0.1)
    'pretrained, SEM tau_d=0.1'
    >>> representation_name("pretrained", "simplices")  # on validation images
    'pretrained, SEM tau_d chosen'
    """
    if source in ("pixels", "random") or readout is None:
        return SOURCES[source]
    if readout == "simplices":
        readout = "SEM tau_d chosen" if tau is None else f"SEM tau_d={tau:g}"
    return f"{SOURCES[source]}, {readout}"


def task_name(task, protocol, dataset="") -> str:
    """What a table calls a task under a protocol on a data set.

    Example:

    >>> task_name("few labels", {"per_class": 10})
    'linear, 10 labels/class'
    """
    return _TASKS[task](protocol, dataset) if task in _TASKS else task


def name_of(result) -> str:
    """`task_name` of a `Result`."""
    return task_name(result.task, result.protocol, result.dataset)


def title_of(dataset) -> str:
    """What to call a data set in a heading.

    Example:

    >>> title_of("npz:/data/cifar10.npz"), title_of("imagenet_v2/matched-frequency")
    ('cifar10', 'imagenet_v2/matched-frequency')
    """
    return Path(dataset.partition(":")[2]).stem if dataset.startswith(DATASET_PREFIXES) else dataset


def write_tables(workdir, target=None):
    """Write `results.md`: tables of all that `results.json` has, whenever it was measured.

    Args:
        workdir: directory of the run.
        target: `Target`, what is published for the run, or None.
    """
    results = read_results(workdir).results
    tables = [format_tables(results, markdown=True)]
    tables += [format_published(results, target, markdown=True)] if target else []
    write_text(Path(workdir) / "results.md", "\n\n".join(tables) + "\n")


def format_tables(results, *, markdown=False) -> str:
    """Accuracies, then the k-NN at other settings, then clusters: those that there are.

    Args:
        results: iterable of `Result`; those without a value, or of one of the many severities of
            which the mean is another, are left out.
        markdown: bool. Markdown tables instead of ones for the terminal.
    """
    tables = [
        (markdown_table if markdown else aligned)(lines, texts=texts)
        for _, lines, texts in cells_of(results)
    ]
    return "\n\n".join(tables)


def cells_of(results) -> list[tuple[str, list[list[str]], int]]:
    """The tables of `format_tables` before they are formatted.

    Args:
        results: iterable of `Result`.

    Returns:
        List of (title, lines of cells, how many columns are text).

    Example:

    >>> from keras_ssl.evaluation.results import Result
    >>> result = Result("pixels", None, None, "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    >>> cells_of([result])
    [('Accuracy in percent', [['representation', 'knn'], ['raw pixels', '97.5']], 1)]
    """
    sweep, clusters, others = [], [], []
    for result in results:
        if result.value is not None and not result.task.startswith(SEVERITY):
            is_sweep = result.task == "knn sweep"
            part = clusters if result.task in CLUSTER_TASKS else sweep if is_sweep else others
            part.append(result)
    titles = {"Accuracy in percent": others, "Other settings of the k-NN": sweep}
    tables = [(title, _cells(part), 1) for title, part in titles.items() if part]
    return tables + ([("Clusters", _cluster_cells(clusters), 2)] if clusters else [])


def format_table(results, *, markdown=False) -> str:
    """A line for each representation, a column for each task, percent with one decimal.

    Numbers share a column only if data, split and protocol agree; columns that would otherwise
    look alike carry the protocol's hash. Lines and columns keep the order of the results.

    Args:
        results: iterable of `Result` that have values.
        markdown: bool. A markdown table instead of one for the terminal.

    Example:

    >>> from keras_ssl.evaluation.results import Result
    >>> result = Result("pixels", None, None, "knn", "accuracy", 97.5, "digits", "test", {"k": 20})
    >>> print(format_table([result]))
    representation   knn
    raw pixels      97.5
    """
    lines = _cells(list(results))
    return markdown_table(lines) if markdown else aligned(lines)


def _cells(results):
    columns = columns_of(results)
    cells = {(r.representation, r.column): number(r) for r in results}
    lines = [["representation", *headings(columns.values())]]
    for one in dict.fromkeys(result.representation for result in results):
        lines.append([representation_name(*one), *(cells.get((one, c), "-") for c in columns)])
    return lines


def columns_of(results) -> dict:
    """{column: the first `Result` in it}, in order."""
    columns = {}
    for result in results:
        columns.setdefault(result.column, result)
    return columns


def headings(results) -> list:
    """What to call the columns of some results, one of each; no longer than needed."""
    results = list(results)
    short = [name_of(r) if r.metric == "accuracy" else f"{name_of(r)} {r.metric}" for r in results]
    return [
        name if short.count(name) == 1 else f"{name} {r.dataset}/{r.split} [{r.column[-1]}]"
        for name, r in zip(short, results, strict=True)
    ]


def number(result) -> str:
    """The value with one decimal, and the standard deviation if there is one."""
    return f"{result.value:.1f}" + ("" if result.std is None else f" ±{result.std:.1f}")


def format_clusters(results, *, markdown=False) -> str:
    """A line for each clustering and each representation, a column for each metric.

    `k` is the number of clusters to choose from: only lines of one k can be compared.

    Example:

    >>> from keras_ssl.evaluation.results import Result
    >>> result = Result("pixels", None, None, "k-means", "nmi", 74.0, "digits", "test", {"k": 10})
    >>> print(format_clusters([result]))
    clusters  representation   k   nmi
    k-means   raw pixels      10  74.0
    """
    table = _cluster_cells(list(results))
    return markdown_table(table, texts=2) if markdown else aligned(table, texts=2)


def _cluster_cells(results):
    metrics = list(dict.fromkeys(result.metric for result in results))
    lines, cells = {}, {}
    for r in results:
        line = (r.representation, r.task, r.dataset, r.column[-1])
        k = str(r.protocol.get("k", "-"))
        lines[line] = [r.task, representation_name(*r.representation), k]
        cells[line, r.metric] = f"{r.value:.1f}"
    table = [["clusters", "representation", "k", *metrics]]
    for line, texts in lines.items():
        table.append([*texts, *(cells.get((line, metric), "-") for metric in metrics)])
    return table


def format_published(results, target, *, markdown=False) -> str:
    """A line for each printed number, with the measured one of its kind, and where they differ.

    Args:
        results: iterable of `Result`.
        target: `Target`.
        markdown: bool. A markdown table instead of one for the terminal.

    Example:

    >>> from keras_ssl.core.published import Published
    >>> from keras_ssl.evaluation.published import Target
    >>> from keras_ssl.evaluation.results import Result
    >>> result = Result("pretrained", None, None, "knn", "accuracy", 95.0, "digits", "test", {})
    >>> target = Target((Published("97", "a paper", "knn"),), "digits", ("training.epochs=1000",))
    >>> print(format_published([result], target))
    what  representation  where    measured  published
    knn   pretrained      a paper      95.0         97
    Published for training.epochs=1000, not for this run.
    """
    lines, notes = published_cells(results, target)
    if len(lines) == 1:
        return ""
    table = markdown_table(lines, texts=3) if markdown else aligned(lines, texts=3)
    if markdown:
        return "\n\n".join([table, *notes])
    return "\n".join([table, *(textwrap.fill(note, 100, subsequent_indent="  ") for note in notes)])


def published_cells(results, target) -> tuple[list[list[str]], list[str]]:
    """The table of `format_published` before it is formatted.

    Returns:
        (lines of cells, the first of them the heading; sentences on what differs).

    Example:

    >>> from keras_ssl.core.published import Published
    >>> from keras_ssl.evaluation.published import Target
    >>> target = Target((Published("97", "a paper", "knn"),), "digits")
    >>> published_cells([], target)[0][1]
    ['knn', 'pretrained', 'a paper', '-', '97']
    """
    lines = [["what", "representation", "where", "measured", "published"]]
    for printed, result in pairs(target, results):
        std = f" ±{printed.std}" if printed.std else ""
        readout = printed.readout or ("simplices" if printed.tau is not None else None)
        lines.append(
            [
                _published_name(printed, target),
                representation_name("pretrained", readout, printed.tau),
                printed.place,
                "-" if result is None else number(result),
                f"{printed.value}{std}",
            ]
        )
    notes = []
    if target.differ:
        notes.append(f"Published for {', '.join(target.differ)}, not for this run.")
    if target.measured:
        notes.append(f"Measured with {', '.join(target.measured)}, which this run has otherwise.")
    return lines, notes


def _published_name(printed, target):
    """What a table calls a printed number: its task, its metric and its data set."""
    shots = printed.protocol.get("labels_per_class")
    name = "fine-tuned" if printed.task == "finetune" else None
    name = f"{name}, {shots} labels/class" if shots else name
    name = name or task_name(printed.task, printed.protocol, printed.dataset or target.dataset)
    name = "linear, online" if printed.task == "online" else name
    metric = "" if printed.metric == "accuracy" else f" {printed.metric}"
    of = f", {title_of(printed.dataset)}" if printed.dataset else ""
    return f"{name}{metric}{of}"


def format_transfer(results) -> str:
    """A line for each representation, a column for each data set, and the mean where all are there.

    The mean is over the accuracies; other metrics of a data set follow its accuracy.

    Example:

    >>> from keras_ssl.evaluation.results import Result
    >>> what = ("pixels", None, None, "transfer", "accuracy")
    >>> data = {"a": 40.0, "npz:b.npz": 50.0}
    >>> results = [Result(*what, value, name, "test", {}) for name, value in data.items()]
    >>> print(format_transfer(results))
    representation     a     b  mean
    raw pixels      40.0  50.0  45.0
    """
    results = list(results)
    datasets = list(dict.fromkeys(result.dataset for result in results))
    titles = [title_of(name) for name in datasets]
    columns = {}
    for name, title in zip(datasets, titles, strict=True):
        heading = name if titles.count(title) > 1 else title
        for metric in dict.fromkeys(r.metric for r in results if r.dataset == name):
            columns[name, metric] = heading if metric == "accuracy" else f"{heading} {metric}"
    lines = [["representation", *columns.values(), "mean"]]
    for one in dict.fromkeys(result.representation for result in results):
        found = {(r.dataset, r.metric): r.value for r in results if r.representation == one}
        cells = [f"{found[column]:.1f}" if column in found else "-" for column in columns]
        values = [found[name, "accuracy"] for name in datasets if (name, "accuracy") in found]
        mean = f"{np.mean(values):.1f}" if len(values) == len(datasets) else "-"
        lines.append([representation_name(*one), *cells, mean])
    return aligned(lines)


def aligned(lines, *, texts=1) -> str:
    """Lines of cells for the terminal: the first `texts` columns to the left, others to the right.

    Example:

    >>> print(aligned([["run", "knn"], ["a", "98.6"]]))
    run   knn
    a    98.6
    """
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(lines, *, texts=1) -> str:
    """Lines of cells as a markdown table, the first of them its heading; as `aligned`."""
    rule = ["---"] * texts + ["---:"] * (len(lines[0]) - texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
