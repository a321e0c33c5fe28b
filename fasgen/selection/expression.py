"""What a filter may say: one SQL expression of columns, literals, operators and a closed list of functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from fasgen.errors import FilterError

LONGEST = 20_000
"""Characters of an expression."""

_TEXT = """
abs ceil ceiling floor round trunc sign sqrt ln log log2 log10 exp pow power least greatest isnan isfinite isinf mod fmod xor
coalesce ifnull nullif if cast try_cast typeof bit_count hash md5 sha256
lower upper lcase ucase length strlen trim ltrim rtrim left right substring substr replace reverse strip_accents
contains starts_with ends_with prefix suffix position strpos instr regexp_matches regexp_full_match
split_part string_split str_split concat concat_ws levenshtein jaccard hamming
list_contains array_contains list_has array_has list_has_any list_has_all len list_length array_length
list_extract list_element list_sum list_avg list_min list_max list_position list_distinct list_unique
"""

DEEPEST = 32
"""Brackets inside of brackets."""

REPLACEMENT = 64
"""Characters of a text that `replace` puts in."""

FUNCTIONS = frozenset(_TEXT.split())
"""Functions that a filter may call: they look at their arguments and at nothing else. None makes much of little but
``replace``, whose texts are short and written out, and which stands in no other (`_Calls`)."""

_WORDS = "and or not in when then else case between like ilike is distinct from similar to escape as"
_BEFORE_BRACKET = frozenset(_WORDS.split())
"""Words of SQL's expressions that a bracket may follow."""

_REFUSED = frozenset(
    {"select", "table", "values", "with", "attach", "detach", "copy", "pragma", "install", "load", "set", "reset", "create"}
    | {"insert", "update", "delete", "drop", "alter", "call", "export", "import", "use", "checkpoint", "vacuum", "execute"}
    | {"prepare", "deallocate", "begin", "commit", "rollback", "union", "except", "intersect", "limit", "order", "group"}
    | {"having", "window", "qualify", "over", "lambda", "pivot", "unpivot", "describe", "summarize", "exists", "any", "all"}
)

_TOKEN = re.compile(
    r"""(?P<space>[^\S\x00]+)
    |(?P<comment>--|/\*|\#)
    |(?P<text>'(?:[^'\x00]|'')*')
    |(?P<quoted>"(?:[^"\x00]|"")*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d]\w*)
    |(?P<other>[^;'"$?`\\\x00-\x1f\x7f])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        sql: as DuckDB gets it.
        names: columns that it may name.
    """

    sql: str
    names: set[str]


def translate(text: str, known: Sequence[str]) -> Expression:
    """The expression with double-quoted texts made SQL texts, and the columns it names.

    Args:
        text: as the user wrote it.
        known: all columns.

    Raises:
        FilterError: it is more than one expression, calls a function that is not on the list, or is too long.
    """
    if len(text) > LONGEST:
        raise FilterError(f"a filter may have {LONGEST} characters, this one has {len(text)}: say it in fewer words")
    parts: list[str] = []
    names: set[str] = set()
    calls = _Calls(text)
    depth = 0
    last = before = ("space", "")
    for kind, token in _tokens(text):
        _check_place(text, kind, token, last, before)
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            break
        if depth > DEEPEST:
            raise FilterError(
                f"a filter may nest brackets {DEEPEST} deep, this one goes deeper: say it in parts, joined by and"
            )
        last = kind, token
        if kind != "space":
            calls.take("column" if kind == "quoted" and token[1:-1].replace('""', '"') in known else kind, token, before)
            before = kind, token
        if kind == "quoted" and (name := token[1:-1].replace('""', '"')) not in known:
            token = "'" + name.replace("'", "''") + "'"
        elif kind == "quoted":
            names.add(name)
        elif kind == "word":
            names |= {column for column in known if column.lower() == token.lower()}
        parts.append(token)
    if depth != 0:
        raise FilterError(f"filter {text!r}: brackets do not match")
    return Expression("".join(parts).strip(), names)


class _Calls:
    """Follows the calls of an expression and refuses a ``replace`` that could make gigabytes of a name.

    Args:
        text: the expression, for messages.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[tuple[str, list[list[tuple[str, str]]]]] = []

    def take(self, kind: str, token: str, before: tuple[str, str]) -> None:
        """One token that is no space, and the one before it."""
        name, arguments = self._open[-1] if self._open else ("", [[]])
        if token in ("(", "[", "{") and kind == "other":
            called = before[1].lower() if token == "(" and before[0] == "word" else ""
            if called == "replace" and any(above == "replace" for above, _ in self._open):
                raise FilterError(f"filter {self._text!r}: a replace inside of a replace makes too much of little: use one")
            arguments[-1].append((kind, token))
            self._open.append((called, [[]]))
        elif token in (")", "]", "}") and kind == "other":
            if name == "replace":
                self._check(arguments)
            if self._open:
                self._open.pop()
        elif token == "," and kind == "other":
            arguments.append([])
        else:
            arguments[-1].append((kind, token))

    def _check(self, arguments: list[list[tuple[str, str]]]) -> None:
        for argument in arguments[1:]:
            if len(argument) != 1 or argument[0][0] not in ("text", "quoted") or len(argument[0][1]) > REPLACEMENT + 2:
                raise FilterError(
                    f"filter {self._text!r}: what replace looks for and puts in are texts of {REPLACEMENT} characters at most, "
                    "written out: replace(path, 'old', 'new')"
                )


def unknown(name: str, known: Sequence[str]) -> FilterError:
    """The error for a column that no manifest has."""
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return FilterError(f"there is no column {name!r}{hint} Columns: {', '.join(known)}")


def _check_place(text: str, kind: str, token: str, last: tuple[str, str], before: tuple[str, str]) -> None:
    """Refuse what is no part of an expression where it stands."""
    word = token.lower() if kind == "word" else ""
    if word in _REFUSED or (word == "from" and before[1].lower() != "distinct"):
        raise FilterError(
            f"filter {text!r}: {token!r} is not allowed: a filter is one expression, it neither selects nor changes "
            f"(a text goes into quotes: '{token}')"
        )
    # E'..' and U&'..' end elsewhere than the texts that this file knows, so what follows could be anything.
    if kind in ("text", "quoted") and (last[0] in ("word", "number", "text", "quoted") or last[1] == "&"):
        raise FilterError(f"filter {text!r}: {last[1] + token!r} is not allowed: put a space between a word and a text")
    if token == "(" and before[0] in ("word", "quoted", "text"):
        name = before[1].lower()
        if before[0] != "word" or name not in FUNCTIONS | _BEFORE_BRACKET:
            near = get_close_matches(name, sorted(FUNCTIONS), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise FilterError(f"filter {text!r}: {before[1]!r} is no function that a filter may call{hint}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup == "comment":
            raise FilterError(
                f"filter {text!r}: {text[position : position + 12]!r} is not allowed: one expression, "
                "texts in closed quotes, no comments, no semicolons"
            )
        yield str(match.lastgroup), match[0]
        position = match.end()
