"""Train what is missing of a comparison, and keep what was measured of each run."""

import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def parse(parser):
    """The command line as options of `parser`; what follows `--` is in their `rest`."""
    ours, rest = sys.argv[1:], []
    if "--" in ours:
        ours, rest = ours[: ours.index("--")], ours[ours.index("--") + 1 :]
    options = parser.parse_args(ours)
    options.rest = rest
    return options


def train(name, options):
    """Run the method to its end, or go on with it; -> whether it came to its end.

    Raises:
        UserError: if there is a run already that another recipe made.
    """
    workdir = Path(options.workdir) / name
    asked = [f"--method={name}", f"--dataset={options.dataset}", *options.rest]
    if (workdir / "recipe.json").exists():
        check_recipe(workdir, asked)
        asked = ["--resume"]
    if (workdir / "results.json").exists():
        return True
    command = [sys.executable, str(ROOT / "run.py"), f"--workdir={workdir}", *asked]
    Path(options.workdir).mkdir(parents=True, exist_ok=True)
    print(f"{name}: training, see {workdir}.log", file=sys.stderr, flush=True)
    with open(f"{workdir}.log", "a", encoding="utf-8") as log:
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    if status:
        print(f"{name}: exit status {status}, see {workdir}.log", file=sys.stderr)
    return status == 0


def check_recipe(workdir, flags):
    """Refuse a run whose recipe is not the one that `flags` ask for."""
    import run

    catalog = run.read_catalog()
    asked = run.parse_flags(["run.py", "--mode=pretrain", *flags])
    asked = run.recipe_of(asked, catalog).settings
    made = run.config.load(workdir, catalog).settings
    values = {key: [s.get(key, ("unset",))[0] for s in (made, asked)] for key in {**made, **asked}}
    for key in ("training.precision", "augment.where"):
        if values[key][1] == "auto":  # the hardware chose what the run has
            del values[key]
    other = [f"{key}={has}, not {wish}" for key, (has, wish) in values.items() if has != wish]
    if other:
        raise run.UserError(
            f"The run in '{workdir}' has another recipe: {'; '.join(other)}. Give the options "
            "that it was made with, or another --workdir."
        )


def kept(path, measure):
    """What `measure()` says of a run: read from `path`, or measured once and kept there."""
    from keras_ssl.core.files import write_text

    if not path.exists():
        write_text(path, json.dumps(measure()))
    return json.loads(path.read_text(encoding="utf-8"))


def exit_if_missing(names):
    """End with the names of the runs that did not come to their end, if there are any."""
    if names:
        sys.exit(f"Missing: {', '.join(names)}. Give the command again to go on.")
