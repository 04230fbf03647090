"""Necks: SEM and what it is compared with, their readings, and the sizes that the paper prints."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssl
from keras_ssl.config import Catalog, declared, parse_set, resolve
from keras_ssl.config.schema import neck_fields
from keras_ssl.layers.necks import NECKS, projector_blocks, simplices_of
from keras_ssl.layers.simplicial import SimplicialEmbedding, simplicial_embedding
from keras_ssl.layers.target import copy_for_target, move_towards, parameter_pairs
from pipelines.views.policies import POLICIES, ViewPolicy
from stages.build import build_encoder
from stages.describe import describe_neck
from stages.evaluation import trained
from stages.inputs import Preprocessing

CATALOG = Catalog(tuple(POLICIES), declared(ViewPolicy))


def small_sem(**options):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    return keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=3, **options)


def small_neck(kind, **options):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    return keras_ssl.add_neck(backbone, kind=kind, num_simplices=4, simplex_size=3, **options)


def recipe_of(method, *settings, family="cifar100"):
    return resolve(CATALOG, method, [parse_set(text) for text in settings], family)


def images(count=5):
    return keras.random.uniform((count, 8, 8, 3), seed=2)


def test_every_simplex_sums_to_one_at_any_temperature():
    z = keras.random.normal((7, 12), seed=1) * 50
    for temperature in (0, 1e-4, 0.1, 1.0, 1e4):
        simplices = ops.reshape(simplicial_embedding(z, 4, 3, temperature), (7, 4, 3))
        np.testing.assert_allclose(ops.sum(simplices, axis=-1), 1.0, rtol=1e-5)


def test_temperature_zero_is_the_limit_of_small_temperatures():
    z = keras.random.normal((7, 12), seed=1)
    np.testing.assert_allclose(
        simplicial_embedding(z, 4, 3, 0), simplicial_embedding(z, 4, 3, 1e-5), atol=1e-6
    )


def test_readings_share_every_weight():
    encoder = small_sem(temperature=1.0)
    cold = keras_ssl.at_temperature(encoder, 0.1)
    assert all(a is b for a, b in zip(encoder.weights, cold.weights, strict=True))
    assert np.any(np.asarray(encoder(images())) != np.asarray(cold(images())))
    np.testing.assert_array_equal(
        encoder(images()), keras_ssl.at_temperature(encoder, 1.0)(images())
    )


def test_codes_are_the_largest_entries_of_the_simplices():
    encoder = small_sem()
    codes = keras_ssl.codes_of(encoder)(images())
    hard = ops.reshape(keras_ssl.at_temperature(encoder, 0)(images()), (-1, 4, 3))
    assert codes.dtype == "int32"
    np.testing.assert_array_equal(codes, ops.argmax(hard, axis=-1))


def test_backbone_of_gives_the_features_below_the_neck():
    encoder = small_sem()
    assert keras_ssl.backbone_of(encoder).output_shape == (None, 8)
    assert keras_ssl.backbone_of(keras_ssl.backbone_of(encoder)).output_shape == (None, 8)


def test_target_copy_reads_at_its_own_temperature():
    encoder = small_sem(temperature=1.0, target_temperature=0.2)
    target = copy_for_target(encoder)
    wanted = keras_ssl.at_temperature(encoder, 0.2)(images())
    np.testing.assert_allclose(target(images()), wanted, atol=1e-6)
    assert not target.trainable_variables


def test_encoder_without_a_neck_has_no_reading():
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    with pytest.raises(keras_ssl.UserError, match="no Simplicial Embedding"):
        keras_ssl.at_temperature(backbone, 0.1)


@pytest.mark.parametrize(
    "options", [{"num_simplices": 0}, {"simplex_size": 1}, {"temperature": -1}]
)
def test_impossible_sizes_and_temperatures_are_refused(options):
    sizes = {"num_simplices": 4, "simplex_size": 3, **options}
    with pytest.raises(keras_ssl.UserError):
        SimplicialEmbedding(**sizes)


def test_blocks_that_do_not_divide_the_features_are_refused_with_what_would():
    with pytest.raises(keras_ssl.UserError, match="num_blocks=3 must divide"):
        small_sem(num_blocks=3)


def test_block_diagonal_neck_makes_the_first_projector_layer_block_diagonal():
    assert projector_blocks(small_sem(num_blocks=2)) == 2
    assert projector_blocks(small_sem()) == 1
    assert simplices_of(keras_ssl.create_backbone("tiny", (8, 8, 3))) is None


# The necks that SEM is compared with.


def test_embed_is_sem_without_the_softmax():
    sem, embed = small_neck("sem"), small_neck("embed")
    embed.set_weights(sem.get_weights())
    np.testing.assert_array_equal(keras_ssl.at_temperature(embed, 1.0)(images()), sem(images()))
    logits = ops.reshape(embed(images()), (-1, 4, 3))
    np.testing.assert_array_equal(ops.softmax(logits), ops.reshape(sem(images()), (-1, 4, 3)))


def test_gumbel_is_one_hot_and_reads_without_noise_in_inference():
    encoder = small_neck("gumbel")
    hard = keras_ssl.at_temperature(encoder, 0)(images())
    np.testing.assert_array_equal(encoder(images()), hard)
    assert set(np.unique(encoder(images(64), training=True))) == {0.0, 1.0}


def test_gumbel_noise_of_a_target_is_its_own_and_follows_the_global_seed():
    def noise():
        keras.utils.set_random_seed(3)
        encoder = small_neck("gumbel")
        both = encoder, copy_for_target(encoder)
        return [np.asarray(network.layers[-1].generator.state) for network in both]

    (online, target), again = noise(), noise()
    assert np.any(online != target)
    np.testing.assert_array_equal(again, [online, target])


def test_where_the_gumbel_noise_stands_is_saved(tmp_path):
    encoder = small_neck("gumbel")
    encoder(images(), training=True)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras_ssl.load_encoder(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(
        encoder(images(64), training=True), loaded(images(64), training=True)
    )


def test_vq_gives_vectors_of_the_codebooks_that_its_codes_name():
    encoder = small_neck("vq", code_dim=2)
    codebook, codes = encoder.layers[-1].codebook, keras_ssl.codes_of(encoder)(images())
    vectors = np.reshape(encoder(images()), (-1, 4, 2))
    for group in range(4):
        wanted = np.asarray(codebook)[group, codes[:, group]]
        np.testing.assert_allclose(vectors[:, group], wanted, atol=1e-7)


def test_the_codebook_of_a_vq_target_follows_the_online_one():
    encoder = small_neck("vq", code_dim=2)
    target = copy_for_target(encoder)
    online, codebook = encoder.layers[-1].codebook, target.layers[-1].codebook
    old = np.asarray(codebook)
    online.assign(online + 1.0)
    move_towards(parameter_pairs(encoder, target), 0.9)
    np.testing.assert_allclose(codebook, old + 0.1, atol=1e-6)


def test_an_mlp_embedder_is_the_linear_one_above_a_hidden_layer_as_wide_as_the_features():
    def shapes(**options):
        return [v.shape for v in small_neck("sem", **options).trainable_variables[6:]]

    assert shapes() == [(8, 12), (12,), (12,)]  # above the two blocks of "tiny"
    assert shapes(embedder_norm=False) == [(8, 12)]
    assert shapes(embedder="mlp") == [(8, 8), (8,), (8,), (8, 12), (12,), (12,)]
    assert shapes(embedder="mlp", embedder_norm=False) == [(8, 8), (8,), (8, 12)]


def test_without_an_embedder_the_features_are_the_logits():
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    encoder = keras_ssl.sem_neck(backbone, num_simplices=4, simplex_size=2, embedder="identity")
    assert len(encoder.weights) == len(backbone.weights)
    wanted = simplicial_embedding(backbone(images()), 4, 2, 1.0)
    np.testing.assert_array_equal(encoder(images()), wanted)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"kind": "gumble"}, "Did you mean 'gumbel'"),
        ({"embedder": "liner"}, "Did you mean 'linear'"),
        ({"kind": "embed", "temperature": 2.0}, "Neck 'embed' has no option 'temperature'"),
        ({"kind": "vq", "code_dims": 2}, "Did you mean 'code_dim'"),
        ({"embedder": "identity"}, "8 features must be what the neck reads, 12"),
        ({"kind": "embed", "embedder": "identity"}, "the backbone itself"),
        ({"embedder": "mlp", "num_blocks": 2}, "Only the linear embedder has blocks"),
        (
            {"kind": "gumbel", "temperature": 0.0},
            "temperature must be a number from 0.0001 to 1000. Received 0.0",
        ),
        ({"kind": "gumbel", "simplex_size": 1}, "simplex_size must be .* Received 1"),
        ({"kind": "embed", "num_simplices": 0}, "num_simplices must be .* Received 0"),
        ({"kind": "vq", "num_simplices": 0}, "num_simplices must be .* Received 0"),
        ({"kind": "vq", "code_dim": 0}, "code_dim must be .* Received 0"),
        ({"num_blocks": 0}, "num_blocks must be .* Received 0"),
        ({"num_simplices": 10**9}, "num_simplices must be .* from 1 to 1000000"),
    ],
)
def test_necks_that_cannot_be_are_refused_with_what_can(options, message):
    backbone = keras_ssl.create_backbone("tiny", (8, 8, 3))
    with pytest.raises(keras_ssl.UserError, match=message):
        keras_ssl.add_neck(backbone, **{"num_simplices": 4, "simplex_size": 3, **options})


@pytest.mark.parametrize("name", ["byol", "sem_byol"])
def test_any_method_is_created_with_any_neck(name):
    neck = {"kind": "vq", "num_simplices": 4, "simplex_size": 3, "code_dim": 2}
    sizes = {"hidden_dim": 8, "prediction_dim": 8, "projection_dim": 4}
    method = keras_ssl.create(name, backbone="tiny", input_shape=(8, 8, 3), neck=neck, **sizes)
    assert method.encoder.output_shape == (None, 8)
    assert method.encoder.name == "vq_tiny"


# Necks in recipes.


@pytest.mark.parametrize("kind", NECKS)
@pytest.mark.parametrize("method", ["byol", "sem_byol"])
def test_on_cifar_a_recipes_neck_is_the_librarys_own(kind, method):
    neck = recipe_of(method, f"neck.kind={kind}").neck
    own = {name: p.default for name, p in inspect.signature(NECKS[kind]).parameters.items()}
    shared = inspect.signature(keras_ssl.add_neck).parameters
    own |= {name: shared[name].default for name in ("embedder", "embedder_norm", "num_blocks")}
    assert neck.options == own
    assert neck.kind == kind


def test_another_kind_of_neck_starts_from_its_own_settings():
    assert recipe_of("sem_simclr").neck.temperature == 0.17
    gumbel = recipe_of("sem_simclr", "neck.kind=gumbel")
    assert gumbel.neck.temperature == 2.0 and gumbel.expected.startswith("not published")
    assert recipe_of("sem_simclr", "neck.kind=sem").neck.temperature == 0.17
    assert recipe_of("simclr", "neck.kind=sem", family="digits").neck.num_simplices == 128
    assert recipe_of("sem_simclr", "neck.kind=none").neck.options == {}


@pytest.mark.parametrize("kind", ["none", *NECKS])
@pytest.mark.parametrize("embedder", ["linear", "mlp", "identity"])
def test_a_recipe_holds_only_what_its_neck_uses(kind, embedder):
    settings = [f"neck.kind={kind}"] + ([f"neck.embedder={embedder}"] if kind != "none" else [])
    recipe = recipe_of("byol", *settings)
    names = {key.split(".")[1] for key in recipe.settings if key.startswith("neck.")}
    assert names == {"kind", *neck_fields(kind, embedder)}
    assert set(recipe.neck.options) == names - {"kind"}


@pytest.mark.parametrize(
    "settings, words",
    [
        (["neck.code_dim=2"], "does nothing with neck.kind=sem"),
        (["neck.kind=embed", "neck.temperature=2"], "does nothing with neck.kind=embed"),
        (["neck.kind=gumbel", "neck.target_temperature=2"], "does nothing with neck.kind=gumbel"),
        (["neck.embedder=mlp", "neck.num_blocks=2"], "and neck.embedder=mlp"),
        (["neck.kind=none", "neck.num_blocks=2"], "without a neck"),
        (["neck.kind=gumble"], "Did you mean 'gumbel'"),
        (["neck.embedder=liner"], "Did you mean 'linear'"),
    ],
)
def test_settings_that_do_nothing_in_a_neck_are_refused(settings, words):
    with pytest.raises(keras_ssl.UserError, match=words):
        recipe_of("sem_byol", *settings)


@pytest.mark.parametrize(
    "kind, last, text",
    [
        ("embed", ["pretrained, embed"], "embed: 4 simplices of 3"),
        ("gumbel", ["pretrained, gumbel"], "gumbel: 4 simplices of 3, tau 2"),
        ("vq", ["pretrained, vq"], "vq: 4 codebooks of 3 vectors of 32"),
        (
            "sem",
            [f"pretrained, SEM tau_d={tau}" for tau in ("0", "0.01", "0.1", "1")],
            "sem: 4 simplices of 3, tau 1",
        ),
    ],
)
def test_the_table_judges_the_backbone_and_the_neck(kind, last, text):
    sizes = ["neck.num_simplices=4", "neck.simplex_size=3", "backbone.name=tiny"]
    recipe = recipe_of("byol", f"neck.kind={kind}", *sizes)
    encoder = build_encoder(recipe, Preprocessing(8, 3, (0,) * 3, (1,) * 3))
    below, *above = trained(encoder, recipe, preprocess=None)
    assert [one.name for one in (below, *above)] == ["pretrained, backbone", *last]
    assert below.features.model.output_shape == (None, 8)
    assert describe_neck(recipe.neck) == text


# SEM, table 17: BYOL with projector and predictor, in millions.
TABLE_17 = [
    ("resnet18", None, 16.5),
    ("resnet50", None, 35.0),
    ("resnet18", 1, 313.7),
    ("resnet50", 1, 425.6),
    ("resnet18", 8, 51.9),
    ("resnet50", 8, 76.7),
]


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "blocks", "millions"), TABLE_17)
def test_parameter_counts_are_those_of_the_paper(backbone, blocks, millions):
    encoder = keras_ssl.create_backbone(backbone, (32, 32, 3))
    if blocks:
        encoder = keras_ssl.sem_neck(
            encoder, num_simplices=5000, simplex_size=13, num_blocks=blocks
        )
    method = keras_ssl.BYOL(encoder)
    count = sum(int(np.prod(v.shape)) for v in method.trainable_variables)
    assert abs(count / 1e6 - millions) <= 0.005 * millions
