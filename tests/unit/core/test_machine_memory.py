"""How much memory a process may use: built in, or what its control groups leave."""

import os

import pytest

from keras_ssl.core.detection import machine_memory

BUILT_IN = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
LIMIT = 2**20


def system(root, groups, limits):
    """A folder with the files that Linux shows a process."""
    for name, text in {"proc/self/cgroup": groups, **limits}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/\n", {"memory.max": f"{LIMIT}\n"}),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": f"{LIMIT}\n"}),
        ("0::/of/the/host\n", {"memory.max": f"{LIMIT}\n"}),
        ("0::/a\n", {"a/memory.max": f"{LIMIT}\n", "memory.max": f"{2 * LIMIT}\n"}),
        ("5:cpu:/x\n4:memory:/a\n", {"memory/a/memory.limit_in_bytes": f"{LIMIT}\n"}),
        ("4:cpu,memory:/of/the/host\n", {"memory/memory.limit_in_bytes": f"{LIMIT}\n"}),
    ],
    ids=["version 2", "a group above", "a container", "the smallest", "version 1", "mounted root"],
)
def test_a_control_group_limits_the_memory(groups, limits, tmp_path):
    files = {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}
    assert machine_memory(system(tmp_path, groups, files)) == LIMIT


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n"])
def test_without_a_limit_all_that_is_built_in_may_be_used(limit, tmp_path):
    files = {"sys/fs/cgroup/memory.max": limit}
    assert machine_memory(system(tmp_path, "0::/\n", files)) == BUILT_IN


def test_a_system_without_control_groups_has_what_is_built_in(tmp_path):
    assert machine_memory(tmp_path) == BUILT_IN


def test_the_memory_is_not_known_where_the_system_does_not_say(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert machine_memory(tmp_path) is None
