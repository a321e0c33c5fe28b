"""The page in a real browser: it draws, answers keys, keeps within its policy, and runs nothing that the data hold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fasgen.audit.report.morning import write_report
from fasgen.manifests.plan_file import read_plan, write_plan

from ...browser import Browser
from ...manifests.units import plan_hash
from ..stores import HOSTILE, HOSTILE_NAME, make_store, sample


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(make_store(folder / HOSTILE_NAME, hostile=True), folder).page


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory, page: Path) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(tab: Browser, page: Path) -> Iterator[Browser]:
    tab.console.clear()
    tab.requests.clear()
    tab.open(page)
    yield tab
    assert tab.console == []
    assert tab.dialogs == []
    assert all(url.startswith((page.as_uri(), "blob:", "about:")) for url in tab.requests)


def test_long_lists_of_changes_are_folded(tab: Browser, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    old = next(store.glob("align-*"))
    shutil.copytree(old, store / "align-12345678")
    settings = {f"setting_{number:02}": number for number in range(40)}
    write_plan(store / "align-12345678", read_plan(old) | {"plan_hash": "12345678" + plan_hash("x")[8:], "config": settings})
    written = write_report(store, tmp_path)
    tab.open(written.page)
    # `limit` is gone, and forty are new.
    assert tab.texts("#drawn summary") == ["38 more settings"]
    assert len(tab.texts("#drawn td > div .mono")) == 3 and len(tab.texts("#drawn details > div")) == 38
    assert "setting_04 and 35 more |" in written.short.read_text()


def test_the_overview_counts(browser: Browser) -> None:
    assert browser.texts("#store") == [HOSTILE_NAME]
    assert any(HOSTILE in text for text in browser.texts("main"))
    assert "Every row is accounted for" in browser.texts("#verdict")[0]
    assert browser.texts(".figures b")[:3] == ["30", "24", "6"]
    rows = browser.texts("main section:nth-child(3) tbody tr")
    assert [row.split("18")[0][:5] for row in rows[:1]] == ["align"] and len(rows) == 4
    assert any("30" in text and "26" in text for text in browser.texts("main section:nth-child(5) tbody tr"))


def test_hostile_texts_are_shown_as_they_are(browser: Browser) -> None:
    browser.go("#rejects")
    assert HOSTILE in browser.texts(".example small")
    # A reason that is none of the closed list, as an altered manifest may have it.
    assert HOSTILE in browser.texts(".reason h2")
    # Path, label, data set, subject, licence, device, split, style subject, attack type; and the domain.
    browser.go(f"#sample/{sample(1, 0)}-2")
    told = browser.texts("#detail dd")
    assert told.count(HOSTILE) >= 9 and f"toy|cam|{HOSTILE}" in told
    browser.go(f"#sample/{sample(0, 0)}")
    assert HOSTILE in browser.texts("#detail dd")
    browser.go(f"#sample/{sample(0, 0)}-2")
    assert HOSTILE in browser.texts("#detail dd")
    browser.go("#strips")
    browser.go("#scores")
    browser.go("#sample/%3Cimg src=x onerror=alert(4)%3E")
    assert "There is no such sample" in browser.texts("#detail p")[0]
    assert browser.run("document.querySelectorAll('img, iframe, object, embed, main script').length") == 0


def test_the_policy_lets_nothing_in(browser: Browser) -> None:
    refused = browser.run(
        """(async () => {
          const out = [];
          const script = document.createElement("script");
          try { script.textContent = "window.ran = 1"; document.body.append(script); } catch (error) { out.push("typed"); }
          try { document.body.innerHTML = "<b>x</b>"; } catch (error) { out.push("typed"); }
          try { await fetch("http://127.0.0.1:9/"); } catch (error) { out.push("fetch"); }
          return [...out, window.ran === undefined];
        })()"""
    )
    assert refused == ["typed", "typed", "fetch", True]
    assert browser.console
    browser.console.clear()
    browser.requests.clear()


def test_every_tile_leads_to_its_provenance(browser: Browser) -> None:
    browser.go("#samples")
    assert browser.run("document.querySelectorAll('.tile').length") == 30
    hashes = browser.run("[...document.querySelectorAll('.tile')].map((tile) => tile.hash)")
    assert f"#sample/{sample(2, 3)}" in hashes and f"#sample/{sample(2, 1)}-2" in hashes
    browser.go(f"#sample/{sample(2, 3)}")
    steps = browser.texts("#detail .step")
    assert len(steps) == 2 and "score" in steps[1] and "unit 2" in steps[1]
    assert browser.texts("#detail pre") == [f"fasgen trace {sample(2, 3)}"]
    assert browser.texts("#detail .cell")[:3] == ["crop", "reconstruction", "residual"]


def test_pictures_are_painted(browser: Browser) -> None:
    browser.go("#samples")
    images = browser.run("[...document.querySelectorAll('.tile .pic')].map((each) => each.style.backgroundImage)")
    assert len(images) >= 27 and all(image.startswith('url("blob:') for image in images)
    loads = f"""new Promise((done) => {{ const image = new Image(); image.onload = () => done(image.width);
        image.onerror = () => done(0); image.src = {images[0]!r}.slice(5, -2); }})"""
    assert browser.run(loads) >= 96


def test_filters_sorting_and_keys(browser: Browser) -> None:
    browser.key("5")
    assert browser.run("location.hash") == "#samples"
    choose = "(id, value) => { const s = document.getElementById(id); s.value = value; s.dispatchEvent(new Event('change')); }"
    browser.run(f"({choose})('f-kind', 'made')")
    assert browser.texts("#count") == ["12 of 30"]
    browser.run(f"({choose})('f-kind', '')")
    browser.run(f"({choose})('sort', 'brisque down')")
    first = browser.run("document.querySelector('.tile.here').title")
    assert first.startswith(f"{sample(0, 0)}-2") and "brisque 42.00" in first
    browser.run("document.getElementById('grid').focus()")
    browser.key("ArrowRight")
    second = browser.run("document.querySelector('.tile.here').title")
    assert second != first
    browser.key("Enter")
    assert browser.run("!document.getElementById('detail').hidden")
    browser.key("j")
    opened = browser.texts("#detail h2")[0]
    browser.key("Escape")
    assert browser.run("document.getElementById('detail').hidden")
    assert not second.startswith(f"{opened}:")
    browser.key("/")
    browser.wait("document.activeElement.id === 'f-text'")
    browser.run(
        "(() => { const t = document.getElementById('f-text'); t.value = 'folder/2-'; t.dispatchEvent(new Event('input')); })()"
    )
    assert browser.texts("#count") == [f"{5 + 2} of 30"]
    browser.key("Escape")
    browser.key("Escape")
    browser.wait("document.getElementById('count').textContent === '30 of 30'")


def test_scores_by_group_and_strips_worst_first(browser: Browser) -> None:
    browser.go("#scores")
    assert len(browser.texts(".multiples .name")) == 3
    assert "Drift along the shards" in browser.texts("main h2")
    browser.go("#strips")
    figures = [float(text) for text in browser.texts(".strip b")]
    assert figures == sorted(figures, reverse=True) or figures == sorted(figures)
    assert len(figures) == 20


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(browser: Browser, page: Path, dark: bool, tmp_path: Path) -> None:
    browser.dark(dark)
    browser.open(page)
    assert browser.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    browser.run("document.getElementById('theme').click()")
    assert browser.run("document.documentElement.dataset.theme") == ("light" if dark else "dark")
    browser.shot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 5000


def test_the_grid_makes_only_what_can_be_seen(browser: Browser) -> None:
    browser.go("#samples")
    browser.resize(600, 400)
    browser.frame()
    browser.frame()
    assert browser.run("document.querySelectorAll('.tile').length") < 30
    before = browser.run("document.querySelector('.tile').dataset.index")
    browser.run("document.getElementById('grid').scrollTop = 1e9")
    browser.frame()
    after = browser.run("[...document.querySelectorAll('.tile')].map((tile) => Number(tile.dataset.index))")
    assert max(after) == 29 and before is not None
    browser.resize(1280, 800)
