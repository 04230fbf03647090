"""Protocols of fine-tuning against what the papers print, as data with places."""

import pytest

from keras_ssl.config import override, parse_set, resolve
from keras_ssl.config.schema import Finetune
from keras_ssl.core.errors import UserError
from keras_ssl.core.protocols import FINETUNING
from stages.request import read_catalog

# (setting, value, where it is printed) of each protocol; what is not printed is not here.
PRINTED = {
    "sem_transfer": [
        ("steps", 20_000, "SEM, B.5: 20,000 steps"),
        ("batch_size", 256, "SEM, B.5"),
        ("nesterov", True, "SEM, B.5: SGD with a Nesterov momentum of 0.9"),
        ("learning_rates", (1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2, 3.2e-2, 0.1), "SEM, B.5: 7 values"),
        ("temperature", 1.0, "SEM, B.5: tau_d = 1"),
        ("temperatures", (), "SEM, B.5: it is not searched"),
        ("epochs", (), "SEM, B.5: the length is in steps"),
    ],
    "sem_semi": [
        ("shares", (0.01, 0.1), "SEM, table 5: 1 % and 10 %"),
        ("batch_size", 224, "SEM, B.6: batch sizes of 224"),
        ("epochs", (30, 50), "SEM, B.6: we train models for {30, 50}"),
        ("learning_rates", (0.005, 0.01, 0.02, 0.05, 0.1), "SEM, B.6: 5 learning rates"),
        ("per_256", False, "SEM, B.6: no scaling is stated"),
        ("temperatures", (0.01, 0.1, 1.0), "SEM, B.6: we also search tau_d"),
        ("nesterov", True, "SEM, B.6: Nesterov and a momentum of 0.9"),
        ("crop_scale", (1.0, 1.0), "SEM, B.6: resized along the shorter side, center crop"),
        ("flip", 0.5, "SEM, B.6: random horizontal flipping"),
        ("test_crop", 1.0, "SEM, B.6: resized to 224 x 224"),
    ],
    "simmer_40": [
        ("labels_per_class", 40, "SimMER, sec. 3.4: 40 images for each class"),
        ("learning_rates", (0.1,), "SimMER, sec. 3.4: 0.1 of the classifier"),
        ("encoder_rate", 0.01, "SimMER, sec. 3.4: 0.001 of the backbone, a hundredth"),
        ("per_256", True, "SimMER, sec. 3.4: linear scaling still applies"),
        ("weight_decays", (0.0,), "SimMER, sec. 3.4: no weight decay"),
        ("nesterov", False, "SimMER, sec. 3.4: SGD with momentum (0.9)"),
        ("stem_pooling", False, "SimMER, sec. 3.4: the first max-pooling is turned off"),
        ("batch_size", 512, "SimMER, sec. 3.4"),
        ("epochs", (40,), "SimMER, sec. 3.4"),
    ],
}
CATALOG = read_catalog()


def resolved(*settings):
    return resolve(CATALOG, "sem_byol", [parse_set(text) for text in settings], "imagenet")


@pytest.mark.parametrize("protocol", FINETUNING)
def test_a_protocol_sets_what_its_paper_prints(protocol):
    found = resolved(f"finetune.protocol={protocol}").values("finetune")
    for name, value, place in PRINTED[protocol]:
        assert found[name] == value, (name, place)
    assert set(FINETUNING[protocol].settings) <= {name for name, *_ in PRINTED[protocol]}


def test_the_defaults_of_the_settings_are_the_first_protocol():
    assert Finetune().protocol == next(iter(FINETUNING)) == "sem_transfer"
    assert not FINETUNING["sem_transfer"].settings


def test_what_is_given_besides_a_protocol_wins_in_any_order():
    given = ["finetune.batch_size=100", "finetune.protocol=sem_semi"]
    for texts in (given, given[::-1]):
        assert resolved(*texts).finetune.batch_size == 100
        recipe = override(resolved(), [parse_set(text) for text in texts])
        assert (recipe.finetune.batch_size, recipe.finetune.epochs) == (100, (30, 50))


def test_another_protocol_replaces_what_belonged_to_the_one_before():
    recipe = override(resolved("finetune.steps=7"), [parse_set("finetune.protocol=simmer_40")])
    assert recipe.finetune.steps == 20_000 and recipe.finetune.epochs == (40,)
    value, origin = recipe.settings["finetune.epochs"]
    assert origin == "default of finetune.protocol" and not origin.explicit
    back = override(recipe, [parse_set("finetune.protocol=sem_transfer")])
    assert back.finetune == Finetune()


def test_images_that_are_not_mirrored_stay_so_whatever_the_protocol():
    settings = [parse_set("finetune.protocol=sem_semi")]
    assert resolve(CATALOG, "byol", settings, "digits").finetune.flip == 0.0


def test_an_unknown_protocol_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"one of sem_transfer|Did you mean 'sem_semi'"):
        resolved("finetune.protocol=sem_sem")
