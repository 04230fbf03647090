import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from keras_ssl.core.errors import UserError
from pipelines.views.policies import POLICIES, ViewPolicy, policy_for

FIELDS = dataclasses.fields(ViewPolicy)


def test_digits_are_never_flipped_nor_colored():
    for view in POLICIES["digits"]:
        assert view.flip == view.hue == view.grayscale == view.saturation == 0.0


def test_asymmetric_policies_differ_only_in_blur_and_solarize():
    names = ("cifar_asymmetric", "imagenet_asymmetric", "imagenet_self_classifier")
    for name in (*names, "imagenet_byol"):
        first, second = POLICIES[name]
        assert first != second
        assert dataclasses.replace(second, blur=first.blur, solarize=first.solarize) == first


def test_self_classifier_blurs_the_view_that_it_solarises():
    views = POLICIES["imagenet_self_classifier"]
    assert [(view.blur, view.solarize) for view in views] == [(0.1, 0.0), (1.0, 0.2)]


def changed(policy, base=None):
    """The fields in which the first view of a policy differs from that of another."""
    base = ViewPolicy() if base is None else POLICIES[base][0]
    pairs = [(field.name, getattr(POLICIES[policy][0], field.name)) for field in FIELDS]
    return {name: value for name, value in pairs if value != getattr(base, name)}


def test_the_geometry_policies_are_those_of_table_2():
    def strength(s):
        return {"brightness": 0.8 * s, "contrast": 0.8 * s, "saturation": 0.8 * s, "hue": 0.2 * s}

    moderate, small = (
        {**strength(s), "crop_scale": c} for s, c in ((0.25, (0.5, 1)), (0.05, (0.9, 1)))
    )
    assert changed("geometry_large") == pytest.approx({"saturation": 0.4})
    for name, expected in (("moderate", moderate), ("small", small | {"flip": 0.0})):
        found = changed(f"geometry_{name}", "geometry_large")
        assert found.pop("crop_scale") == expected.pop("crop_scale")
        assert found == pytest.approx(expected)


def test_wmse_draws_the_colors_before_the_crop():
    assert changed("wmse") == {
        "crop_scale": (0.2, 1.0),
        "interpolation": "bicubic",
        "crop_last": True,
        "saturation": 0.4,
        "grayscale": 0.1,
    }


def test_policies_of_google_and_deepmind_differ_from_those_of_pytorch_in_the_arithmetic():
    scaled = {"arithmetic": "tensorflow_scaled"}
    assert changed("simclr_cifar", "cifar_symmetric_weak") == scaled
    assert changed("imagenet_simclr", "imagenet_symmetric") == scaled
    assert changed("imagenet_byol", "imagenet_asymmetric") == {"arithmetic": "tensorflow"}


def test_moco_v2_has_the_blur_that_simsiam_leaves_out_on_cifar():
    assert changed("moco_v2", "simsiam_cifar") == {"blur": 0.5}


def test_policies_of_one_operator_have_no_other():
    off = {"jitter_probability", "grayscale", "channel_drop", "blur", "sobel", "solarize", "noise"}
    off |= {"cutout", "erase", "flip", "quarter_turn", "rotation", "shear", "translate"}
    used = {
        name: {field for field in off if getattr(view, field)} | ({"crop"} if crops else set())
        for name, (view, _) in POLICIES.items()
        if name.startswith("only_")
        for crops in (view.crop_scale != (1.0, 1.0),)
    }
    assert used.pop("only_crop_flip") == {"crop", "flip"}
    assert len(used) == 8 and all(len(operators) == 1 for operators in used.values())
    assert len(set.union(*used.values())) == 8


def test_the_page_on_augmentation_has_the_command_and_the_table_that_it_prints(capsys):
    page = Path(__file__).parents[3] / "docs" / "augmentation.md"
    text = page.read_text(encoding="utf-8")
    command = next(line.strip() for line in text.splitlines() if "import POLICIES as P" in line)
    _, code, _ = command.split('"')
    exec(code, {})
    table = capsys.readouterr().out
    assert len(table.splitlines()) >= len(POLICIES) and table in text
    sources = text.split("## Where they come from")[1]
    assert all(f"`{name}`" in sources for name in POLICIES if not name.startswith("only_"))


def test_policy_for_repeats_the_pair_and_changes_all_views():
    views = policy_for("cifar_asymmetric", num_views=3, flip=0.0)
    assert [view.solarize for view in views] == [0.0, 0.2, 0.0]
    assert {view.flip for view in views} == {0.0}


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'digits'"):
        policy_for("digit")
    with pytest.raises(UserError, match="Did you mean 'rotation'"):
        policy_for("digits", rotations=3.0)
    with pytest.raises(UserError, match="num_views must be .* from 1 to 100"):
        policy_for("digits", num_views=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_scale": (0.5, 0.1)},
        {"crop_scale": (0.5, 1.5)},
        {"crop_scale": (0.5, 0.6, 0.7)},
        {"zoom": (0.0, 1.0)},
        {"flip": 1.5},
        {"brightness": -0.1},
        {"contrast": float("inf")},
        {"blur_sigma": (0.1, float("inf"))},
        {"hue": 0.6},
        {"shear": 90.0},
        {"noise": "a lot"},
        {"interpolation": "cubic"},
        {"arithmetic": "keras"},
        {"crop_last": "yes"},
        {"quarter_turn": 4},
        {"cutout_size": 0.0},
        {"cutout_size": 1.5},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(UserError, match=f"(?i){next(iter(wrong))}"):
        ViewPolicy(**wrong)


def test_lists_as_json_has_them_make_the_same_policy():
    pairs = {"crop_scale": (0.2, 1.0), "zoom": (0.9, 1.1), "blur_sigma": (0.1, 1.0)}
    policy = ViewPolicy(**{name: list(pair) for name, pair in pairs.items()})
    assert policy == ViewPolicy(**pairs) and hash(policy) == hash(ViewPolicy(**pairs))


def test_policies_and_data_set_names_do_not_import_tensorflow():
    modules = "run, pipelines.data.names, pipelines.views.policies"
    code = f"import sys, {modules}; assert not {{'tensorflow', 'numpy'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
