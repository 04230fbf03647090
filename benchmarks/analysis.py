"""Time and memory of the analysis of a run, section by section.

    python -m benchmarks.analysis RUN [--set analysis.images=5000 ...]

Analyzes a run as `--mode=analyze` does and writes its `report.html` anew. Seconds are those of the
clock. MiB are the most that the process held in memory up to the end of a section, above what
it held with the run opened: the first section reads the features, of which all others make use.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.common import parse, resident_memory, table


def main():
    """Print a table: a line for each section, the page, and all together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--set", action="append", default=[], metavar="section.field=value")
    options = parse(parser)
    rows = measure(Path(options.run), [f"--set={setting}" for setting in options.set])
    print(table(["section", "s", "MiB, most so far"], rows))


def measure(workdir, flags):
    """[[name, seconds, MiB]] of the sections of a run."""
    from keras_ssl.evaluation.feature_cache import scratch_in
    from keras_ssl.ops.precision import full_float32
    from stages import request
    from stages.analysis.analyze import ANALYSES, look_at, subject_of
    from stages.commands import open_run
    from stages.report import write_run_report

    argv = ["run.py", "--mode=analyze", f"--workdir={workdir}", *flags]
    recipe = request.recipe_of(request.parse_flags(argv), request.read_catalog())
    run = open_run(workdir, recipe)
    before, started = resident_memory(), time.perf_counter()
    subject = subject_of(recipe, run.inputs, run.encoder, workdir)
    rows, sections = [], []

    def add(name, since):
        most = (resident_memory(peak=True) - before) / 2**20
        rows.append([name, f"{time.perf_counter() - since:.1f}", f"{most:,.0f}"])

    with full_float32(), scratch_in(workdir / "features"):
        for analysis in ANALYSES:
            since = time.perf_counter()
            found, left_out = look_at(subject, [analysis])
            sections += found
            add(analysis[0] + (" (left out)" if left_out else ""), since)
        since = time.perf_counter()
        page = write_run_report(subject, sections)
        add(f"{page.name}, {page.stat().st_size / 2**20:.1f} MiB", since)
    add("all", started)
    return rows


if __name__ == "__main__":
    sys.exit(main())
