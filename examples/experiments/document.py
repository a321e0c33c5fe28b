"""The tables of docs/experiments.md, written between its marks from the scores in out/sets and out/augment: no figure is typed.

    python examples/experiments/document.py [--check]

Fills the document, or says that it is not what the scores give.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fasgen.downstream.evaluate import Evaluation

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
AUGMENT = ROOT / "out" / "augment"
SETS = ROOT / "out" / "sets" / "tables"
DRAWS = 1000
DOCUMENT = ROOT / "docs" / "experiments.md"
MARK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of them the header, words to the left and figures to the right."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| --- |" + " ---: |" * (len(rows[0]) - 1))
    return "\n".join(lines) + "\n"


def sets() -> dict[str, str]:
    """Of three data sets against each other: both readings of each method over all cuts, and each cut with intervals.

    An interval is that of the first seed: 95 %, over people.
    """
    from dataclasses import replace

    from fasgen.downstream.evaluate import Settings, evaluate, trials
    from fasgen.downstream.scores import read_scores
    from fasgen.downstream.summary import HEADER, summary_rows

    plain = Settings("frame", bootstrap=0)
    by_family: dict[str, list[Evaluation]] = {}
    for path in sorted(SETS.glob("*.parquet")):
        for trial in trials(read_scores(path)):
            found = evaluate(trial, plain if trial.seed != "0" else replace(plain, bootstrap=DRAWS))
            by_family.setdefault(found.family, []).append(found)
    out = {}
    for family, found in by_family.items():
        name = f"sets/{family.split()[0]}"
        out[f"{name}/summary"] = markdown([HEADER, *summary_rows(found)])
        rows = [
            [
                "method, tested",
                "live",
                "spoof",
                *(f"{title} {at}" for title in ("HTER", "AUC") for at in ("realistic", "interval", "idealised")),
            ]
        ]
        for method, protocol in dict.fromkeys((one.method, one.protocol) for one in found):
            runs = [one for one in found if (one.method, one.protocol) == (method, protocol)]
            first = next(one for one in runs if one.seed == "0")
            cells = [f"{method}, {protocol.partition('/')[2]}", str(first.live), str(first.spoof)]
            for figure in ("hter", "auc"):
                low, high = first.intervals[figure]
                real, ideal = ([100 * getattr(one, at).values[figure] for one in runs] for at in ("realistic", "idealised"))
                cells += [spread(real), f"{100 * low:.1f} to {100 * high:.1f}", spread(ideal)]
            rows.append(cells)
        out[f"{name}/cuts"] = markdown(rows)
    return out


def augment(method: str = "physical") -> dict[str, str]:
    """What synthetic spoofs are worth beside all of the real ones: figures, and the relative change of HTER."""
    report = json.loads((AUGMENT / f"augment-{method}.json").read_text("utf-8"))
    name = "augment" if method == "physical" else f"augment-{method}"
    out = {}
    for protocol, found in report.items():
        if not isinstance(found, dict):
            continue
        groups = list(next(iter(found.values())))
        rows = [
            ["spoofs", "HTER", "over groups", "relative HTER", "groups won", "AUC", "over groups", "AUC gain", "groups won"]
        ]
        rows[0] += [f"HTER {group}" for group in groups]
        # [group][seed], in %
        figures = {
            (arm, key): [[100 * run[key] for run in runs[group]] for group in groups]
            for arm, runs in found.items()
            for key in ("hter", "auc")
        }
        real = next(iter(found))
        base, area = figures[real, "hter"], figures[real, "auc"]
        for arm in found:
            hter, auc = figures[arm, "hter"], figures[arm, "auc"]
            seeds = list(zip(seed_means(hter), seed_means(base), strict=True))
            gain = [new - old for new, old in zip(seed_means(auc), seed_means(area), strict=True)]
            change, lower = spread([100 * (new / old - 1) for new, old in seeds], "+"), won(base, hter)
            compared = ["-"] * 4 if arm == real else [change, lower, spread(gain, "+"), won(auc, area)]
            rows.append(
                [arm, spread(seed_means(hter)), over(hter), *compared[:2], spread(seed_means(auc)), over(auc), *compared[2:]]
                + [spread(values) for values in hter]
            )
        out[f"{name}/" + ("photographs" if protocol.startswith("photographs") else "replays")] = markdown(rows)
    return out


def spread(values: Sequence[float], sign: str = "") -> str:
    """Mean and standard deviation of the sample."""
    return f"{mean(values):{sign}.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def seed_means(values: Sequence[Sequence[float]]) -> list[float]:
    """[group][seed] to the mean over groups of each seed."""
    return [mean(group) for group in zip(*values, strict=True)]


def over(values: Sequence[Sequence[float]]) -> str:
    """[group][seed] to the deviation of the groups' means."""
    return f"{stdev(mean(group) for group in values):.2f}"


def won(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> str:
    """In how many groups the mean of the first lies above that of the second."""
    return f"{sum(mean(a) > mean(b) for a, b in zip(above, below, strict=True))} of {len(above)}"


def fill(text: str, found: dict[str, str]) -> str:
    """The document with every marked table anew that was found; the others stay."""
    return MARK.sub(lambda match: f"{match[1]}\n{found[match[2]]}\n{match[3]}" if match[2] in found else match[0], text)


def main(arguments: Sequence[str]) -> int:
    if [*arguments] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = DOCUMENT.read_text("utf-8")
    found: dict[str, str] = {}
    for place, make in (
        (SETS, sets),
        (AUGMENT / "augment-physical.json", augment),
        (AUGMENT / "augment-difffas.json", partial(augment, "difffas")),
    ):
        if place.exists():
            found |= make()
        else:
            print(f"{place} is not there: its tables stay as they are", file=sys.stderr)
    new = fill(text, found)
    if arguments and new != text:
        print(f"{DOCUMENT}: is not what the scores give; run {Path(__file__).name}", file=sys.stderr)
        return 1
    DOCUMENT.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
