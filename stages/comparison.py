"""Several runs on one page: composed of what they left, with nothing read anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras_ssl
from keras_ssl.analysis.sections import Table
from keras_ssl.config import Catalog, load
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import METRICS, WARNINGS, json_lines
from keras_ssl.evaluation.compare import compared_cells, load_run
from keras_ssl.report import Report, training_section, write_comparison
from stages.analysis.analyze import read_analysis
from stages.describe import read_description
from stages.report import drawn_by, is_bad, set_by_hand, time_of, verdict_of, without_verdict


def compare(folders: Sequence[str], path: str | Path, catalog: Catalog):
    """Write a page of several runs next to each other; of what they left, nothing is read anew.

    Args:
        folders: directories of the runs.
        path: of the page.
        catalog: what there is to choose from.

    Raises:
        UserError: for a folder without a run, or a damaged file in it.
    """
    names = names_of(folders)
    reports = {
        name: report_of_folder(Path(folder), catalog)
        for name, folder in zip(names, folders, strict=True)
    }
    write_comparison(path, reports, compared_tables(dict(zip(names, folders, strict=True))))
    print(f"\nWrote {path}: these runs on one page.")


def names_of(folders: Sequence[str]) -> list[str]:
    """What to call runs on a page: the ends of their paths, as much as tells them apart."""
    parts = [Path(folder).resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"Comparing takes different runs. Received {', '.join(folders)}.")


def report_of_folder(workdir: Path, catalog: Catalog) -> Report:
    """What the page of a run says, as far as its files say it: without images."""
    recipe = load(workdir, catalog)
    log = json_lines(workdir / METRICS)
    terms = getattr(keras_ssl.METHODS[recipe.base_name], "terms", ())
    terms = terms if isinstance(terms, tuple) else ()
    sections = read_analysis(workdir)
    warnings = json_lines(workdir / WARNINGS)
    training = training_section(log, terms, warnings, drawn_by(sections))
    lines = {"method": recipe.name, "data": recipe.data.dataset} | read_description(workdir)
    lines.pop("results", None)  # where it was then
    facts = {"Run": lines, "Cost": time_of(log), "Settings": set_by_hand(recipe)}
    shown = [*([training] if training else []), *without_verdict(sections)]
    bad = is_bad(sections)
    return Report(recipe.name, verdict_of(sections), facts, sections=shown, alarm=bad)


def compared_tables(folders: Mapping[str, str]) -> list[Table]:
    """The results of runs next to each other; a sentence where nothing can be compared."""
    title = "Accuracy in percent"
    try:
        runs = [load_run(folder, name) for name, folder in folders.items()]
        lines, note, left_out = compared_cells(runs)
    except UserError as error:
        return [Table(title, ("run",), (), str(error))]
    note = " ".join([note, *left_out])
    rows = [[cell.replace(" (", "\n(") for cell in line] for line in lines[1:]]
    return [Table(title, tuple(lines[0]), tuple(map(tuple, rows)), note)]
