"""Tables for LaTeX: whatever a name holds is printed as it stands, and nothing stops the compiler."""

import re
import shutil
import subprocess

import pytest

from misnet.audit.latex import escape, latex_table
from misnet.audit.runs import runs_latex, side_by_side
from tests.misnet.audit.reports import make_report

EVIL = "\\input{a} $x_1^2$ 50% #1 a&b ~ {} -- \"q\" 'p' `o` <a|b> \N{MICRO SIGN} \N{LATIN SMALL LETTER E WITH ACUTE}"
EVIL += " \N{CJK UNIFIED IDEOGRAPH-4E2D} \x07 a\nb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 % #1 $", r"a\_b \& 5 \% \#1 \$"),
        ("\\x{y}", r"\textbackslash{}x\{y\}"),
        ("a^b~c", r"a\textasciicircum{}b\textasciitilde{}c"),
        ("exact-memory", "exact-memory"),
        ("a--b", "a-{}-b"),
        ("25 \N{MICRO SIGN}J", r"25 $\mu$J"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe"),
        ("\N{CJK UNIFIED IDEOGRAPH-4E2D}", "?"),
        ("a\n b", "a b"),
    ],
)
def test_escaping(text, expected):
    assert escape(text) == expected


def tables(name):
    """The table of one audit and of two runs, with a name wherever one can stand."""
    one = make_report(title=name, accuracy={name: 0.5})
    one["provenance"]["command"] = name
    one["rules"] = {name: one["rules"]["exact"], "paper": one["rules"]["paper"]}
    two = one | {"weights_sha256": "b" * 64, "run": one["run"] | {"folder": f"runs/{name}"}}
    return latex_table(one), runs_latex(side_by_side([one, two], name))


def test_nothing_that_a_name_holds_is_a_command():
    for text in tables(EVIL):
        assert text.isascii()
        assert text.startswith("% ")  # the command, in one comment
        body = text.partition("\n")[2]
        commands = {*re.findall(r"\\([a-zA-Z]+)", body)}
        assert commands <= {
            *("usepackage", "begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "mu"),
            *("textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar"),
            *("textasciigrave", "textquotesingle"),
        }
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_the_table_has_the_figures_and_a_caption_that_says_of_what():
    found = make_report()
    text = latex_table(found)
    exact = found["rules"]["exact"]
    one, spread = exact["per_sample"], exact["spread"]
    low, high = (exact["bracket"][f"{end}_mj_per_sample"] for end in ("low", "high"))
    counts = f"{one['mac'] / 1e3:.3f} & {one['ac'] / 1e3:.3f}"  # of a small network, in thousands
    assert "rule & MAC (k) & AC (k) & energy (mJ)" in text
    energies = f"{one['energy_mj']:.4g} & {low:.4g} to {high:.4g} & {spread['std']:.4g}"
    assert f"exact & {counts} & {energies} \\\\" in text
    found["high"] = make_report()
    found["high"]["rules"]["exact"]["per_sample"]["mac"] *= 2
    assert f"exact & {one['mac'] / 1e3:.3f} to {2 * one['mac'] / 1e3:.3f} & " in latex_table(found)
    caption = re.search(r"\\caption\{(.*)\}\n", text)[1]
    for words in (
        "T=3",
        "on noise (test)",
        "ean of 7 samples",
        "epoch 2 of 3, seed 0",
        r"av 75.00 \%",
        "horowitz-45nm-int32 for lemaire",
    ):
        assert words in caption


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex, to compile the tables")
def test_latex_compiles_them(tmp_path):
    packages = r"\usepackage{booktabs}\usepackage{textcomp}"
    body = "\n".join(tables(EVIL))
    (tmp_path / "a.tex").write_text(rf"\documentclass{{article}}{packages}\begin{{document}}{body}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
