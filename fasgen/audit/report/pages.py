"""The page put together: markup, style, program, data and pictures in one file that reaches for nothing outside itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files

from fasgen.audit.report.illustrate import Pictures

STYLES = ("page.css", "parts.css")
SCRIPTS = (
    *("data.js", "build.js", "pictures.js", "totals.js", "overview.js", "drawn.js", "night.js", "export.js", "filters.js"),
    *("scores.js", "strips.js", "grid.js", "detail.js", "main.js"),
)

_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src blob:; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def assemble(data: str, pictures: Pictures) -> bytes:
    """The page.

    Its content security policy lets this one script and this one style sheet run, by their digests, and no connection be made;
    nothing that a file name or a label holds can become markup or code. Data and pictures lie in script elements of type
    text/plain, which no browser runs, as base64.

    Args:
        data: the document, as ``Bundle.encode`` gives it.
        pictures: thumbnails and strips.
    """
    folder = files("fasgen.audit.report") / "page"
    style = "\n".join((folder / name).read_text("utf-8") for name in STYLES)
    script = '"use strict";\n(() => {\n' + "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS) + "\n})();\n"
    policy = _POLICY.format(script=_digest(script), style=_digest(style))
    html = (folder / "page.html").read_text("utf-8")
    for name, text in {"policy": policy, "style": style, "blocks": "".join(_blocks(data, pictures)), "script": script}.items():
        before, mark, after = html.partition(f"<!--{name}-->" if name != "policy" else "POLICY")
        if not mark:
            raise ValueError(f"page.html has no place for its {name}")
        html = before + text + after
    return html.encode("utf-8")


def _blocks(data: str, pictures: Pictures) -> Iterator[str]:
    for name, text in _named(data, pictures):
        yield f'<script type="text/plain" id="{name}">{text}</script>\n'


def _named(data: str, pictures: Pictures) -> Iterator[tuple[str, str]]:
    yield "data", data
    for number, plate in enumerate(pictures.plates):
        yield f"plate-{number}", plate
    for number, strip in enumerate(pictures.strips):
        yield f"strip-{number}", strip


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
