"""The linear probe by gradient descent of all representations that share their features."""

import dataclasses

import tensorflow as tf

from keras_ssl.core.errors import UserError
from keras_ssl.evaluation.probes.sgd import PROBES, ProbeProtocol, probe_grid
from keras_ssl.evaluation.rows import EVALUATOR_SHARE, VIEWS_SHARE, Rows


def gradient_probe(evaluation, representations, train, test):
    """Train the probes of all representations at once, and choose tau_d on validation images.

    An evaluator, as in `evaluators`: of simplices there is besides a `Result` for each tau_d one
    without a `tau`, that of the temperature in `settings.probe_temperatures` whose probe is best on
    the validation images. It is searched together with learning rate and L1, and retrained on
    everything.

    Reference: Lavoie et al., Simplicial Embeddings, appendix B.2.
    """
    settings = evaluation.settings
    if settings.probe == "none":
        return
    protocol, views, extra = protocol_of(settings), None, {}
    if settings.probe_views == "augmented":
        views, extra = evaluation.augmented(representations[0].features.model)
    among = _candidates(representations, settings.probe_temperatures, protocol)
    every = {one.name: one for one in [*representations, *among]}
    found = _probed(evaluation, list(every.values()), train, test, protocol, views)
    for one in representations:
        yield from _results(evaluation, found[one.name], one, extra)
    if among:
        best = max(among, key=lambda one: found[one.name].details["validation"])
        extra = {**extra, "temperatures": [one.tau for one in among]}
        chosen = dataclasses.replace(best, tau=None)
        yield from _results(evaluation, found[best.name], chosen, extra, tau=best.tau)


def protocol_of(settings) -> ProbeProtocol:
    """The protocol that the section `evaluation` of a recipe asks for.

    Raises:
        UserError: for Nesterov's momentum in a protocol of another optimizer.

    Example:

    >>> from keras_ssl.config.schema import Evaluation as Settings
    >>> protocol_of(Settings(probe="adam", probe_epochs=3)).epochs
    3
    """
    protocol, changes = PROBES[settings.probe], {}
    if settings.probe_epochs is not None:
        changes["epochs"] = settings.probe_epochs
    if settings.probe_nesterov:
        if protocol.optimizer != "sgd":
            raise UserError(
                f"evaluation.probe_nesterov is of SGD. Received probe={settings.probe}, whose "
                f"optimizer is {protocol.optimizer}: take sem_sgd or sem_sgd_imagenet."
            )
        changes |= {"optimizer": "nesterov", "source": protocol.source.split(", with")[0]}
    return dataclasses.replace(protocol, **changes)


def _candidates(representations, temperatures, protocol):
    """The representations among which validation images choose a temperature."""
    above = next((one for one in representations if one.sizes), None)
    if above is None or len(protocol.learning_rates) * len(protocol.l1) == 1:
        return []
    return [
        dataclasses.replace(above, readout="simplices", tau=tau)
        for tau in dict.fromkeys(temperatures)
    ]


def _probed(evaluation, representations, train, test, protocol, views):
    """{name: `Measurement`} of each representation."""
    options = {"protocol": protocol, "views": views}
    share = 1.0 if views is None else 1 - VIEWS_SHARE / EVALUATOR_SHARE
    seeds = tuple(range(evaluation.settings.probe_seeds))
    options |= {"seeds": seeds, "memory": share * evaluation.memory}
    # At temperature 0 the codes are all there is, a byte for each simplex; but of cached features.
    hard = [one for one in representations if views is None and one.tau == 0 and one.sizes]
    others, found = [one for one in representations if one not in hard], {}
    if others:
        options |= {"names": tuple(one.name for one in others), "read": _reading(others)}
        found = probe_grid(*evaluation.labeled(train, test), **options)
    for one in hard:
        codes = [_one_hot(one, part, evaluation.memory / 8) for part in (train, test)]
        options |= {"names": (one.name,), "memory": evaluation.memory * 0.75}
        options.pop("read", None)
        found |= probe_grid(*evaluation.labeled(*codes), **options)
    return found


def _reading(representations):
    """`read` of `probe_grid` for representations above one embedding, which is computed once."""
    first = representations[0]

    def read(features):
        embedding = first.embedding(features)
        return [one.above(embedding) for one in representations]

    return read


def _one_hot(representation, features, memory):
    """The simplices at temperature 0 as `Rows` of their codes."""
    num_simplices, simplex_size = representation.sizes

    def read(codes):
        corners = tf.one_hot(tf.cast(codes, tf.int32), simplex_size)
        return tf.reshape(corners, (-1, num_simplices * simplex_size))

    return Rows(representation.codes(features, memory), read)


def _results(evaluation, measurement, representation, extra, **chosen):
    protocol = {**measurement.protocol, **extra}
    details = {**measurement.details, **chosen}
    measurement = dataclasses.replace(measurement, protocol=protocol, details=details)
    chosen = details if "validation" in details else {}
    evaluation.probes[representation.name] = measurement
    found = evaluation.found(measurement, representation, evaluation.settings.probe)
    return [dataclasses.replace(result, chosen=chosen) for result in found]
