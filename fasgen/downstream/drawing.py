"""Vector drawings of lines, areas and texts, written as SVG and as PDF."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A polyline or, filled, an area. Points from the upper left corner, in points of 1/72 inch."""

    points: tuple[Point, ...]
    colour: Colour
    width: float = 1.0
    filled: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; ``at`` is where its base line begins, ``upright`` turns it to read from below."""

    text: str
    at: Point
    size: float
    colour: Colour
    upright: bool = False


@dataclass(slots=True)
class Drawing:
    """What is drawn, in order, on a white page of ``width`` by ``height``."""

    width: float
    height: float
    items: list[Stroke | Text] = field(default_factory=list)

    def line(self, points: list[Point], colour: Colour, width: float = 1.0, dashed: bool = False) -> None:
        """A polyline."""
        self.items.append(Stroke(tuple(points), colour, width, dashed=dashed))

    def area(self, points: list[Point], colour: Colour) -> None:
        """A filled polygon; give a colour that is mixed with white already."""
        self.items.append(Stroke(tuple(points), colour, filled=True))

    def text(self, text: str, at: Point, size: float, colour: Colour, upright: bool = False) -> None:
        """A text."""
        self.items.append(Text(text, at, size, colour, upright))

    def svg(self) -> str:
        """The drawing as SVG."""
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}pt" height="{self.height:g}pt" font-family="Helvetica, Arial, sans-serif">',
            f'<rect width="{self.width:g}" height="{self.height:g}" fill="#fff"/>',
        ]
        for item in self.items:
            colour = "#{:02x}{:02x}{:02x}".format(*item.colour)
            if isinstance(item, Text):
                x, y = (f"{v:.2f}" for v in item.at)
                turn = f' transform="rotate(-90 {x} {y})"' if item.upright else ""
                words = escape(item.text)
                out.append(f'<text x="{x}" y="{y}" font-size="{item.size:g}" fill="{colour}"{turn}>{words}</text>')
                continue
            points = " ".join(f"{x:.2f},{y:.2f}" for x, y in item.points)
            if item.filled:
                out.append(f'<polygon points="{points}" fill="{colour}"/>')
            else:
                dash = ' stroke-dasharray="4 3"' if item.dashed else ""
                out.append(
                    f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{item.width:g}" '
                    f'stroke-linejoin="round"{dash}/>'
                )
        return "\n".join([*out, "</svg>\n"])

    def pdf(self) -> bytes:
        """The drawing as a PDF of one page, with the font Helvetica that every reader has."""
        drawn = [self._operators(item) for item in self.items]
        content = "\n".join(drawn).encode("cp1252", "replace")
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {self.width:g} {self.height:g}] /Contents 4 0 R "
            f"/Resources << /Font << /F 5 0 R >> >> >>".encode("ascii"),
            f"<< /Length {len(content)} >>\nstream\n".encode("ascii") + content + b"\nendstream",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        ]
        out, places = bytearray(b"%PDF-1.4\n"), []
        for number, one in enumerate(objects, 1):
            places.append(len(out))
            out += f"{number} 0 obj\n".encode("ascii") + one + b"\nendobj\n"
        table = "".join(f"{place:010d} 00000 n \n" for place in places)
        start, count = len(out), len(objects) + 1
        out += f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n".encode("ascii")
        return bytes(out + f"startxref\n{start}\n%%EOF\n".encode("ascii"))

    def _operators(self, item: Stroke | Text) -> str:
        """What paints an item; PDF counts from the lower left corner."""
        colour = " ".join(f"{v / 255:.3f}" for v in item.colour)
        if isinstance(item, Text):
            x, y = item.at[0], self.height - item.at[1]
            turn = "0 1 -1 0" if item.upright else "1 0 0 1"
            words = "".join(f"\\{c}" if c in "()\\" else c for c in item.text)
            return f"BT /F {item.size:g} Tf {colour} rg {turn} {x:.2f} {y:.2f} Tm ({words}) Tj ET"
        (x, y), *rest = [(x, self.height - y) for x, y in item.points]
        path = " ".join([f"{x:.2f} {y:.2f} m", *(f"{a:.2f} {b:.2f} l" for a, b in rest)])
        if item.filled:
            return f"{colour} rg {path} h f"
        return f"{colour} RG {item.width:g} w 1 j [{'4 3' if item.dashed else ''}] 0 d {path} S"

    def write(self, stem: Path) -> None:
        """Write ``<stem>.svg`` and ``<stem>.pdf``."""
        stem.with_name(stem.name + ".svg").write_text(self.svg(), "utf-8")
        stem.with_name(stem.name + ".pdf").write_bytes(self.pdf())
