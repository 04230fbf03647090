"""Everything that is looked at in a run, written as `analysis.json` and `report.html`."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from keras_ssl.analysis.sections import Section, section_from_plain, section_to_plain
from keras_ssl.analysis.verdict import verdict_words
from keras_ssl.config import Recipe
from keras_ssl.core.errors import UserError
from keras_ssl.core.files import ANALYSIS, write_text
from keras_ssl.evaluation.feature_cache import scratch_in
from keras_ssl.evaluation.results import to_json
from keras_ssl.ops.precision import full_float32
from stages.analysis import (
    bound,
    codes,
    collapse,
    geometry,
    information,
    pictures,
    semantics,
    simplices,
)
from stages.analysis.subject import Subject
from stages.evaluation import evaluation_memory, float32_method
from stages.inputs import Inputs
from stages.report import write_run_report

# (what it is, function of a `Subject` -> `Section`, or None where there is nothing to say).
Analysis = tuple[str, Callable[[Subject], Section | None]]
ANALYSES: tuple[Analysis, ...] = (
    ("collapse", collapse.section),
    ("codes of CPLearn", codes.section),
    ("simplices", simplices.section),
    ("features and classes", semantics.section),
    ("the bound of theorem 1", bound.section),
    ("information", information.section),
    ("geometry", geometry.section),
    ("views", pictures.views),
    ("map", pictures.feature_map),
    ("neighbors", pictures.neighbors),
)


@full_float32()
def analyze(
    recipe: Recipe, inputs: Inputs, encoder: keras.Model, workdir: Path, *, brief: bool = False
):
    """Look at a run, print what was found, and write `analysis.json` and `report.html`.

    What cannot be looked at is reported and left out; the rest is written all the same.

    Args:
        brief: whether to print the verdict alone, and no further sentences.
    """
    started = time.perf_counter()
    print("Analyzing the run ...", flush=True)
    subject = subject_of(recipe, inputs, encoder, workdir)
    with scratch_in(Path(workdir) / "features"):
        sections, left_out = look_at(subject)
        write_analysis(workdir, sections, left_out)
        page = write_run_report(subject, sections, left_out)
    print(format_sections(sections, left_out, brief=brief))
    seconds = time.perf_counter() - started
    print(f"Wrote {page} and {Path(workdir) / ANALYSIS} in {seconds:.0f} s.")


def format_sections(sections: list[Section], left_out: list[str], *, brief: bool) -> str:
    """What is printed of an analysis: the verdict, or the sentences of every section."""
    told = [(each.title, verdict_words(each) if brief else each.words) for each in sections]
    parts = [
        "\n".join([title, *(f"  {words}" for words in lines)]) for title, lines in told if lines
    ]
    parts += [f"Left out: {text}" for text in left_out]
    return "\n" + "\n\n".join(parts) + "\n"


def subject_of(
    recipe: Recipe, inputs: Inputs, encoder: keras.Model, workdir: str | Path
) -> Subject:
    """What an analysis looks at, with the method of the run where it can be read."""
    try:
        method = float32_method(workdir, encoder)
    except Exception as error:  # a damaged archive raises whatever it likes
        print(f"Projections and clusters are left out: model.keras cannot be read: {error}")
        method = None
    memory = evaluation_memory(recipe) / 2
    return Subject(recipe, inputs, Path(workdir), encoder, method, memory)


def look_at(
    subject: Subject, analyses: Sequence[Analysis] | None = None
) -> tuple[list[Section], list[str]]:
    """Every section that there is of a run, by default of all, and why others are missing."""
    sections, left_out = [], []
    for title, function in ANALYSES if analyses is None else analyses:
        started = time.perf_counter()
        try:
            section = function(subject)
        except UserError as error:
            left_out.append(f"{title}: {error}")
            continue
        except Exception as error:  # of a run that nobody thought of; the others are looked at
            left_out.append(f"{title}: {type(error).__name__}: {error}")
            continue
        if section is not None:
            print(f"  {title}: {time.perf_counter() - started:.1f} s", flush=True)
            sections.append(section)
    return sections, left_out


def write_analysis(workdir: str | Path, sections: list[Section], left_out: list[str]):
    """Write `analysis.json`: what `read_analysis` reads."""
    plain = {"sections": list(map(section_to_plain, sections)), "left_out": left_out}
    write_text(Path(workdir) / ANALYSIS, to_json(plain) + "\n")


def read_analysis(workdir: str | Path) -> list[Section]:
    """The sections of a run without their images; none where it has not been analyzed.

    Raises:
        UserError: if the file is damaged.
    """
    path = Path(workdir) / ANALYSIS
    if not path.exists():
        return []
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return list(map(section_from_plain, plain["sections"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged. Write it anew by --mode=analyze --workdir={workdir}."
        ) from error
