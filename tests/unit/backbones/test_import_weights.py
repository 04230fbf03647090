"""Encoders from PyTorch: whose names they may have, what they compute, and what is refused."""

import io
import sys

import numpy as np
import pytest

import keras_ssl
from keras_ssl.backbones import import_weights as command
from keras_ssl.backbones.state_dict import read_state_dict
from keras_ssl.backbones.torch_weights import import_weights
from keras_ssl.core.errors import UserError
from tests.unit.backbones.torchvision_features import CASES, PATH, images, reference_features, state

NUMBERS = {"conv1": "0", "bn1": "1"}
TORCHVISION_NUMBERS = {**NUMBERS, "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
LIGHTLY_NUMBERS = {**NUMBERS, "layer1": "2", "layer2": "3", "layer3": "4", "layer4": "5"}


def small(name="resnet18", stem="imagenet", seed=0):
    return state(name, stem, width=4, seed=seed)


def prefixed(weights, prefix):
    return {prefix + name: array for name, array in weights.items()}


def numbered(weights, numbers):
    parts = {name: name.split(".", 1) for name in weights}
    return {f"{numbers[part]}.{rest}": weights[name] for name, (part, rest) in parts.items()}


def with_shortcuts(weights):
    return {name.replace("downsample", "shortcut"): array for name, array in weights.items()}


def differs(encoder, expected, size=(40, 33)):
    """Largest difference of the features, as a share of the largest feature."""
    found = np.asarray(encoder(images(*size), training=False))
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(
    "case",
    [case if "resnet18" in case else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
    ids=" ".join,
)
def test_features_are_those_of_torchvision(case):
    padding = 2 if "solo-learn" in case else None
    encoder = import_weights(state(*case), stem_padding=padding)
    with np.load(PATH) as expected:
        assert differs(encoder, expected[" ".join(case)]) < 1e-5


@pytest.mark.parametrize("size", [(32, 32), (33, 40), (9, 14)])
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_even_and_odd_sizes_are_padded_as_pytorch_pads(case, size):
    weights = small(*case)
    encoder = import_weights(weights)
    assert differs(encoder, reference_features(weights, images(*size)), size) < 1e-5


@pytest.mark.parametrize(
    "renamed",
    [
        lambda w: prefixed(w, "module.encoder_q."),
        lambda w: prefixed(w, "backbone._orig_mod."),
        lambda w: with_shortcuts(prefixed(w, "backbone.")),
        lambda w: prefixed(numbered(w, TORCHVISION_NUMBERS), "backbone."),
        lambda w: prefixed(with_shortcuts(numbered(w, LIGHTLY_NUMBERS)), "backbone."),
        lambda w: {**w, "fc.weight": np.ones((5, 32)), "fc.bias": np.ones(5)},
        lambda w: {**prefixed(w, "backbone."), **prefixed(small(seed=1), "backbone_momentum.")},
        lambda w: {**prefixed(small(seed=1), "momentum_encoder."), **prefixed(w, "encoder.")},
        lambda w: {**prefixed(small(seed=1), "encoder_k."), **prefixed(w, "encoder_q.")},
        lambda w: prefixed(w, "teacher.backbone."),
        lambda w: dict(reversed(w.items())),
    ],
)
def test_names_of_other_libraries_give_the_same_encoder(renamed):
    expected = import_weights(small()).get_weights()
    for found, wanted in zip(import_weights(renamed(small())).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_of_several_networks_the_prefix_chooses():
    both = {**prefixed(small(), "encoder."), **prefixed(small(seed=1), "momentum_encoder.")}
    chosen = import_weights(both, prefix="momentum_encoder.")
    assert differs(chosen, reference_features(small(seed=1), images())) < 1e-5


def test_checkpoints_of_solo_learn_have_the_padding_that_no_weight_shows():
    weights = small(stem="solo-learn")
    checkpoint = {**prefixed(weights, "backbone."), "classifier.weight": np.ones((10, 32))}
    expected = {padding: reference_features(weights, images(), padding) for padding in (1, 2)}
    assert differs(import_weights(checkpoint), expected[2]) < 1e-5
    assert differs(import_weights(checkpoint, stem_padding=1), expected[1]) < 1e-5
    assert differs(import_weights(weights), expected[1]) < 1e-5
    assert np.abs(expected[1] - expected[2]).max() > 0.1


def test_the_encoder_is_an_ordinary_backbone_that_trains_on():
    encoder = import_weights(small("resnet50"))
    built = keras_ssl.create_backbone("resnet50", (224, 224, 3), width=4)
    assert [w.path for w in encoder.weights] == [w.path for w in built.weights]
    before = encoder.get_weights()
    encoder(images(), training=True)
    assert any(np.any(a != b) for a, b in zip(encoder.get_weights(), before, strict=True))


def changed(**changes):
    weights = small()
    for name, value in changes.items():
        weights[name.replace("__", ".")] = value
    return {name: array for name, array in weights.items() if array is not None}


@pytest.mark.parametrize(
    "weights, message",
    [
        (changed(bn1__bias=None), "lacks: bn1.bias"),
        (changed(layer4__1__conv2__weight=None), "lacks: layer4.1.conv2.weight"),
        (changed(conv1__bias=np.ones(4)), "parts that a plain ResNet has not: conv1.bias"),
        (changed(layer1__0__se__weight=np.ones(4)), "has not: layer1.0.se.weight"),
        (changed(bn1__bias=np.ones(5)), r"'bn1.bias' does not fit a resnet18.*\(5,\), not \(4,\)"),
        (changed(conv1__weight=np.ones((4, 3, 5, 5))), "first weight of 4 x 3 x 5 x 5"),
        (changed(conv1__weight=np.ones((4, 3, 7))), "first weight of 4 x 3 x 7:"),
        (changed(conv1__weight=np.ones(4)), "first weight of 4:"),
        (changed(bn1__running_var=np.full(4, np.nan)), "'bn1.running_var' holds NaN"),
        (changed(layer3__2__conv1__weight=np.ones(1)), r"\(2, 2, 3, 2\) blocks of 2"),
        ({**prefixed(small(), "a."), **prefixed(small(), "b.")}, "Several ResNets.*'a.', 'b.'"),
        ({"blocks.0.attn.weight": np.ones(3)}, "No ResNet found. The names are: blocks.0.attn"),
        ({}, "No ResNet found"),
    ],
)
def test_another_network_is_refused_by_what_differs(weights, message):
    with pytest.raises(UserError, match=message):
        import_weights(weights)


def test_a_prefix_that_no_network_has_is_answered_by_those_there_are():
    with pytest.raises(UserError, match="begin with 'encoder.*There are: 'backbone.'"):
        import_weights(prefixed(small(), "backbone."), prefix="encoder.")


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "weights.npz", **arrays)
    return tmp_path / "weights.npz"


def test_npz_needs_no_other_package(tmp_path, monkeypatch):
    for package in ("torch", "safetensors"):
        monkeypatch.setitem(sys.modules, package, None)
    encoder = import_weights(saved(tmp_path, **small()))
    assert differs(encoder, reference_features(small(), images())) < 1e-5


@pytest.mark.parametrize(
    "suffix, package", [(".pth", "torch"), (".ckpt", "torch"), (".safetensors", "safetensors")]
)
def test_a_package_that_is_missing_is_named(suffix, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=f"pip install {package}.*npz"):
        read_state_dict(path)


def test_files_that_hold_no_weights_are_refused(tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(saved(tmp_path, **small()).read_bytes()[:5000])
    objects = tmp_path / "objects.npz"
    np.savez(objects, weights=np.array([{"a": 1}], dtype=object))
    for path in (damaged, objects):
        with pytest.raises(UserError, match="Cannot read weights from"):
            read_state_dict(path)
    with pytest.raises(UserError, match="files that end in .safetensors, .npz, .pth"):
        read_state_dict(tmp_path / "weights.h5")
    with pytest.raises(UserError, match="no file"):
        read_state_dict(tmp_path / "nowhere.pth")


def test_files_of_pytorch_give_the_weights_and_run_no_code(tmp_path):
    torch = pytest.importorskip("torch", reason="reads files of PyTorch")
    weights = {name: torch.from_numpy(array) for name, array in small().items()}
    checkpoint = {"state_dict": weights, "optimizer_states": [{"lr": 0.1}], "epoch": 3}
    parameters = {name: torch.nn.Parameter(value.float()) for name, value in weights.items()}
    for content in (weights, checkpoint, parameters):
        torch.save(content, tmp_path / "weights.ckpt")
        encoder = import_weights(tmp_path / "weights.ckpt")
        assert differs(encoder, reference_features(small(), images())) < 1e-5
    torch.save({"state_dict": weights, "settings": print}, tmp_path / "weights.ckpt")
    with pytest.raises(UserError, match="can run code"):
        read_state_dict(tmp_path / "weights.ckpt")
    for damaged in (b"", b"<html>404</html>", b"PK\3\4junk", b"\x80\2junk"):
        (tmp_path / "weights.ckpt").write_bytes(damaged)
        with pytest.raises(UserError, match="damaged|Cannot read"):
            read_state_dict(tmp_path / "weights.ckpt")


def test_files_of_safetensors_give_the_weights(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="reads .safetensors")
    path = tmp_path / "weights.safetensors"
    safetensors.save_file(small(), path)
    assert differs(import_weights(path), reference_features(small(), images())) < 1e-5
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="Cannot read weights"):
        read_state_dict(path)


def test_the_command_tells_what_it_found_and_writes_the_encoder(tmp_path, capsys):
    weights = small(stem="solo-learn")
    checkpoint = {**prefixed(weights, "backbone."), **prefixed(weights, "momentum_backbone.")}
    checkpoint["classifier.weight"] = np.ones((10, 32))
    out = tmp_path / "encoder.keras"
    assert command.main([str(saved(tmp_path, **checkpoint)), str(out)]) == 0
    said = capsys.readouterr().out
    for part in ("solo-learn checkpoint, prefix 'backbone.'", "resnet18, width 4", "padding 2"):
        assert part in said
    assert "left out    momentum_backbone, classifier\n" in said
    expected = reference_features(weights, images(), stem_padding=2)
    assert differs(keras_ssl.load_encoder(out), expected) < 1e-5


def test_the_command_prints_whatever_characters_a_name_has(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    monkeypatch.setattr(command, "parity", lambda *_: None)
    assert command.main([str(saved(tmp_path, **small())), f"{tmp_path}/\u00e4.keras"]) == 0
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue().endswith(b"/?.keras\n")


def test_the_command_writes_nothing_whose_features_are_not_those_of_pytorch(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(command, "parity", lambda *_: 1e-2)
    out = tmp_path / "encoder.keras"
    assert command.main([str(saved(tmp_path, **small())), str(out)]) == 2
    assert "nothing is written" in capsys.readouterr().err
    assert not out.exists()


def test_parity_is_measured_against_pytorch():
    pytest.importorskip("torch", reason="computes the features again")
    for case in CASES[::3]:
        found = command.find_resnet(small(*case))
        encoder = command.build_encoder(found)
        assert command.parity(found, encoder, 1) < 1e-5
        layer = encoder.get_layer("stage2_block1_bn1")
        layer.moving_mean.assign(layer.moving_mean + 1.0)
        assert command.parity(found, encoder, 1) > 1e-3
