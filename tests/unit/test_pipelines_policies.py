import dataclasses
import subprocess
import sys

import pytest

from pipelines.errors import DataError
from pipelines.policies import POLICIES, ViewPolicy, policy_for


def test_digits_are_never_flipped_nor_coloured():
    for view in POLICIES["digits"]:
        assert view.flip == view.hue == view.grayscale == view.saturation == 0.0


def test_asymmetric_policies_differ_only_in_blur_and_solarize():
    for name in ("cifar_asymmetric", "imagenet_asymmetric", "imagenet_self_classifier"):
        first, second = POLICIES[name]
        assert first != second
        assert dataclasses.replace(second, blur=first.blur, solarize=first.solarize) == first


def test_self_classifier_blurs_the_view_that_it_solarises():
    views = POLICIES["imagenet_self_classifier"]
    assert [(view.blur, view.solarize) for view in views] == [(0.1, 0.0), (1.0, 0.2)]


def test_policy_for_repeats_the_pair_and_changes_all_views():
    views = policy_for("cifar_asymmetric", num_views=3, flip=0.0)
    assert [view.solarize for view in views] == [0.0, 0.2, 0.0]
    assert {view.flip for view in views} == {0.0}


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(DataError, match="Did you mean 'digits'"):
        policy_for("digit")
    with pytest.raises(DataError, match="Did you mean 'rotation'"):
        policy_for("digits", rotations=3.0)
    with pytest.raises(DataError, match="at least one view"):
        policy_for("digits", num_views=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_scale": (0.5, 0.1)},
        {"crop_scale": (0.5, 1.5)},
        {"crop_scale": 0.5},
        {"zoom": (0.0, 1.0)},
        {"flip": 1.5},
        {"brightness": -0.1},
        {"hue": 0.6},
        {"shear": 90.0},
        {"noise": "a lot"},
        {"interpolation": "cubic"},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        ViewPolicy(**wrong)


def test_policies_and_data_set_names_do_not_import_tensorflow():
    modules = "pipelines.names, pipelines.policies"
    code = f"import sys, {modules}; assert not {{'tensorflow', 'numpy'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
