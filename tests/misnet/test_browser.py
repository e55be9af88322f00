"""The pages of audits, reports and tables as a browser lays them out: on a telephone, a tablet and a screen."""

import html
import json
import re
import shutil
import subprocess

import pytest

from misnet.audit.html_page import page
from misnet.audit.runs import side_by_side
from misnet.audit.runs_page import runs_page
from misnet.paper.pages import Line, Page, to_html
from misnet.report.page import Group, report_page
from tests.misnet.audit.reports import make_report
from tests.misnet.report.runs import MADE, make_run, picture

WIDTHS = (400, 800, 1280)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless --no-sandbox --hide-scrollbars --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --enable-logging=stderr "
    "--virtual-time-budget=10000 --dump-dom"
)
MEASURE = """
addEventListener("load", () => {
  document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, wide = page.documentElement.clientWidth;
    const scrolls = x => x && (getComputedStyle(x).overflowX == "auto" || scrolls(x.parentElement));
    const past = [...page.body.querySelectorAll("*")].filter(
      x => x.getBoundingClientRect().right > wide + 1 && !scrolls(x.parentElement) && !x.closest("svg"));
    return {wide, scroll: page.documentElement.scrollWidth, past: past.map(x => x.outerHTML.slice(0, 60)),
      charts: [...page.querySelectorAll("svg.chart")].filter(x => x.getBoundingClientRect().height > 90).length,
      images: [...page.images].filter(x => x.complete && x.naturalWidth > 0).length,
      size: parseFloat(getComputedStyle(page.querySelector("td") || page.body).fontSize)};
  }));
});
"""


def measured(pages, folder):
    """Return what a browser says of each page at each width, and the errors that it printed."""
    frames = "".join(
        f'<iframe style="width:{w}px;height:900px;border:0" srcdoc="{html.escape(text)}"></iframe>'
        for text in pages
        for w in WIDTHS
    )
    file = folder / "frames.html"
    file.write_text(f"<!doctype html><title>none</title><script>{MEASURE}</script>{frames}", encoding="utf-8")
    command = [CHROMIUM, *OPTIONS.split(), f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    rows = json.loads(html.unescape(title[1]))
    errors = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return [rows[k : k + len(WIDTHS)] for k in range(0, len(rows), len(WIDTHS))], errors


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, to lay out the page")
def test_no_page_runs_off_its_width(tmp_path):
    deep = make_report(layers=60)
    other = make_report(weights_sha256="b" * 64, run=deep["run"] | {"folder": "runs/seed-1", "seed": 1})
    runs = [make_run(f"runs/{'x' * 60}/seed-{seed}", seed=seed, epochs=40) for seed in (0, 1)]
    runs[0].pictures = [picture(tmp_path / "raster.png")]
    lines = [["", *(f"column {k}" for k in range(12))], ["a long name of a network", *["50.00 +- 7.07"] * 12]]
    pages = [
        page(deep["title"], deep, ["claim: 1.32 mJ for one sample"]),
        runs_page(side_by_side([deep, other], "python tools/audit.py --runs runs/seed-0 runs/seed-1")),
        report_page(runs[:1], MADE),
        report_page(runs, MADE, [Group("n" * 60, runs)], lines, ["words"], ["note"]),
        to_html(Page("Table 7", "scale", "reproduce " + "x" * 200, (Line("row", "data", note="y" * 200),), True)),
        page("a" * 200, deep).replace("<h1>", '<div style="width:1400px">wide</div><h1>'),
    ]
    (one, several, report, reports, table, broken), errors = measured(pages, tmp_path)
    assert errors == []
    for found in (one, several, report, reports, table):
        assert [row["wide"] for row in found] == list(WIDTHS)
        assert [(row["scroll"] <= row["wide"], row["past"]) for row in found] == [(True, [])] * len(WIDTHS)
        assert min(row["size"] for row in found) >= 11  # pixels of a table's letters: nothing is scaled down
    assert [(row["charts"], row["images"]) for row in report] == [(4, 1)] * len(WIDTHS)  # curves, confusion; a picture
    assert [row["charts"] for row in reports] == [3 + 2 * 4] * len(WIDTHS)  # of the groups, and those of each run
    assert all(row["scroll"] > row["wide"] and row["past"] for row in broken)
