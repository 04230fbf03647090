"""`CASES`: one entry per golden file, by its stem.

A case takes a mapping of the file's input arrays and returns {name of an expected array: computed
array} for every expected array of the file, through the project's public functions. Other vectors
of the same form, with other shapes and seeds, go through the same cases.
"""

from tests.golden import (
    clustering_cases,
    data_cases,
    evaluation_cases,
    layers_cases,
    losses_cases,
    optimizers_cases,
    statistics_cases,
)

CASES = {
    **losses_cases.CASES,
    **layers_cases.CASES,
    **optimizers_cases.CASES,
    **evaluation_cases.CASES,
    **data_cases.CASES,
    **statistics_cases.CASES,
    **clustering_cases.CASES,
}
