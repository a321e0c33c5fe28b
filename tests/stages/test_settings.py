"""Settings that stages share."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.settings import AUTO_BATCH, batch_size, wrong_size
from fasgen.stages.synth.config import SynthConfig


@pytest.mark.parametrize("config", [DefakeConfig, SynthConfig])
def test_batch_is_a_number_of_faces_or_auto(config: Any) -> None:
    assert batch_size(config.model_validate({})) == AUTO_BATCH
    assert batch_size(config.model_validate({"batch": 1024})) == 1024
    for wrong in (0, -1, 1025):
        with pytest.raises(ValidationError, match="not within 1 to 1024"):
            config.model_validate({"batch": wrong})
    with pytest.raises(ValidationError):
        config.model_validate({"batch": "all"})


def test_a_wrong_size_is_said_with_what_to_change() -> None:
    config = DefakeConfig.model_validate({})
    said = wrong_size((112, 96), 256, "defake", "weights", config)
    assert said.startswith("defake: the crops are 96 x 112 px") and "was trained on 256" in said and "in embedded" in said
    assert all(remedy in said for remedy in ("align.size=256", "other defake.weights", "defake.any_size=true"))
    assert wrong_size((256, 256), 256, "defake", "weights", config) == ""
    assert wrong_size((112, 96), None, "defake", "weights", config) == ""
    assert wrong_size((112, 96), 256, "defake", "weights", config.model_copy(update={"any_size": True})) == ""
