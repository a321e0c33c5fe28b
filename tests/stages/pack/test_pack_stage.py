"""Pack alters nothing, says what it left out and gives the same bytes every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.reader import SampleDecoder
from fasgen.reader.tar import RawSample
from fasgen.records import PROVENANCE, Reason, Status
from fasgen.stages import specs
from fasgen.stages.pack.config import SPEC, SYNTHESIS, PackConfig
from fasgen.stages.pack.stage import Pack, npy_bytes
from fasgen.stages.stage import Product, Reject, Sample, SampleCue

RESIDUAL, LGSC = specs()["defake"].cues[0], specs()["lgsc"].cues[0]


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image[:, :, ::-1])[1])


def sample(number: int = 0, size: int = 24, **values: Any) -> Sample:
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (size, size, 3), np.uint8)
    made = rng.integers(0, 256, (size, size, 3), np.uint8)
    content = {column.name: None for column in PROVENANCE}
    content |= {"label": "live", "dataset": "d", "path": f"a/{number}.png", "licence": "CC0-1.0"}
    content |= {"box": [1.0, 2.0, 3.0, 4.0], "brisque": 21.5} | values
    made_by = {"residual_mean": 0.25, "seed": 2**60 + number, "plan_hash": "ab", "weights": "cd"}
    return Sample(
        sample_id=f"{number:016x}",
        seed=1,
        slot=0,
        files={"crop": png(image)},
        arrays={"embedding": rng.standard_normal(512, np.float32)},
        cues={"residual": SampleCue(RESIDUAL, image.astype(np.int16) - made, made_by)},
        values=content,
    )


def product(one: Sample, **config: Any) -> Product:
    [out] = Pack(PackConfig(**config))([one])
    assert isinstance(out, Product)
    return out


def test_members_hold_the_stored_bytes_and_the_exact_residual() -> None:
    one = sample(3)
    out = product(one)
    assert list(out.files) == ["png", "residual.npy", "json"]
    assert out.files["png"] is one.files["crop"]
    cue = np.load(io.BytesIO(out.files["residual.npy"]), allow_pickle=False)
    assert cue.dtype == np.int16 and np.array_equal(cue, one.cues["residual"].array)
    content = json.loads(out.files["json"])
    assert content["label"] == "live" and content["label_index"] == 1 and content["synthetic"] is False
    assert content["geometry"]["box"] == [1.0, 2.0, 3.0, 4.0] and content["geometry"]["yaw"] == -9999.0
    assert content["cues"]["residual"]["seed"] == 2**60 + 3 and content["cues"]["residual"]["residual_mean"] == 0.25
    assert content["image"]["sha256"] == hashlib.sha256(one.files["crop"]).hexdigest() == out.values["image_digest"]
    assert set(out.values) == {column.name for column in SPEC.columns}


def test_compressed_cue_holds_the_same_npy_and_carries_no_time() -> None:
    one = sample(4)
    plain, packed = product(one).files["residual.npy"], product(one, cue_format="npy.gz").files["residual.npy.gz"]
    assert gzip.decompress(packed) == plain
    assert packed[4:8] == b"\0\0\0\0"


def test_what_the_residual_leaves_is_image_minus_residual() -> None:
    one = sample(5)
    files = product(one, reconstruction=True, embedding=True).files
    image, made = (
        cv2.imdecode(np.frombuffer(files[name], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        for name in ("png", "reconstruction.png")
    )
    assert np.array_equal(image.astype(np.int16) - one.cues["residual"].array, made)
    assert np.array_equal(np.load(io.BytesIO(files["embedding.npy"])), one.arrays["embedding"])


def test_labels_and_licences_not_wanted_are_rows_with_a_reason() -> None:
    stage = Pack(PackConfig(labels=("live",), licences=("CC0-*", "PD")))
    batch = [
        sample(1),
        sample(2, label="spoof"),
        sample(3, licence="CC-BY-NC-4.0"),
        sample(4, licence=None),
        sample(5, label=None),
    ]
    out = stage(batch)
    assert [type(item) for item in out] == [Product, Reject, Reject, Reject, Reject]
    reasons = [item.reason for item in out if isinstance(item, Reject)]
    assert reasons == [Reason.LABEL, Reason.LICENCE, Reason.LICENCE, Reason.LABEL]
    assert all(reason.status is Status.FILTERED for reason in reasons)
    assert all(isinstance(item, Product) for item in Pack(PackConfig())(batch))


def with_lgsc(number: int = 0) -> Sample:
    one = sample(number)
    array = np.random.default_rng(number).integers(-32767, 32768, (24, 24, 3)).astype(np.int16)
    one.cues["lgsc"] = SampleCue(LGSC, array, {"lgsc_score": 0.5, "seed": 7, "plan_hash": "ef", "weights": "gh"})
    return one


@pytest.mark.parametrize("form", ["npy", "npy.gz"])
def test_a_further_cue_has_its_member_and_its_part_of_the_json(form: str) -> None:
    one = with_lgsc(3)
    out = product(one, cue_format=form)
    assert list(out.files) == ["png", f"residual.{form}", f"lgsc.{form}", "json"]
    data = out.files[f"lgsc.{form}"]
    assert np.array_equal(np.load(io.BytesIO(gzip.decompress(data) if form == "npy.gz" else data)), one.cues["lgsc"].array)
    told = json.loads(out.files["json"])
    assert told["cues"]["lgsc"] == {
        "definition": LGSC.doc, "dtype": "int16", "shape": [24, 24, 3],
        "one": 32767.0, "lgsc_score": 0.5, "seed": 7, "plan_hash": "ef", "weights": "gh",
    }  # fmt: skip
    assert told["cues"]["residual"]["one"] == 127.5
    assert out.values["cues"] == ["residual", "lgsc"]
    assert out.values["cue_bytes"] == len(data) + len(out.files[f"residual.{form}"])


def test_what_was_not_gathered_is_not_shipped() -> None:
    one = with_lgsc(3)
    del one.cues["residual"]
    out = product(one, reconstruction=True)
    assert list(out.files) == ["png", "lgsc.npy", "json"] and out.values["cues"] == ["lgsc"]
    one.cues.clear()
    assert list(product(one).files) == ["png", "json"] and json.loads(product(one).files["json"])["cues"] == {}
    assert SPEC.gathers and SPEC.gathers(PackConfig(cues=("lgsc",))) == ("lgsc",) and SPEC.gathers(PackConfig()) is None
    with pytest.raises(ValueError, match="reconstruction is what a cue leaves"):
        PackConfig(cues=(), reconstruction=True)


@pytest.mark.parametrize("cue", [np.zeros((23, 24, 3), np.int16), np.zeros((24, 24), np.int16)])
def test_a_cue_of_another_crop_is_refused_by_name(cue: np.ndarray) -> None:
    one = with_lgsc(9)
    one.cues["lgsc"] = SampleCue(LGSC, cue, {})
    with pytest.raises(ValueError, match=f"{one.sample_id}.*lgsc"):
        product(one)


@pytest.mark.parametrize("label, index", [("live", 1), ("spoof", 0), ("unknown", -1), (None, -1)])
def test_label_index(label: str | None, index: int) -> None:
    assert json.loads(product(sample(1, label=label)).files["json"])["label_index"] == index


def test_what_was_synthesised_is_marked() -> None:
    one = sample(1, style_subject="d/7", style="d|cam|print", parameters='{"pitch":0.5}', parent_ids=["a", "b"], synth_seed=7)
    one.variant = 2
    one.values |= {"method": "stdn", "trace_strength": 0.75}
    out = product(one)
    told = json.loads(out.files["json"])
    assert told["synthetic"] is True and out.values["synthetic"] is True
    assert told["synthesis"]["variant"] == 2 and told["synthesis"]["parent_ids"] == ["a", "b"]
    assert told["synthesis"]["simulation_parameters"] == '{"pitch":0.5}' and told["synthesis"]["seed"] == 7
    assert told["synthesis"]["trace_strength"] == 0.75 and told["synthesis"]["gamma"] == -9999.0
    meta = SampleDecoder.meta(RawSample("s", "k", out.files))
    assert meta["synthesis"]["simulation_parameters"] == {"pitch": 0.5} and meta["synthesis"]["gamma"] is None
    assert meta["quality"]["guide_similarity"] is None and meta["split"] is None and meta["label_index"] == 1


def kinds(value: Any) -> Any:
    """The type of each value, by key."""
    if isinstance(value, dict):
        return {key: kinds(one) for key, one in value.items()}
    return [kinds(value[0])] if isinstance(value, list) else type(value)


def full(one: Sample) -> Sample:
    """With a value for every column that has a kind."""
    values: dict[str, Any] = {"string": "w", "bool": True, "int32": 3, "float32": -1.0, "float64": 0.0}
    values |= {"list<string>": ["a", "b"], "list<float32>": [-1.0, 2.0]}
    columns = [*PROVENANCE, *(column for name in ("align", "score", "screen", "synth") for column in specs()[name].columns)]
    one.values |= {column.name: values.get(column.kind, 4) for column in columns} | {"parent_ids": ["a", "b"], "label": "spoof"}
    one.values |= {"parameters": '{"pitch": 1}', "synth_seed": 2**63 - 1, "synth_plan_hash": "p", "synth_weights": "w"}
    return one


def test_every_sample_has_the_same_keys_with_values_of_the_same_types() -> None:
    """Whatever is known of it; so types that a loader takes from the first samples hold for all."""
    spoof, everything = sample(2, label="spoof"), full(sample(3))
    spoof.variant = everything.variant = 1
    nothing = sample(4)
    nothing.values = {"parent_ids": [], "label": None}
    told = [json.loads(product(one).files["json"]) for one in (sample(1), spoof, everything, full(sample(5)), nothing)]
    assert all(kinds(one) == kinds(told[0]) for one in told)
    assert b"null" not in b"".join(product(one).files["json"] for one in (sample(1), spoof, nothing))
    metas = [SampleDecoder.meta(RawSample("s", "k", product(one).files)) for one in (everything, nothing)]
    # A measure of -1 is one; nothing known is nothing, but which cue and which picture.
    assert metas[0]["geometry"]["yaw"] == -1.0 and metas[0]["shipped_box"] == [-1.0, 2.0] and metas[0]["frame"] == 3
    assert all(value is None for section in ("geometry", "quality") for value in metas[1][section].values())
    assert metas[1]["synthesis"] is None and metas[1]["shipped_eyes"] is None and metas[1]["label_index"] is None


def test_what_a_cue_does_not_say_is_a_number_too() -> None:
    one, other = sample(1), sample(2)
    other.cues["residual"] = SampleCue(RESIDUAL, other.cues["residual"].array, {"residual_mean": None, "weights": None})
    first, second = (json.loads(product(each).files["json"])["cues"]["residual"] for each in (one, other))
    assert kinds(first) == kinds(second) and second["residual_mean"] == -9999.0 and second["weights"] == ""


def test_all_that_was_drawn_for_a_spoof_is_read() -> None:
    """Every column of synth but the places of rows, the cost, and what was found in the pictures."""
    columns = {column.name for column in specs()["synth"].columns}
    assert columns - set(SYNTHESIS) == {"place", "guide_unit", "guide_row", "calls", "passes", "landmarks_warped"}
    [read] = [read for read in SPEC.reads if read.stage == "synth" and not read.prefix]
    assert read.columns == SYNTHESIS


def test_every_licence_of_what_was_synthesised_has_to_be_allowed() -> None:
    both, one_only = sample(1, licence="CC0-1.0 + research"), sample(2, licence="CC0-1.0 + secret")
    kept, refused = Pack(PackConfig(licences=("CC0*", "research")))([both, one_only])
    assert isinstance(kept, Product) and isinstance(refused, Reject) and refused.reason is Reason.LICENCE


def test_a_crop_that_is_not_png_is_refused_by_name() -> None:
    one = sample(9)
    one.files["crop"] = b"\xff\xd8 no png"
    with pytest.raises(ValueError, match=one.sample_id):
        product(one)


def test_a_value_that_is_not_finite_never_reaches_the_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        product(sample(1, brisque=float("nan")))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 33), st.text(max_size=20), st.sampled_from(["npy", "npy.gz"]))
def test_equal_samples_give_equal_bytes_alone_and_in_company(number: int, size: int, path: str, cue_format: str) -> None:
    config = PackConfig(cue_format=cue_format)
    one, again = sample(number, size, path=path), sample(number, size, path=path)
    [alone] = Pack(config)([one])
    both = Pack(config)([sample(number ^ 1, size), again])
    assert alone == both[1]
    assert isinstance(alone, Product)
    assert json.loads(alone.files["json"])["path"] == path


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f4"])
def test_npy_is_little_endian(dtype: str) -> None:
    array = np.arange(12).reshape(2, 3, 2).astype(dtype)
    back = np.load(io.BytesIO(npy_bytes(array)))
    assert back.dtype.str[0] == "<" and np.array_equal(back, array)


def test_specification_builds_the_stage() -> None:
    assert isinstance(SPEC.build(PackConfig(), torch.device("cpu")), Pack)
