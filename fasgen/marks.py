"""The mark by which machines know that a picture was generated: IPTC's Digital Source Type in an XMP packet of a PNG.

Sources: PNG 3rd edition, 11.3.3.4 (iTXt); XMP specification part 3, 1.1.5 (keyword ``XML:com.adobe.xmp``); IPTC Photo Metadata
2023.1 and its NewsCodes ``digitalsourcetype``.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Literal

Term = Literal["compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"]
"""Made from a photograph by a trained network; made from photographs by an algorithm that was not trained."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = len(_SIGNATURE) + 4 + 4 + 13 + 4
_NEWSCODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_TERM = re.compile(re.escape(_NEWSCODES).encode() + rb"(\w+)")
_PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{source}"/></rdf:RDF></x:xmpmeta>'
)


def mark(png: bytes, term: Term) -> bytes:
    """``png`` with the mark behind its header; the same bytes for the same picture, and the same pixels.

    Raises:
        ValueError: these are not the bytes of a PNG.
    """
    if png[:8] != _SIGNATURE or png[12:16] != b"IHDR":
        raise ValueError("only a PNG can be marked")
    data = b"XML:com.adobe.xmp\0\0\0\0\0" + _PACKET.format(source=_NEWSCODES + term).encode("ascii")
    chunk = b"iTXt" + data
    return png[:_HEAD] + struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[_HEAD:]


def marked(png: bytes) -> str:
    """The term of a PNG's mark; empty for a picture without one."""
    at = len(_SIGNATURE)
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0"):
            found = _TERM.search(data)
            return found[1].decode("ascii") if found else ""
        if kind == b"IDAT":
            return ""
        at += 12 + length
    return ""
