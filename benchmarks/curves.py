"""Print how runs went: k-NN accuracy and loss over the epochs, as one markdown table.

python -m benchmarks.curves runs/simclr-cifar10-1 runs/byol-cifar10-1
"""

import json
import sys
from pathlib import Path

from benchmarks.common import table


def read(workdir):
    """{epoch: values} of the epochs at which k-NN was measured."""
    lines = (Path(workdir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["epoch"]: line for line in map(json.loads, lines) if "knn" in line}


def format_table(workdirs):
    """A row per epoch, a column per run."""
    runs = {Path(workdir).name: read(workdir) for workdir in workdirs}
    epochs = sorted({epoch for run in runs.values() for epoch in run})
    rows = []
    for epoch in epochs:
        values = [run.get(epoch, {}).get("knn") for run in runs.values()]
        rows.append([str(epoch), *("" if v is None else f"{v:.1f}" for v in values)])
    return table(["epoch", *runs], rows)


if __name__ == "__main__":
    print(format_table(sys.argv[1:]))
