"""Paths of very many files, held as one run of letters."""

import os
from array import array

import numpy as np
import tensorflow as tf


class Paths:
    """A row of paths, each of which takes its letters and 8 bytes.

    Example:

    >>> paths = Paths()
    >>> paths.append("a.png")
    >>> paths.append("b.png")
    >>> len(paths), paths[1]
    (2, 'b.png')
    """

    def __init__(self):
        self._letters, self._starts = bytearray(), array("q", [0])

    def append(self, path):
        """Add a path, a str."""
        self._letters += os.fsencode(path)
        self._starts.append(len(self._letters))

    def extend(self, others):
        """Add those of another row."""
        starts = np.array(others.starts[1:]) + len(self._letters)
        self._letters += others.letters
        self._starts.frombytes(starts.tobytes())

    def __len__(self):
        return len(self._starts) - 1

    def __getitem__(self, row):
        if not 0 <= row < len(self):
            raise IndexError(row)
        start, stop = self._starts[row : row + 2]
        return os.fsdecode(bytes(self._letters[start:stop]))

    @property
    def letters(self):
        """All paths, one behind the other, as bytes."""
        return memoryview(self._letters).toreadonly()

    @property
    def starts(self):
        """Where each path starts in `letters`, and where the last one ends: int64 (N + 1,)."""
        return np.frombuffer(memoryview(self._starts).toreadonly(), np.int64)


class FileStore:
    """Files that are read by their number.

    Args:
        paths: `Paths`.
        state: str that changes when the files do.
    """

    def __init__(self, paths, state):
        self._paths, self.state = paths, state
        with tf.init_scope():
            self._letters = tf.constant(bytes(paths.letters))
            self._starts = tf.constant(paths.starts)

    def read(self, place):
        """Content of a file, scalar string; runs in graphs. `place`: scalar int64 tensor."""
        start, stop = tf.unstack(tf.gather(self._starts, tf.stack([place, place + 1])))
        return tf.io.read_file(tf.strings.substr(self._letters, start, stop - start))

    def stamp_of(self, place):
        """Size of a file and when it last changed, or that it is gone."""
        try:
            found = os.stat(self._paths[place])
        except OSError:
            return "gone;"
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns};"

    def name_of(self, place):
        """Path of a file, in letters that can be printed."""
        return os.fsencode(self._paths[place]).decode("utf-8", "replace")
