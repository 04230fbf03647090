"""Say in words whether a run has collapsed, on what evidence, and what usually cures it.

Every bound that a verdict rests on stands in `BOUNDS`, once, and next to it how many clusters must
be in use to tell of an intracluster collapse. They were calibrated on trainings that
were provoked into one kind of collapse or left healthy, with seed 5, on the digits and on CIFAR-10
at 16 pixels (SimSiam without stop-gradient, BYOL without predictor, VICReg and Barlow Twins without
their terms, CPLearn with too large a beta or ten codes), and on healthy ones of 5 epochs of every
method with and without SEM. Runs with other seeds are a fairer test. Each bound lies between the
two, where p is the provoked run nearest to it and h the healthy one:

| measure | p | h |
|---|---|---|
| spread of what is compared | 0.030, SimSiam without stop-gradient | 0.085, DeepCluster |
| standard deviation of what is compared | 0.014, SimMER without weights | 0.39, VICReg |
| spread of features | 0.018, SimSiam without stop-gradient or normalization | 0.17, CPC |
| dimensions | 1, VICReg without covariance | 4, MoCo with SEM |
| evenness of clusters | 0.13, CPLearn at beta 10 | 0.45, Self-Classifier with SEM |
| overlap of clusters | 0.22, CPLearn of 10 codes, views by noise alone | 0.41, CPLearn, 60 epochs |

Weaker provocations with ten codes have overlaps of 0.31 and 0.36 on CIFAR-10 and 0.48 on the
digits. No training was found that kills simplices: their bounds, and that of constant columns,
follow from what they say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from keras_ssl.analysis.collapse import MIN_IMAGES, ClusterUsage, OutputMeasures
from keras_ssl.analysis.sections import Section
from keras_ssl.analysis.spectrum import SHARE
from keras_ssl.analysis.usage import CodeUsage
from keras_ssl.core.cures import Cures, cure_of
from keras_ssl.core.errors import lookup

State = Literal["collapsed", "partly collapsed", "healthy", "cannot tell"]
STATES = get_args(State)  # the worst first
Compares = Literal["directions", "values", "centered", "scores"]  # see `Method.compares`
KINDS = ("representation", "dimensional", "cluster", "intracluster")


@dataclass(frozen=True)
class Bound:
    """A measure below `collapsed`, or at least below `partly`, is a sign of collapse.

    One that grows with a collapse (`grows`) is a sign from these values on.
    """

    collapsed: float
    partly: float
    grows: bool = False

    def state(self, value: float) -> State:
        beyond = (lambda bound: value >= bound) if self.grows else (lambda bound: value < bound)
        if beyond(self.collapsed):
            return "collapsed"
        return "partly collapsed" if beyond(self.partly) else "healthy"

    def words(self, form: str = "g") -> str:
        """`collapsed below 0.1`."""
        return f"collapsed {'from' if self.grows else 'below'} {self.collapsed:{form}}"


BOUNDS = {
    "images whose output is finite": Bound(0.5, 1.0),
    "spread of what is compared": Bound(0.05, 0.065),
    "standard deviation of what is compared": Bound(0.05, 0.10),
    "spread of features": Bound(0.04, 0.06),
    "constant columns": Bound(1.0, 0.5, grows=True),
    "dimensions": Bound(3, 4),
    "evenness of clusters": Bound(0.30, 0.38),
    "evenness of codes": Bound(0.10, 0.30),
    "simplices of one vertex": Bound(0.5, 0.1, grows=True),
    "overlap of clusters": Bound(0.30, 0.36),
}
# Clusters effectively in use: of fewer, the cluster collapse is what counts; more of them still
# tell images apart, even as points.
FEW_CLUSTERS, MANY_CLUSTERS = 5, 50


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one kind of collapse.

    Attributes:
        kind: "representation", "dimensional", "cluster" or "intracluster".
        state: "collapsed", "partly collapsed", "healthy" or "cannot tell".
        evidence: sentences with a number and its bound, the decisive one first.
        cure: what usually helps, in settings of the run; "" where nothing has collapsed.

    Example:

    >>> print(Verdict("cluster", "healthy", ("26 of 128 clusters are in use",), ""))
    Cluster: healthy. 26 of 128 clusters are in use.
    """

    kind: str
    state: State
    evidence: tuple[str, ...]
    cure: str = ""

    def __str__(self) -> str:
        evidence = "; ".join(self.evidence)
        text = f"{self.kind.capitalize()}: {self.state}. {evidence[:1].upper()}{evidence[1:]}."
        return text + (f" Usual cure: {self.cure}." if self.cure else "")


@dataclass(frozen=True)
class _Finding:
    state: State
    words: str
    cure: str = ""  # a key of the cures, where it is not the kind's own


