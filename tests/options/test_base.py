"""Options objects: built by name, restored from a run, recorded."""

import pytest

from opticornet.options.modes import TestOptions, TrainOptions
from opticornet.utils.errors import UserError


def test_of_refuses_unknown_fields_and_choices():
    with pytest.raises(UserError, match="unknown option colour"):
        TrainOptions.of(colour="red")
    with pytest.raises(UserError, match=r"`loss` contrastive.*: choose one of"):
        TrainOptions.of(loss="contrastive")


def test_a_run_decides_what_was_not_given():
    options = TrainOptions.of(lr=0.5)
    restored = options.restored({"outDims": 64, "w": 2, "lr": 0.5}, ("pooling", "lr", "n_neg"), "RUN")
    method = restored.part("pooling")
    assert (method.out_dims, method.w, restored.lr, restored.n_neg) == (64, 2, 0.5, TrainOptions().n_neg)


def test_a_contradiction_names_both_values_and_the_run():
    with pytest.raises(UserError, match=r"`w` 3 contradicts `w` 5 of the resumed run RUN"):
        TrainOptions.of(w=3).restored({"w": 5}, ("pooling",), "RUN")
    with pytest.raises(
        UserError, match=r"`sta_image_size` 28 24 contradicts `sta_image_size` 24 32 of the resumed run"
    ):
        TrainOptions.of(pooling="sta", sta_image_size=(28, 24)).restored(
            {"staImageSize": [24, 32]}, ("pooling",), "RUN"
        )


def test_a_saved_flag_of_another_type_is_refused():
    with pytest.raises(UserError, match=r"RUN holds `w` 'five': wanted a whole number"):
        TrainOptions.of().restored({"w": "five"}, ("pooling",), "RUN")


def test_null_in_saved_flags_is_no_value_and_unknown_choices_are_refused():
    assert TrainOptions().restored({"seqL_filterData": None}, ("filter_length",), "RUN").filter_length == 0
    with pytest.raises(UserError, match="RUN holds `pooling` foo"):
        TrainOptions().restored({"pooling": "foo"}, ("pooling",), "RUN")


def test_the_record_survives_the_round_trip():
    options = TestOptions.of(radii=(1.0, 3.0), index="HNSW32")
    names = tuple(name for name in options.flags() if name != "config")
    assert TestOptions().restored(options.record(), names, "RUN").record() == options.record()
