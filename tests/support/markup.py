"""A check of HTML pages that are to stand alone: what is open is closed, tables are whole, nothing is fetched."""

import re
from html.parser import HTMLParser

__all__ = ["faults"]

VOID = {"meta", "br", "img", "hr", "link", "input"}
CLOSED = {"rect"}  # of SVG, which may close itself


class _Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.found, self.seen, self.ids, self.rows = [], [], set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        names = [name for name, _ in attrs]
        if len({*names}) < len(names):
            self.found.append(f"<{tag}> has an attribute twice")
        values = dict(attrs)
        if tag == "html" and not values.get("lang"):
            self.found.append("<html> names no language")
        if tag == "meta" and values.get("name") == "viewport":
            self.seen.add("viewport")
        if tag == "meta" and values.get("charset"):
            self.seen.add("charset")
        if "id" in values and values["id"] in self.ids:
            self.found.append(f"id {values['id']} twice")
        self.ids.add(values.get("id"))
        inside = tag == "img" and (values.get("src") or "").startswith("data:image/png;base64,")
        if tag == "script" or any(
            (name in ("src", "href", "srcset") and not inside) or name.startswith("on") for name in names
        ):
            self.found.append(f"<{tag}> fetches or runs something")
        if tag == "svg" and not (values.get("aria-label") or values.get("aria-hidden")):
            self.found.append("<svg> without words")
        if tag == "table":
            self.rows.append([])
        if tag == "tr":
            self.rows[-1].append(0)
        if tag in ("td", "th"):
            self.rows[-1][-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag in CLOSED:
            self.open.pop()
        elif tag not in VOID:
            self.found.append(f"<{tag}/> does not close itself")

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.found.append(f"</{tag}> closes {self.open[-1] if self.open else 'nothing'}")
            return
        self.open.pop()
        if tag == "table" and len({*self.rows.pop()}) > 1:
            self.found.append("rows of a table differ in their number of cells")


def faults(page):
    """What is wrong with a page, in words; an empty list for a good one."""
    checker = _Checker()
    checker.feed(page)
    checker.close()
    found = checker.found
    found += [f"<{tag}> is never closed" for tag in checker.open]
    found += [f"no {what}" for what in ("title", "viewport", "charset", "h1") if what not in checker.seen]
    found += [] if page.lower().startswith("<!doctype html>") else ["no doctype"]
    found += ["style fetches something"] if re.search(r"url\(|@import", page) else []
    return found