def diagnose_collapse(
    outputs: Mapping[str, OutputMeasures | None],
    *,
    compares: Compares = "directions",
    asks_for_clusters: bool = True,
    clusters: ClusterUsage | None = None,
    codes: CodeUsage | None = None,
    overlap: float | None = None,
    cures: Cures | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Verdict, ...]:
    """Tell the four kinds of collapse from what has been measured.

    Args:
        outputs: {"features", "embeddings", "projections": measures}; projections are what the loss
            compares, and where they are missing the last of the others takes their place.
        compares: what the loss compares of the projections: "directions", or "values", scale
            included; "centered" where it takes off what all images have in common, which is most
            of them, so that they are not looked at; "scores" of clusters, which are sure of an
            image when all is well (ten clusters of the digits have an overlap of 0.10 after 60
            epochs of GEDI).
        asks_for_clusters: whether the loss asks for the clusters.
        clusters: usage of the method's clusters, or None.
        codes: usage of the simplices' vertices, or None.
        overlap: `cluster_overlap` of the projections in the method's clusters, or None.
        cures: `Method.cures`, which come before those of all methods.
        settings: {setting: value} of the run, for the cures.

    Returns:
        A `Verdict` for each of `KINDS`.

    Raises:
        UserError: for an unknown `compares`.

    Example:

    >>> from keras_ssl.analysis import measure_outputs
    >>> outputs = {"projections": measure_outputs(np.ones((100, 4)), components=())}
    >>> cures = {"representation": (("method.stop_gradient", True),)}
    >>> settings = {"method.stop_gradient": False}
    >>> verdict = diagnose_collapse(outputs, cures=cures, settings=settings)[0]
    >>> verdict.state, verdict.cure
    ('collapsed', '--set method.stop_gradient=true')
    """
    lookup(dict.fromkeys(get_args(Compares)), compares, "value of compares")
    if compares == "centered" and len(outputs) > 1:
        outputs = {name: each for name, each in outputs.items() if name != "projections"}
    compared = list(outputs)[-1]
    constant = _representation({compared: outputs[compared]}, compared, compares)
    flat = constant[0].state == "collapsed"
    unasked = _why_no_clusters(clusters, compares, asks_for_clusters)
    clusters = None if unasked else clusters
    findings = {
        "representation": _representation(outputs, compared, compares),
        "dimensional": [] if flat else _dimensional(outputs, compared),
        "cluster": _cluster(clusters, codes),
        "intracluster": [] if flat else _intracluster(overlap, clusters, compares),
    }
    reasons = {
        "representation": "Nothing has been measured",
        "dimensional": _why_not(flat, "Too few images or columns"),
        "cluster": unasked,
        "intracluster": _why_not(flat, unasked or _FEW),
    }
    cures, settings = cures or {}, settings or {}
    return tuple(_verdict(kind, findings[kind], reasons[kind], cures, settings) for kind in KINDS)


def _verdict(kind, findings, reason, cures, settings):
    if not findings:
        return Verdict(kind, "cannot tell", (reason,))
    findings = sorted(findings, key=lambda finding: STATES.index(finding.state))
    state = findings[0].state
    evidence = tuple(finding.words for finding in findings)
    if state == "healthy":
        return Verdict(kind, state, evidence)
    return Verdict(kind, state, evidence, cure_of(findings[0].cure or kind, cures, settings))


_FEW = f"Fewer than {FEW_CLUSTERS} clusters are effectively in use, or have {MIN_IMAGES} images"


def _why_not(flat, otherwise):
    return "What is compared hardly varies between images, or is not finite" if flat else otherwise


def _why_no_clusters(clusters, compares, asks_for_clusters):
    if clusters is None:
        return "The method puts no image in a cluster (an overlap of k-means proves nothing)"
    if compares == "centered":
        return "The teacher's outputs are centered before they say a cluster, the student's are not"
    return "" if asks_for_clusters else "The loss asks for no clusters"


def _below(value, bound, form):
    """`0.03 (collapsed below 0.1)`."""
    return f"{value:{form}} ({bound.words()})"


def _representation(outputs, compared, compares):
    found = []
    for name, measures in reversed(outputs.items()):
        if measures is None:
            words = f"the {name} of fewer than two images are finite"
            found.append(_Finding("collapsed", words, "not finite"))
            continue
        value, words = measures.std, "spread of directions of the"
        bound = BOUNDS["spread of features"]
        if name == compared and compares == "values":
            value, words = measures.deviation, "standard deviation of the"
            bound = BOUNDS["standard deviation of what is compared"]
        elif name == compared and compares != "centered":
            bound = BOUNDS["spread of what is compared"]
        states = [bound.state(value), BOUNDS["constant columns"].state(measures.constant)]
        states.append(BOUNDS["images whose output is finite"].state(measures.finite))
        text = f"{words} {name} {_below(value, bound, '.3g')}"
        if measures.constant:
            text += f", {measures.constant:.0%} of their columns are constant"
        if measures.finite < 1:
            text += f", {1 - measures.finite:.0%} of the images have none that is finite"
        cure = "not finite" if measures.finite < 1 else ""
        found.append(_Finding(min(states, key=_worse), text, cure))
    return found


def _worse(state):
    return STATES.index(state)


