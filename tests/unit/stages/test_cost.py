"""The cost of a run before it starts."""

import pytest

from keras_ssl.config import resolve
from keras_ssl.core.errors import UserError
from stages import cost
from stages.request import read_catalog
from tests.unit.stages.test_stages import prepared


def test_what_does_not_fit_is_refused_with_its_largest_variables():
    method = prepared().method
    cost.check_memory(method, None)
    cost.check_memory(method, 2**40)
    with pytest.raises(UserError, match="there are 0.0. The largest are .*take a smaller"):
        cost.check_memory(method, 1000)


@pytest.mark.parametrize("name", ["sem_byol", "deepcluster", "gedi", "cpc"])
def test_the_cost_of_a_run_is_printed_without_its_data(name, capsys):
    cost.show(resolve(read_catalog(), name))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{name}, images of 16x16x1, 50,000 of them (assumed), ")
    assert [line.split()[0] for line in lines] == [f"{name},", "encoder", "step", "memory"]


def test_an_image_size_that_is_not_given_is_assumed(capsys):
    recipe = resolve(read_catalog(), "simclr").with_({"data.image_size": 0}, origin="a test")
    cost.show(recipe)
    assert "images of 32x32x1 (assumed), 50,000 of them (assumed)" in capsys.readouterr().out
