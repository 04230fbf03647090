"""What a data set was made of when a run began, and what has changed since."""

import collections
import dataclasses
import hashlib
import os
from collections.abc import Sequence

import numpy as np

from pipelines.files import in_threads

_NAMED = 3  # of what changed


@dataclasses.dataclass(frozen=True)
class Files:
    """What images were read from.

    Args:
        names: paths of the files; none where images have no names.
        keys: uint64 (N,), `key_of` their contents; `None` where they are read later, so that their
            size and the time of their last change stand for the content.
    """

    names: Sequence[str]
    keys: np.ndarray | None


def key_of(content):
    """A number in [0, 2**64) that any other bytes change; spread evenly.

    Example:

    >>> key_of(b"cat/1.png")
    904424096894533348
    """
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def keys_of(images):
    """`key_of` the pixels of each image: uint64 (N,). `images`: array (N, ...)."""
    contents = (np.ascontiguousarray(image).data.cast("B") for image in images)
    return np.fromiter(map(key_of, contents), np.uint64, len(images))


def fingerprint(data):
    """Arrays by name, a few bytes for each image, that tell whether an `ImageData` has changed.

    Of what is trained on, and of the test part: a validation split has no place in it.
    """
    files = data.files or Files((), None)
    kind, keys = "content", files.keys
    if keys is None and len(files.names):
        kind = "time"
        keys = np.fromiter(in_threads(_stamp, files.names, 16), np.uint64, len(files.names))
    if keys is None:
        parts = [part for part in (data.pretraining_images, data.test_images) if part is not None]
        keys = np.concatenate([keys_of(part) for part in parts])
    labels = [some for some in (data.fitting_labels, data.test_labels) if some is not None]
    return {
        "data": np.array(data.name),
        "kind": np.array(kind),
        "names": np.frombuffer(b"\0".join(map(os.fsencode, files.names)), np.uint8),
        "keys": keys,
        "labels": keys_of(labels),
    }


def _stamp(path):
    try:
        status = os.stat(path)
    except OSError:
        return 0
    return key_of(f"{status.st_size} {status.st_mtime_ns}".encode())


def changes(before, now):
    """What has changed from one fingerprint to another, in words; "" if nothing has."""
    if before["names"].size or now["names"].size:
        gone, new, changed = _by_name(_named(before), _named(now), before["kind"] == now["kind"])
        counts = [(gone, "gone"), (new, "new"), (changed, "changed")]
        words = [f"{len(of)} {verb}{_some(of)}" for of, verb in counts if of]
    else:
        old, here = (collections.Counter(some["keys"].tolist()) for some in (before, now))
        counts = [((old - here).total(), "gone"), ((here - old).total(), "new")]
        words = [f"{count} {verb}" for count, verb in counts if count]
    if words:
        return f"of {len(before['keys'])} images " + ", ".join(words)
    if not np.array_equal(before["labels"], now["labels"]):
        return "the labels, or which images are in the test part"
    return "" if np.array_equal(before["keys"], now["keys"]) else "the order of the images"


def _named(some):
    names = bytes(some["names"]).split(b"\0")
    return dict(zip(names, some["keys"].tolist(), strict=True))


def _by_name(old, here, comparable):
    gone = [name for name in old if name not in here]
    new = [name for name in here if name not in old]
    changed = [name for name in old if comparable and here.get(name, old[name]) != old[name]]
    return gone, new, changed


def _some(names):
    shown = [name.decode("utf-8", "replace") for name in names[:_NAMED]]
    return f" ({', '.join(shown)}{', ...' if len(names) > _NAMED else ''})"
