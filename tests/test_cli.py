"""The command line: what it imports, what it refuses, what it prints, and a whole run of toy stages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "pipeline"))

import toy

from fasgen.cli import main
from fasgen.commands.options import read_request
from fasgen.commands.text import duration, plain, size, table
from fasgen.config import preset_names
from fasgen.pipeline import libraries

HEAVY = ("torch", "ray", "pyarrow", "zarr", "cv2", "duckdb", "pydantic", "numpy", "diffusers", "webdataset", "rich", "yaml")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of toy pictures; the toy stages are the stages, the folder above is the current one."""
    monkeypatch.setattr("fasgen.stages.STAGES", toy.TARGETS)
    monkeypatch.setattr("fasgen.pipeline.estimate.cache_home", lambda: tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    toy.make_source(tmp_path / "photos")
    (tmp_path / "fasgen.yaml").write_text(
        "sources: [{path: photos, label: live, limits: {min_side: 4}}]\nunit_rows: 8\nbudget: {max_failed_rate: 0.5}\n"
    )
    return tmp_path / "photos"


def fasgen(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run(*arguments: str) -> Result:
    return fasgen("run", "--engine", "local", "--gpus", "0", "--cpus", "1", *arguments)


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, fasgen.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(HEAVY) & set(loaded)


def test_help_names_every_command() -> None:
    result = fasgen("--help")
    assert result.exit_code == 0
    for name in (
        "run",
        "plan",
        "status",
        "report",
        "show",
        "sheet",
        "trace",
        "diff",
        "verify",
        "reproduce",
        "retry",
        "retract",
        "gc",
        "train",
        "doctor",
        "stages",
        "version",
    ):
        assert f"\n  {name} " in result.output


def test_every_command_has_help() -> None:
    for name in main.commands:
        assert fasgen(name, "--help").exit_code == 0


def test_an_unknown_command_is_refused_with_the_nearest() -> None:
    result = fasgen("statsu")
    assert result.exit_code == 2
    assert "did you mean `fasgen status`?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stage=shrnk"], "there is no stage 'shrnk'; did you mean stage=shrink?"),
        (["stage="], "stage= names no stage"),
        (["shrink"], "did you mean stage=shrink?"),
        (["shrink.factr=2"], "shrink.factr: unknown key; did you mean shrink.factor?"),
        (["shrink.factor=0"], "shrink.factor: wants a whole number of at least 1, got 0"),
        (["--config", "none.yaml"], "there is no such configuration file"),
        (["sources=nowhere"], "nowhere does not exist"),
        (["--cpus", "100000"], "--cpus 100000: asked for 100000 CPU cores"),
        (["--gpus", "4096"], "--gpus 4096: asked for 4096 GPUs"),
        (["--engine", "local", "--address", "x:1"], "--address needs --engine ray"),
    ],
)
def test_what_cannot_be_run_is_refused_without_a_traceback(photos: Path, arguments: list[str], said: str) -> None:
    result = fasgen("run", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (photos.parent / "store").exists()


def test_debug_shows_the_traceback(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASGEN_DEBUG", "1")
    assert "Traceback" in fasgen("run", "shrink.factor=0").stderr


def test_stages_are_taken_out_of_the_settings(photos: Path) -> None:
    assert read_request([], None, None).stages == ("all",)
    request = read_request(["stage=shrink, noisy", "shrink.factor=4"], None, Path("it's 1"))
    assert request.stages == ("shrink", "noisy")
    assert request.config.store == photos.parent / "it's 1"
    assert read_request(["stage=shrink,all"], None, None).stages == ("all",)


def test_a_run_makes_everything_and_says_where_it_is(photos: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    store = photos.parent / "store"
    folders = {name: next(store.glob(f"{name}-*")) for name in toy.TARGETS}
    assert f"results        {folders['shrink']}" in result.stdout
    assert f"shards         {folders['join']}" in result.stdout
    assert "finished: 9 units" in result.stdout
    again = run()
    assert again.exit_code == 0
    assert "finished: 0 units" in again.stdout


def test_what_was_read_is_said_before_a_run_and_by_the_store(photos: Path) -> None:
    first = next(photos.rglob("000.png"))
    first.with_name("000 copy.png").write_bytes(first.read_bytes())
    told = [
        f"source   photos: 25 rows from {photos}",
        "         25 files: 25 live, 0 spoof, 0 unknown; 0 subjects; no splits; no devices",
        "odd      photos: 1 file named like a copy of another: '000 copy.png' (of 000.png)",
        "         both are rows: leave copies out by exclude",
    ]
    assert fasgen("plan", "--no-probe").stdout.splitlines()[1:5] == told
    ran = run("stage=shrink")
    assert ran.stderr.splitlines()[:4] == told and ran.stdout.startswith("finished")
    there = [told[0].partition(" from ")[0], *told[1:]]
    assert fasgen("status").stdout.splitlines()[1:5] == there
    # The store tells it without the sources.
    photos.rename(photos.parent / "elsewhere")
    assert fasgen("status").stdout.splitlines()[1:5] == there


def test_a_pattern_without_a_file_refuses_plan_and_run(photos: Path) -> None:
    for result in (fasgen("plan", "sources.0.pattern=(?P<label>Live)/"), run("sources.0.pattern=(?P<label>Live)/")):
        assert result.exit_code == 2 and "matches no file below" in result.stderr
    assert not (photos.parent / "store").exists()


@pytest.mark.parametrize("home", ["./~x", "~/x"])
def test_stores_whose_names_begin_with_a_tilde(photos: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", str(photos.parent / "home"))
    assert run("stage=shrink", "--store", home).exit_code == 0
    assert (photos.parent / ("~x" if home == "./~x" else "home/x") / "current.json").exists()
    refused = run("--store", "~nobody-of-this-name/x")
    assert refused.exit_code == 2 and "the home folder of 'nobody-of-this-name' is not known" in refused.stderr
    refused = run("--store", "s3://bucket/x")
    assert refused.exit_code == 2 and "is an address" in refused.stderr and not (photos.parent / "s3:").exists()


def test_a_dry_run_and_a_plan_write_nothing(photos: Path) -> None:
    for result in (run("--dry-run"), fasgen("plan", "--gpus", "0"), fasgen("plan", "--gpus", "0", "--no-probe")):
        assert result.exit_code == 0, result.output
        assert "9 units to do" in result.stdout
    assert not (photos.parent / "store").exists()


def test_a_plan_measures_by_a_probe_and_then_by_what_is_committed(photos: Path) -> None:
    assert " probe " in fasgen("plan", "--gpus", "0").stdout
    run("stage=shrink")
    lines = fasgen("plan", "stage=shrink,noisy", "shrink.factor=2", "--gpus", "0").stdout.splitlines()
    shrink, noisy = (next(line for line in lines if line.startswith(name)) for name in ("shrink", "noisy"))
    assert "committed units" in shrink
    assert "probe" in noisy
    run()
    assert "Nothing to do" in fasgen("plan", "--gpus", "0").stdout


def test_one_stage_makes_what_it_is_made_from_first(photos: Path) -> None:
    result = run("stage=noisy")
    assert result.exit_code == 0 and "finished: 6 units" in result.stdout
    assert "note: noisy: what it is made from comes first: shrink (3 units); --only leaves that out" in result.stderr
    assert "comes first" not in run("stage=noisy").stderr
    shown = fasgen("plan", "stage=join", "shrink.factor=3", "--gpus", "0", "--no-probe").stdout
    assert "9 units to do" in shown and "comes first: shrink (3 units), noisy (3 units)" in shown


def test_one_stage_alone_says_what_its_upstream_lacks(photos: Path) -> None:
    result = run("stage=noisy", "--only")
    assert "finished: 0 units" in result.stdout
    assert "make the rest with: fasgen run stage=shrink" in result.stderr
    assert "finished: 3 units" in run("stage=shrink", "--only").stdout
    assert "finished: 3 units" in run("stage=noisy", "--only").stdout


def test_what_follows_a_stage_is_named_as_stale_with_its_command(photos: Path) -> None:
    assert "stale" not in run("stage=shrink").stdout
    run()
    said, again = run("stage=noisy", "noisy.strength=2.5").stdout.splitlines()[-2:]
    command = again.split()
    assert said.startswith("stale          join (")
    assert command[:3] == ["fasgen", "run", "stage=join"] and command[-1] == "noisy.strength=2.5"
    made = fasgen(*command[1:]).stdout
    assert "finished: 3 units" in made and "stale" not in made
    assert "stale          noisy (" in run("stage=shrink", "--only", "shrink.factor=3").stdout


def test_too_many_failures_end_with_code_3(photos: Path) -> None:
    result = run("budget.max_failed=0")
    assert result.exit_code == 3
    assert "budget" in result.stdout
    assert "fasgen show" in result.stdout


def test_an_interrupted_run_ends_with_the_command_that_resumes(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import toy, fasgen.stages; fasgen.stages.STAGES = toy.TARGETS;"
        "from fasgen.cli import main; main()"
    )
    arguments = ["run", "--engine", "local", "--gpus", "0", "--cpus", "1", "noisy.strength=2.5"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(Path(toy.__file__).parent), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TOY_SLEEP": "0.3"},
    )
    threading.Thread(target=_interrupt_when_begun, args=(process, tmp_path / "store"), daemon=True).start()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    assert out.splitlines()[-1] == "fasgen run --engine local --gpus 0 --cpus 1 noisy.strength=2.5"
    assert run("noisy.strength=2.5").exit_code == 0


def _interrupt_when_begun(process: subprocess.Popen[str], store: Path) -> None:
    while process.poll() is None and not list(store.glob("shrink-*/00000.parquet")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)


def test_status_counts_every_row(photos: Path) -> None:
    assert fasgen("status").exit_code == 2
    run()
    lines = fasgen("status").stdout.splitlines()
    shrink = next(line for line in lines if line.startswith("shrink-")).split()
    assert shrink[1:7] == ["3", "3", "24", "20", "1", "3"]
    assert "no_face" in next(line for line in lines if line.startswith("shrink-"))
    assert any(line.startswith("last run") and "finished" in line for line in lines)


def test_a_stage_that_keeps_nothing_is_what_plan_run_status_and_report_begin_with(photos: Path) -> None:
    for path in photos.glob("*.png"):
        pixels = np.full((toy.SIDE, toy.SIDE, 3), 7, np.uint8)
        Image.fromarray(pixels).save(path)
    planned = fasgen("plan", "--gpus", "0").stdout
    assert planned.startswith("warning: shrink kept 0 of the ") and "no_face" in planned.splitlines()[0]
    assert planned.splitlines()[1] == "warning: so nothing came to noisy, join"
    ran = run("budget.max_failed_rate=1").stdout.splitlines()
    said = "shrink kept 0 of 24 (23 no_face, 1 not_media): mend the pictures"
    assert ran[:2] == [f"warning: {said}", "warning: so nothing came to noisy, join"] and ran[2].startswith("finished: 9 units")
    assert fasgen("status").stdout.splitlines()[0] == f"warning: {said}"
    assert fasgen("report").exit_code == 0
    short = (photos.parent / "store" / "REPORT.md").read_text().splitlines()
    assert short[2].startswith("**Warning:** shrink kept 0 of 24")
    assert f"warning: {said}" in run("--dry-run").stdout


def test_a_store_that_has_grown_says_what_is_new_and_what_is_stale(photos: Path) -> None:
    run()
    source = next(path for path in photos.rglob("000.png"))
    (source.parent / "new.png").write_bytes(source.read_bytes())
    shown = fasgen("plan", "--no-probe").stdout
    assert "rows     1 new, 0 changed, 0 gone; 24 kept" in shown
    first = run("stage=shrink")
    assert "1 new, 0 changed, 0 gone; 24 kept" in first.stdout
    assert "stale          noisy (1 of 4 units), join (1 of 4 units)" in first.stdout
    command = first.stdout.splitlines()[-1]
    assert command.startswith("fasgen run stage=noisy,join ") and "stage=shrink" not in command
    assert "stale" not in run().stdout
    other = run("stage=shrink,noisy", "noisy.strength=2.5")
    (folder,) = (photos.parent / "store").glob("join-????????")
    assert f"join ({folder.name} has other settings)" in other.stdout
    last = other.stdout.splitlines()[-1]
    assert last.startswith("fasgen run stage=join ") and last.endswith(" noisy.strength=2.5")
    source.write_bytes(next(path for path in photos.rglob("001.png")).read_bytes())
    again = run()
    assert "finished: 3 units (3 of them again, since what they are made from has changed)" in again.stdout
    assert "0 new, 1 changed, 0 gone; 24 kept" in again.stdout


def test_older_generations_are_shown_and_removed(photos: Path) -> None:
    run()
    assert "nothing to remove" in fasgen("gc").stdout
    run("noisy.strength=2.5")
    lines = fasgen("status").stdout.splitlines()
    assert [line.split("-")[0] for line in lines if line.startswith(("shrink-", "noisy-", "join-")) and ";" not in line] == [
        "shrink", "noisy", "join",
    ]  # fmt: skip
    assert any("strength 2.5 (was 3)" in line for line in lines) and any("2 older generations" in line for line in lines)
    assert sum(line.startswith("noisy-") and ";" not in line for line in fasgen("status", "--all").stdout.splitlines()) == 2
    shown = fasgen("gc").stdout
    assert "would remove 2 generations" in shown and len(list((photos.parent / "store").glob("noisy-*"))) == 2
    assert "removed 2 generations" in fasgen("gc", "--delete").stdout
    assert len(list((photos.parent / "store").glob("noisy-????????"))) == 1
    assert "nothing to remove" in fasgen("gc").stdout and fasgen("verify").exit_code == 0
    assert "Nothing to do" in fasgen("plan", "noisy.strength=2.5").stdout


def test_show_in_every_format(photos: Path, tmp_path: Path) -> None:
    run()
    shown = fasgen("show", 'stage == "shrink" and status != "ok"').stdout
    assert "no_face" in shown
    assert "empty_file" in shown
    lines = fasgen("show", "mean > 0", "--columns", "stage,mean", "--format", "jsonl").stdout.splitlines()
    assert {json.loads(line)["stage"] for line in lines} == {"shrink"}
    rows = fasgen(
        "show", "stage = 'noisy'", "--columns", "sample_id,status", "--format", "csv", "--limit", "2"
    ).stdout.splitlines()
    assert rows[0] == "sample_id,status"
    assert len(rows) == 3
    fasgen("show", "true", "--format", "csv", "--out", str(tmp_path / "rows.csv"))
    assert b"\r" not in (tmp_path / "rows.csv").read_bytes()
    assert fasgen("show", "true", "--format", "parquet", "--out", str(tmp_path / "rows.parquet")).exit_code == 0
    assert (tmp_path / "rows.parquet").read_bytes()[:4] == b"PAR1"
    assert fasgen("show", "mean >").exit_code == 2


def test_verify_tells_sound_from_damaged(photos: Path) -> None:
    run()
    assert fasgen("verify").exit_code == 0
    tar = next((photos.parent / "store").glob("shrink-*/00000.tar"))
    tar.chmod(0o644)
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    result = fasgen("verify")
    assert result.exit_code == 2
    assert "00000.tar" in result.stdout


def test_a_report_is_written_into_the_store(photos: Path) -> None:
    run()
    run("noisy.strength=2.5")
    result = fasgen("report")
    assert result.exit_code == 0, result.output
    store = photos.parent / "store"
    assert (store / "report.html").stat().st_size > 50_000
    short = (store / "REPORT.md").read_text()
    assert "24 samples" in short and "Every row is accounted for at every stage." in short
    assert '"predicted"' in (max((store / "runs").iterdir()) / "ledger.jsonl").read_text() or "noisy" in short
    assert fasgen("verify").exit_code == 0
    assert fasgen("report", "--out", str(photos.parent / "elsewhere"), "--max-size", "1").exit_code == 0
    assert (photos.parent / "elsewhere" / "report.html").is_file()
    assert fasgen("report", str(photos.parent / "nothing")).exit_code == 2


def test_a_second_run_foretells_and_the_ledger_keeps_it(photos: Path) -> None:
    run()
    parquet = next((photos.parent / "store").glob("shrink-*/00002.parquet"))
    parquet.unlink()
    run("stage=shrink")
    last = max((photos.parent / "store" / "runs").iterdir())
    events = [json.loads(line) for line in (last / "ledger.jsonl").read_text().splitlines()]
    foretold = [event for event in events if event["event"] == "predicted"]
    assert len(foretold) == 1 and foretold[0]["seconds"] >= 0


def test_trace_leads_to_the_file_and_to_the_bytes(photos: Path) -> None:
    run()
    row = json.loads(fasgen("show", "stage = 'shrink' and status = 'ok'", "--format", "jsonl", "--limit", "1").stdout)
    shown = fasgen("trace", row["sample_id"])
    assert shown.exit_code == 0, shown.output
    assert f"file           {photos / row['path']}" in shown.stdout
    assert "sha256 now" in shown.stdout and "00000.tar  bytes 512 to" in shown.stdout
    lines = [json.loads(line) for line in fasgen("trace", row["sample_id"], "--format", "jsonl").stdout.splitlines()]
    assert lines[0]["role"] == "source" and len(lines) == 4
    assert fasgen("trace").exit_code == 2
    assert fasgen("trace", "../../etc/passwd").exit_code == 2
    assert "no row has the subject" in fasgen("trace", "--subject", "nobody").stderr


def test_diff_says_what_differs_and_ends_with_1(photos: Path) -> None:
    run()
    store = photos.parent / "store"
    assert fasgen("diff", str(store), str(store)).exit_code == 0
    before = next(store.glob("noisy-*")).name
    run("stage=noisy", "noisy.strength=2.5")
    after = next(folder.name for folder in store.glob("noisy-*") if folder.name != before)
    result = fasgen("diff", before, after)
    assert result.exit_code == 1, result.output
    assert "noisy: config.strength:" in result.stdout
    kinds = {json.loads(line)["kind"] for line in fasgen("diff", before, after, "--format", "jsonl").stdout.splitlines()}
    assert "setting" in kinds and "bytes" in kinds
    assert fasgen("diff", "noisy-00000000", after).exit_code == 2


def test_a_sheet_of_what_a_filter_keeps(photos: Path) -> None:
    run()
    out = photos.parent / "sheet.png"
    result = fasgen("sheet", "mean > 0", "--out", str(out), "--limit", "4", "--figures", "mean")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("4 samples") and out.read_bytes()[:4] == b"\x89PNG"
    assert fasgen("sheet", "status = 'failed' and stage = 'shrink'", "--out", str(photos.parent / "none.png")).exit_code == 1
    assert not (photos.parent / "none.png").exists()
    assert "did you mean 'mean'?" in fasgen("sheet", "--out", str(out), "--figures", "maen").stderr
    assert fasgen("sheet", "E'\\'' or true", "--out", str(out)).exit_code == 2


def test_verify_makes_rows_again(photos: Path) -> None:
    run()
    result = fasgen("verify", "--replay", "9", "--gpus", "0")
    assert result.exit_code == 0, result.output
    assert sum(line.startswith("identical ") for line in result.stdout.splitlines()) == 9
    assert "made again: 9 identical (tolerance: " in result.stdout
    assert fasgen("verify", "--replay", "3", "--gpus", "0", "noisy.strength=9").exit_code == 0, "shrink is as it was"
    refused = fasgen("verify", "noisy.strength=9")
    assert refused.exit_code == 2 and "settings are for --replay N" in refused.stderr


def test_reproduce_writes_one_sample_anew(photos: Path, tmp_path: Path) -> None:
    run()
    shown = fasgen("show", "stage = 'join' and status = 'ok'", "--columns", "sample_id", "--format", "csv", "--limit", "1")
    sample = shown.stdout.splitlines()[1]
    result = fasgen("reproduce", sample, "--gpus", "0", "--out", str(tmp_path / "again"))
    assert result.exit_code == 0, result.output
    assert [line.split()[:2] for line in result.stdout.splitlines()[:3]] == [[name, "identical"] for name in toy.TARGETS]
    assert (tmp_path / "again" / "shrink" / f"{sample}.small.png").is_file()
    assert fasgen("reproduce", "../../etc", "--gpus", "0").exit_code == 2
    assert "no row of sample" in fasgen("reproduce", "0" * 16, "--gpus", "0").stderr


def test_retry_adds_a_unit(photos: Path) -> None:
    run()
    arguments = ("retry", "--reason", "no_face", "--engine", "local", "--gpus", "0", "--cpus", "1")
    assert "trying 1 photographs with the reason no_face again" in fasgen(*arguments, "shrink.factor=4", "--dry-run").stdout
    result = fasgen(*arguments, "shrink.factor=4")
    assert result.exit_code == 0, result.output
    assert "in 1 added units from 3 on" in result.stdout and "finished: 3 units" in result.stdout
    assert fasgen("verify").exit_code == 0
    assert fasgen(*arguments, "shrink.factor=4").exit_code == 2
    assert "leave stage= out" in fasgen(*arguments, "stage=shrink").stderr


def test_retract_takes_a_person_out(photos: Path) -> None:
    config = photos.parent / "fasgen.yaml"
    config.write_text(config.read_text().replace("label: live", "label: live, pattern: '^(?P<subject>[0-9][0-9])'"))
    run()
    refused = fasgen("retract", "--subject", "photos/9")
    assert refused.exit_code == 2 and "has nobody called 'photos/9'" in refused.stderr
    dry = fasgen("retract", "--subject", "photos/01", "--dry-run")
    assert dry.exit_code == 0 and "would write 6 units anew" in dry.stdout
    result = fasgen("retract", "--subject", "photos/01")
    assert result.exit_code == 0, result.output
    assert fasgen("verify").exit_code == 0
    left = fasgen("show", "subject = 'photos/01'", "--format", "csv", "--columns", "sample_id").stdout.splitlines()
    assert len(left) <= 1
    assert "finished: 0 units" in run().stdout


def test_a_second_driver_is_refused(photos: Path) -> None:
    from fasgen.manifests.lock import StoreLock

    with StoreLock(photos.parent / "store"):
        refused = run()
    assert refused.exit_code == 2 and "another fasgen works on this store" in refused.stderr
    assert run().exit_code == 0


def test_an_error_of_the_disk_is_one_line(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr("fasgen.pipeline.plan.Plan.write", full)
    result = run()
    assert result.exit_code == 2 and "No space left on device" in result.stderr and "Traceback" not in result.output


def test_doctor_tries_every_stage_with_pictures_of_its_own(photos: Path) -> None:
    result = fasgen("doctor", "--gpus", "0")
    assert result.exit_code == 0, result.output
    for name in toy.TARGETS:
        assert f"ok    stage {name}: 6 of 6 pictures" in result.stdout, result.output
    assert "ok    libraries: torch" in result.stdout
    assert "ok    source photos: 24 rows" in result.stdout
    assert "compiled code: kept in" in result.stdout
    assert not (photos.parent / "store").exists()


def test_doctor_tries_a_picture_of_the_users_as_well(photos: Path) -> None:
    assert "003.png" not in fasgen("doctor", "--gpus", "0", "--image", str(photos / "000.png")).stdout
    result = fasgen("doctor", "--gpus", "0", "--image", str(photos / "003.png"))
    assert result.exit_code == 0 and "warn  003.png, shrink: no_face: level 7" in result.stdout
    broken = fasgen("doctor", "--gpus", "0", "--image", str(photos / "011-text.jpg"))
    assert broken.exit_code == 2 and "fail  011-text.jpg, shrink: not_media" in broken.stdout


def test_doctor_says_what_is_missing_of_the_sources(photos: Path) -> None:
    none = fasgen("doctor", "--gpus", "0", "sources=[]")
    assert none.exit_code == 0 and "warn  sources: none is configured" in none.stdout and "sources=FOLDER" in none.stdout
    away = fasgen("doctor", "--gpus", "0", "sources=nowhere")
    assert away.exit_code == 2 and "nowhere does not exist" in away.stdout
    # What is wrong with a source keeps no stage from being tried.
    assert "ok    stage join: 6 of 6 pictures" in none.stdout and "ok    stage join: 6 of 6 pictures" in away.stdout


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "does not import: libGL.so.1: cannot open"),
        ("raise RuntimeError('built for\\nanother CPU')", "does not import: built for another CPU"),
        ("import nobody_has_this", "needs nobody_has_this, which is not installed"),
    ],
)
def test_doctor_names_a_library_that_does_not_import(
    photos: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    (photos.parent / "limping.py").write_text(source)
    monkeypatch.syspath_prepend(photos.parent)
    monkeypatch.setitem(libraries.LIBRARIES, "limping", "limping-wheels")
    monkeypatch.setitem(libraries.LIBRARIES, "not_there_at_all", "not-there")
    result = fasgen("doctor", "--gpus", "0")
    assert result.exit_code == 2 and "2 checks failed" in result.stdout
    assert f"fail  library limping-wheels: {said}" in result.stdout
    assert "fail  library not-there: is not installed\n      pip install not-there" in result.stdout


def test_an_unknown_training_is_refused_with_the_nearest() -> None:
    result = fasgen("train", "dgf")
    assert result.exit_code == 2
    assert "did you mean dfg?" in result.stderr
    assert "train.dfg.stepz: unknown key; did you mean train.dfg.steps?" in fasgen("train", "dfg", "stepz=3").stderr


def test_stages_lists_stages_and_trainings(photos: Path) -> None:
    shown = fasgen("stages").stdout
    assert "shrink + noisy" in shown
    assert "autoencoder" in shown


def test_presets_fit_the_stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert preset_names() == ["agfas", "difffas", "embedded"]
    assert read_request(["preset=difffas"], None, None).config.stage("align").model_dump()["size"] == 256
    refused = fasgen("run", "preset=agfas")
    assert refused.exit_code == 2
    assert "preset agfas comes without defake.weights" in refused.stderr
    given = ("identify.weights=id", "defake.weights=ldm", "score.identity_weights=id")
    config = read_request(["preset=agfas", *given, "defake.t=400"], None, None).config
    defake = config.stage("defake").model_dump()
    assert (defake["t"], defake["steps"], defake["weights"]) == (400, 50, str(tmp_path / "ldm"))


def test_figures_and_tables() -> None:
    assert [duration(s) for s in (None, 0, 0.2, 59, 600, 7200, 1e6)] == [
        "?",
        "0 s",
        "1 s",
        "59 s",
        "10 min",
        "2.0 h",
        "11.6 days",
    ]
    assert [size(b) for b in (None, 999, 1500, 123_456, 2e9, 5e15)] == ["?", "999 B", "1.5 kB", "123 kB", "2.0 GB", "5000.0 TB"]
    assert table(("a", "n"), [("x", 1), ("long", 20)]) == "a      n\nx      1\nlong  20"
    assert plain("a\x1b[2J\n") == "a\\x1b[2J\\n"
