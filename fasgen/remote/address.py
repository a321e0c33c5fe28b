"""Which texts are addresses and not paths."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>/+.*|:.*://.*)", re.DOTALL)


HERE = frozenset({"file", "local"})
"""Schemes of this machine's own files."""


def scheme_of(text: str) -> str:
    """The scheme of an address, in lower case; empty for what is a path.

    Chained addresses (``zip://a::s3://b``) and such as have lost a slash (``s3:/b``) are addresses as well: a folder of that
    name is what nobody means. A drive of Windows has one letter.
    """
    match = _ADDRESS.fullmatch(text)
    return match["scheme"].lower() if match else ""


def fault_of(text: str) -> str:
    """What is wrong with an address, and what to write; empty if nothing is. For texts that have a scheme."""
    scheme, _, rest = text.partition(":")
    if scheme.lower() in HERE:
        return f"is an address of this machine: write /{rest.lstrip('/')}"
    if "::" in text:
        return "is a chain of addresses: give one, of a folder or file as it lies there"
    if not rest.startswith("//"):
        return f"has too few slashes for an address: write {scheme}://{rest.lstrip('/')}"
    if re.match("//[^/@]*:[^/@]*@", rest):
        return "holds a password, which would be written into stores and logs: leave it to the driver's own settings"
    if not rest.strip("/"):
        return "names nothing: write what lies there behind it"
    return ""
