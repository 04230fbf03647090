"""Builders of TensorFlow Datasets: found by name, prepared without waiting for ever."""

import contextlib
import functools
import urllib.parse

from pipelines.data.names import EMBEDDED, SUBSETS
from pipelines.errors import DataError, did_you_mean

_RETRIES = 2
_SECONDS = (5, 60)  # for a connection, and until an answer goes on


def find(name, data_dir=None):
    """The builder of a TensorFlow Datasets set.

    Raises:
        DataError: if there is none of that name.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"'{name}' would come from TensorFlow Datasets, which cannot be imported ({error}). "
            "Install it: pip install tensorflow-datasets."
        ) from error
    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS raises what its many builders raise
        known = tfds.list_builders(with_community_datasets=False)
        if name.split("/")[0].split(":")[0] in known:
            what = _first_line(error)
            raise DataError(
                f"'{name}' is not to be had from TensorFlow Datasets: {what}"
            ) from error
        suggestion = did_you_mean(name, [EMBEDDED, *SUBSETS, *known])
        raise DataError(
            f"Unknown data set '{name}'.{suggestion} Use digits, npz:PATH, folder:PATH, "
            "tfrecord:PATTERN or a name of TensorFlow Datasets."
        ) from error


def prepare(builder, name):
    """Download and prepare a set, unless it lies prepared on this machine.

    Raises:
        DataError: if that fails; where a host does not answer, within seconds.
    """
    try:
        with _impatience():
            builder.download_and_prepare()
    except Exception as error:  # network, disk, checksums, manual downloads
        raise DataError(
            f"'{name}' could not be downloaded and prepared: {_reason(error)}\n"
            "Prepare it where there is a network and give its folder as data_dir, or use npz:, "
            "folder: or tfrecord:."
        ) from error


@contextlib.contextmanager
def _impatience():
    """Let TensorFlow Datasets give up soon on hosts that do not answer.

    By itself it tries eleven times with pauses of up to minutes, and waits for a silent host for
    ever; it has no setting for either. Proxies stay those of the environment.
    """
    import requests
    from tensorflow_datasets.core.download import downloader

    request, retries = requests.Session.request, getattr(downloader, "MAX_RETRIES", None)
    requests.Session.request = functools.partialmethod(request, timeout=_SECONDS)
    downloader.MAX_RETRIES = _RETRIES
    try:
        yield
    finally:
        requests.Session.request, downloader.MAX_RETRIES = request, retries


def _reason(error):
    import requests

    if isinstance(error, (requests.ConnectionError, requests.Timeout)) and error.request:
        return f"no answer from {urllib.parse.urlsplit(error.request.url).hostname}."
    return _first_line(error)


def _first_line(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no details'}"
