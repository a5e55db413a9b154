#!/usr/bin/env python3
"""Makes zones.jsonl and theory.txt from an unpacked release of the tz database.

    python3 make.py TZ_FOLDER OUT_FOLDER
"""

import json
import re
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path


def rows(path):
    """The rows of one of the database's tables, split at tabs."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def degrees(text):
    """+DDMM, +DDMMSS, +DDDMM or +DDDMMSS as decimal degrees."""
    digits = text[1:]
    whole = 2 if len(digits) in (4, 6) else 3
    parts = [int(digits[:whole]), int(digits[whole : whole + 2]), int(digits[whole + 2 :] or 0)]
    value = parts[0] + parts[1] / 60 + parts[2] / 3600
    return round(-value if text[0] == "-" else value, 4)


def zones(folder):
    """One JSON line for each time zone, by name."""
    names = dict(rows(folder / "iso3166.tab"))
    lines = []
    for row in rows(folder / "zone1970.tab"):
        codes = row[0].split(",")
        latitude, longitude = re.fullmatch(r"([+-]\d+)([+-]\d+)", row[1]).groups()
        record = {
            "id": row[2],
            "countries": codes,
            "country_names": [names[code] for code in codes],
            "latitude": degrees(latitude),
            "longitude": degrees(longitude),
            "comment": row[3] if len(row) > 3 else "",
        }
        lines.append(json.dumps(record, ensure_ascii=False))
    return "\n".join(sorted(lines)) + "\n"


class Text(HTMLParser):
    """Paragraphs of a page: (kind, text), without its navigation, styles and links."""

    def __init__(self):
        super().__init__()
        self.blocks, self.words, self.kind, self.hidden = [], [], "p", 0

    def cut(self, kind="p"):
        text = "".join(self.words)
        if text.strip():
            self.blocks.append((self.kind, text))
        self.words, self.kind = [], kind

    def handle_starttag(self, tag, _attributes):
        if tag in ("head", "nav"):
            self.hidden += 1
        elif tag in ("h1", "h2", "h3", "li", "pre", "dt", "dd"):
            self.cut(tag)
        elif tag in ("p", "ul", "dl", "section", "footer", "hr"):
            # A paragraph at the start of a list item belongs to its bullet.
            if tag != "p" or "".join(self.words).strip():
                self.cut()
        elif tag == "br":
            self.words.append(" ")

    def handle_endtag(self, tag):
        if tag in ("head", "nav"):
            self.hidden -= 1
        elif tag in ("h1", "h2", "h3", "li", "pre", "dt", "dd", "p", "ul", "dl", "section", "footer"):
            self.cut()

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)


def theory(folder):
    """The page theory.html as plain text, wrapped at 80 columns."""
    page = Text()
    page.feed((folder / "theory.html").read_text(encoding="utf-8"))
    page.cut()
    out = []
    for kind, text in page.blocks:
        if kind == "pre":
            out.append(textwrap.indent(text.strip("\n"), "    "))
            continue
        text = " ".join(text.split())
        if kind in ("h1", "h2", "h3"):
            out.append(("=" if kind == "h1" else "-" if kind == "h2" else "~") * len(text))
            out[-1] = text + "\n" + out[-1]
            continue
        first, rest = {"li": ("* ", "  "), "dd": ("    ", "    ")}.get(kind, ("", ""))
        out.append(textwrap.fill(text, 80, initial_indent=first, subsequent_indent=rest))
    return "\n\n".join(out) + "\n"


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    (target / "zones.jsonl").write_text(zones(source), encoding="utf-8")
    (target / "theory.txt").write_text(theory(source), encoding="utf-8")