def _dimensional(outputs, compared):
    found = []
    for name, measures in reversed(outputs.items()):
        if measures is None:
            continue
        spectrum, bound = measures.spectrum, BOUNDS["dimensions"]
        if spectrum.ceiling <= bound.partly:  # so few images or columns say nothing
            continue
        dimensions = spectrum.dimensions()
        state = bound.state(dimensions)
        if name != compared and state == "collapsed":
            state = "partly collapsed"
        noun = "dimension" if dimensions == 1 else "dimensions"
        words = (
            f"{100 * SHARE:g} % of the variance of the {name} lies in {dimensions} {noun}, of "
            f"{spectrum.ceiling} that {spectrum.samples:,} images of {spectrum.width:,} columns "
            f"could fill ({bound.words()})"
        )
        found.append(_Finding(state, words))
    return found


def _cluster(clusters, codes):
    found = []
    if clusters is not None:
        bound = BOUNDS["evenness of clusters"]
        words = (
            f"the images use {clusters.effective:.3g} of {len(clusters.counts)} clusters "
            f"effectively ({clusters.empty} are empty), evenness "
            f"{_below(clusters.evenness, bound, '.2f')}"
        )
        found.append(_Finding(bound.state(clusters.evenness), words))
    if codes is not None:
        found.append(_code_finding(codes))
    return found


def _code_finding(codes):
    """Simplices count as dead by their evenness; the run by the median and the share of dead."""
    bound, of_dead = BOUNDS["evenness of codes"], BOUNDS["simplices of one vertex"]
    size = codes.counts.shape[1]
    evenness = np.log(codes.effective) / np.log(size)
    dead = float(np.mean(evenness < bound.collapsed))
    states = bound.state(float(np.median(evenness))), of_dead.state(dead)
    words = (
        f"the simplices use {np.median(codes.effective):.3g} of {size} vertices effectively "
        f"(median; evenness {_below(float(np.median(evenness)), bound, '.2f')}), {dead:.0%} of "
        f"them hardly more than one ({of_dead.words('.0%')})"
    )
    return _Finding(min(states, key=_worse), words, "one-hot codes")


def _intracluster(overlap, clusters, compares):
    if overlap is None or clusters is None or clusters.effective < FEW_CLUSTERS:
        return []
    bound = BOUNDS["overlap of clusters"]
    state = bound.state(overlap)
    words = (
        "the squared distance to the mean of the own cluster is "
        f"{_below(overlap, bound, '.2f')} of that to the nearest other"
    )
    if state == "collapsed" and clusters.effective > MANY_CLUSTERS:
        state = "partly collapsed"
        words += f", but {clusters.effective:.0f} clusters still tell images apart"
    if state == "collapsed" and compares == "scores":
        state = "partly collapsed"
        words += ", as that of sure scores is; look at the features"
    return [_Finding(state, words)]


def overall(verdicts: tuple[Verdict, ...]) -> str:
    """One sentence on all kinds together.

    Example:

    >>> overall((Verdict("cluster", "collapsed", ("one cluster is used",)),))
    'This run has collapsed: cluster collapse.'
    """
    worst = overall_state(verdicts)
    if worst == "healthy":
        return "No collapse is seen."
    if worst == "cannot tell":
        return "Whether this run has collapsed cannot be told."
    kinds = [verdict.kind for verdict in verdicts if verdict.state == worst]
    return f"This run has {worst}: {' and '.join(kinds)} collapse."


def overall_state(verdicts: tuple[Verdict, ...]) -> State:
    """The worst state of all kinds; "cannot tell" only where nothing can be told of any."""
    return min((verdict.state for verdict in verdicts), key=_worse)


def verdict_values(verdicts: tuple[Verdict, ...], learned: str = "") -> dict[str, Any]:
    """What `analysis.json` keeps of the verdicts: {"overall", "state", "learned", kind: {...}}.

    Args:
        verdicts: of `diagnose_collapse`.
        learned: a sentence on what was learned, where that is to be said besides.

    Example:

    >>> verdict_values((Verdict("cluster", "healthy", ("a", "b")),))["cluster"]["state"]
    'healthy'
    """
    values: dict[str, Any] = {"overall": overall(verdicts), "state": overall_state(verdicts)}
    values["learned"] = learned
    for verdict in verdicts:
        values[verdict.kind] = {
            "state": verdict.state,
            "evidence": "; ".join(verdict.evidence),
            "cure": verdict.cure,
            "words": str(verdict),
        }
    return values


def verdict_words(section: Section | Mapping[str, Any]) -> list[str]:
    """The verdict of a section "collapse", in sentences: the overall one, then the worst kinds.

    Args:
        section: the section, or its values, also as `analysis.json` has them.

    Returns:
        Sentences; none for a section without a verdict.

    Example:

    >>> values = {"verdict": verdict_values((Verdict("cluster", "healthy", ("all are used",)),))}
    >>> verdict_words(values)
    ['No collapse is seen.', 'Cluster: healthy. All are used.']
    """
    values = section.values if isinstance(section, Section) else section
    verdict = values.get("verdict")
    if verdict is None:
        return []
    kinds = [verdict[kind] for kind in KINDS if kind in verdict]
    kinds.sort(key=lambda each: _worse(each["state"]))
    learned = [verdict["learned"]] if verdict.get("learned") else []
    return [verdict["overall"], *learned, *(each["words"] for each in kinds)]
