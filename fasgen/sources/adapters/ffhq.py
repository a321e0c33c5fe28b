"""FFHQ (Karras, Laine and Aila, CVPR 2019): 70,000 live faces, aligned, each taken as a person of its own.

Every picture has a licence of its own, some of them non-commercial; the data set's JSON names it.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Annotation, Ignored, Lookup, Published, Rule, Table

# The first 60,000 are for training; the JSON says the same.
_NUMBERS = {r"[0-5]\d{4}": {"split": "train"}, r"6\d{4}": {"split": "dev"}}
_SAYS = {"label": "live", "subject": "{number}", "subject_is_pseudo": "true"}

TABLE = Table(
    name="ffhq",
    about="70,000 live faces of the web",
    licence="FFHQ: CC BY-NC-SA 4.0 as a collection",
    layout=("images1024x1024/00000/00000.png to images1024x1024/69000/69999.png", "ffhq-dataset-v2.json for licences"),
    rules=(
        Rule(
            path=r"images1024x1024/(?:\d{5}/)?(?P<number>\d{5})",
            extensions=("png", "jpg", "webp"),
            says=_SAYS,
            lookups=(Lookup(by="{number}", codes=_NUMBERS),),
        ),
        Rule(
            path=r"(?:thumbnails128x128|in-the-wild-images)/(?:\d{5}/)?(?P<number>\d{5})",
            extensions=("png", "jpg"),
            says=_SAYS,
            lookups=(Lookup(by="{number}", codes=_NUMBERS),),
            repeats="thumbnail or uncropped version of a picture that is there",
        ),
    ),
    annotations=(
        Annotation(
            file=r"ffhq-dataset-v\d\.json",
            format="json",
            key="{number}",
            record_key="{key:05}",
            says={"licence": "FFHQ: {metadata.license}"},
            without="licences of single pictures",
        ),
    ),
    ignore=(
        Ignored(path=r"(?i)(?:.*/)?(?:readme|licen[cs]e)[^/]*", why="read-me or licence"),
        Ignored(path=r"(?:tfrecords|zips)/.*", why="the same pictures in another format"),
    ),
    published=(
        Published(files=70_000, live=70_000, spoof=0),
        Published(split="train", files=60_000),
        Published(split="dev", files=10_000),
    ),
)
