"""A layer table counts what the network counts at rates of 0 and 1, the expectation in between, and a bracket of it."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from misnet.audit.layers import table_subject
from misnet.audit.layers_cells import parse_rate
from misnet.audit.layers_row import TEMPLATE, Rate, TableError
from misnet.audit.layers_table import read_table, table_text
from misnet.audit.report import report
from misnet.audit.text import audit_lines
from snncore import functions as F
from snncore.energy import RULES, apply_rule, load_prices
from snncore.opcount.columns import COLUMNS
from tests.misnet.audit.tables import TABLE, T, analog, counted, network, write

HEAD = "name,kind,in_channels,out_channels,size,kernel,stride,padding,values,rate,rate_other\n"


def subject_of(tmp_path, text, timesteps=T, rate=None):
    return table_subject(*write(tmp_path, text), timesteps, rate)


def differences(found, expected):
    """Columns whose counts differ by layer, or by timestep where each belongs to one."""
    wrong = {name for name in COLUMNS if found.totals()[name] != expected.totals()[name]}
    for layer in expected.layers():
        wrong |= {name for name in COLUMNS if found.totals(layer)[name] != expected.totals(layer)[name]}
    for name in ("ac_binary", "leak_mul", "spikes"):
        wrong |= {name} if found.by_timestep(name) != expected.by_timestep(name) else set()
    return wrong


@pytest.mark.parametrize("fires", [True, False])
def test_rates_of_0_and_1_count_as_the_network_does(tmp_path, fires):
    subject = subject_of(tmp_path, TABLE.format(r=int(fires)))
    ops = counted(network(fires), analog())
    high = subject.high or subject.ops
    assert differences(high, ops) == set()
    assert high.samples == 1
    for name in RULES:
        assert apply_rule(name, high).energy_mj == pytest.approx(apply_rule(name, ops).energy_mj, rel=1e-12), name
    if not fires:
        assert subject.high is None
        return
    assert subject.ops.totals()["ac_graded"] == 0  # at the lower end the graded layer has ones alone
    assert high.totals()["ac_graded"] > 0
    assert subject.parameters == sum(
        p.size for n, p in network(True).named_parameters() if n[:2] in ("0.", "4.", "7.")
    ) + (4 * 4 * 9 + 65)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("7,conv,4,6,4x2,3,2,1", "7,conv,4,6,4x2,3,2,2", "ac_graded"),
        ("2,lif,4", "2,if,4", "leak_mul"),
        ("10,linear,12,5,,,,,,yes", "10,linear,12,5,,,,,,no", "bias_add"),
        (",hard", ",soft", "reset_set"),
    ],
)
def test_a_wrong_table_is_caught(tmp_path, old, new, column):
    assert old in TABLE
    subject = subject_of(tmp_path, TABLE.format(r=1).replace(old, new))
    assert column in differences(subject.high, counted(network(True), analog()))


def test_a_rate_between_is_the_expectation(tmp_path):
    subject = subject_of(tmp_path, HEAD + "c,conv,3,5,8,3,1,1,binary,0.3,\n")
    assert subject.high is None
    dense = T * 22 * 22 * 3 * 5  # 7 + 8 + 7 taps a side inside the image
    assert subject.ops.totals()["ac_binary"] == round(Fraction(3, 10) * dense)
    assert sum(subject.ops.by_timestep("ac_binary")) == round(Fraction(3, 10) * dense)
    assert subject.ops.totals()["events_in"] == round(Fraction(3, 10) * T * 64 * 3)
    reading = apply_rule("syops", subject.ops)
    assert reading.ac == pytest.approx(0.3 * T * 64 * 9 * 3 * 5, rel=1e-12)  # padding taken for image
    assert "expectations" in " ".join(subject.warnings)


def test_the_expectation_is_the_mean_over_random_spikes(tmp_path):
    """Against 4,000 draws: the mean of the counts of a strided convolution with borders, within 4 standard errors."""
    subject = subject_of(tmp_path, HEAD + "c,conv,2,3,5x4,3x2,2x1,1x0,binary,40 %,\n", timesteps=1)
    x = (np.random.default_rng(0).random((1, 4000, 5, 4, 2)) < 0.4).astype(np.uint8)
    w, y = np.zeros((3, 2, 2, 3), np.float32), np.zeros((1, 4000, 3, 3, 3), np.float32)
    counts = F.Conv2d((2, 1), (1, 0)).cost((x, w, None), (y,)).blocks[0][1]["ac_binary"].ravel()
    error = counts.std() / len(counts) ** 0.5
    assert abs(subject.ops.totals()["ac_binary"] - counts.mean()) < 4 * error + 0.5


def test_two_trains_are_independent(tmp_path):
    text = HEAD + "add,residual,8,,4x4,,,,binary,0.5,0.25\nqk,matmul,8,6,4,,,,binary,0.5,0.25\n"
    ops = subject_of(tmp_path, text, timesteps=2).ops
    assert ops.totals("add")["residual_add"] == 2 * 128 // 8
    assert ops.totals("qk")["ac_binary"] == 2 * 4 * 8 * 6 // 8
    assert dict(ops.facts())["add"].events == 2 * 128 * 3 // 4


@pytest.mark.parametrize("values", ["binary", "graded 2", "graded 7", "averaged", "analog"])
@pytest.mark.parametrize("rates", [(0, 0.1), (0.1, 0.1), (0.2, 0.9), (0, 1)])
def test_a_bracket_has_its_ends_in_order(tmp_path, values, rates):
    low, high = rates
    other = f",{low}-{high}" if values in ("binary", "graded 2", "graded 7") else ","
    text = HEAD + f"a,conv,2,4,6,3,1,1,analog,,\nb,conv,4,4,6,3,2,1,{values},{low}-{high},\n"
    text += f"c,linear,12,4,,,,,{values},{low} - {high},\nd,lif,4,,,,,,,{low}-{high},\n"
    text += f"e,avg_pool,4,,4,2,2,0,{values},{low}-{high},\n" + (
        f"f,residual,4,,4x4,,,,{values},{low}-{high}{other}\n" if other != "," else ""
    )
    subject = subject_of(tmp_path, text)
    above = subject.high or subject.ops
    for name in RULES:
        ends = [apply_rule(name, ops).energy_mj for ops in (subject.ops, above)]
        assert ends[0] <= ends[1] * (1 + 1e-12), name
    total = [ops.totals()["ac_binary"] + ops.totals()["ac_graded"] for ops in (subject.ops, above)]
    assert total[0] <= total[1]
    if low == high and values == "binary":
        assert subject.high is None


def test_empty_cells_are_taken_for_what_is_documented(tmp_path):
    text = "name,kind,in_channels,out_channels,size\nstem,conv,3,4,8\nnext,conv,4,4,8\nfire,lif,4,,8x8\n"
    subject = subject_of(tmp_path, text)
    assert subject.ops.totals("stem")["mac"] == T * 22 * 22 * 3 * 4
    assert subject.ops.totals("next")["ac_binary"] == 0
    assert subject.high.totals("next")["ac_binary"] == T * 22 * 22 * 4 * 4
    assert any("no rate is given for next, fire" in text for text in subject.warnings)
    assert any("stem is taken for the first layer" in text for text in subject.warnings)
    one = subject_of(tmp_path, text, rate=Rate(Fraction(1, 10), Fraction(1, 10)))
    assert one.high is None
    assert one.ops.totals("fire")["spikes"] == round(T * 64 * 4 / 10)


def test_timesteps_and_repetition_of_a_row(tmp_path):
    text = "name,kind,in_channels,out_channels,size,timesteps,repeat,rate\nstem,conv,3,4,8,1,,\nblock,conv,4,4,8,,3,1\n"
    ops = subject_of(tmp_path, text, timesteps=5).ops
    assert ops.totals("stem")["mac"] == 22 * 22 * 3 * 4
    assert ops.totals("block")["ac_binary"] == 3 * 5 * 22 * 22 * 4 * 4
    assert len([call for call in ops.calls if call.layer == "block"]) == 3


def test_what_other_readings_ask(tmp_path):
    head = "name,kind,in_channels,out_channels,size,values,rate,input,decay\n"
    text = (
        head + "a,conv,3,4,8,analog,,still,\nb,conv,3,4,8,analog,,,\nc,lif,4,,8x8,,0.1,,0.3\nd,lif,4,,8x8,,0.1,,0.5\n"
    )
    text += "e,conv,4,4,8,averaged,0.2,,\n"
    ops = subject_of(tmp_path, text).ops
    mac = T * 22 * 22 * 3 * 4
    assert [ops.totals(name)["mac_repeated"] for name in "ab"] == [mac * (T - 1) // T, 0]  # all but the first timestep
    assert [ops.totals(name)["leak_shift"] for name in "cd"] == [0, (T - 1) * 8 * 8 * 4]
    assert ops.totals("e")["mac_averaged"] == ops.totals("e")["mac"] > 0
    assert [facts.largest for facts in (dict(ops.facts())[name] for name in "ae")] == [0, 0]
    reading = apply_rule("exact", ops)
    assert reading.low_mj < reading.energy_mj


def test_graded_values_reach_their_largest(tmp_path):
    subject = subject_of(tmp_path, HEAD + "a,conv,3,4,8,3,1,1,graded 3,0.1,\n")
    (name, low), (_, high) = subject.ops.facts()[0], subject.high.facts()[0]
    assert (name, low.largest, high.largest) == ("a", 3, 3)
    assert (low.effective_unit, low.effective) == (0, subject.ops.totals()["ac_binary"])
    assert apply_rule("neurobench", subject.high).ac == 0


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0.13", "13/100", "13/100"),
        ("13 %", "13/100", "13/100"),
        ("9.5-14%", "19/200", "7/50"),
        ("9.5 % - 14 %", "19/200", "7/50"),
        ("0.1 \u2013 0.3", "1/10", "3/10"),
        ("1e-3", "1/1000", "1/1000"),
        ("1e-3-2e-3", "1/1000", "1/500"),
        (".5", "1/2", "1/2"),
        ("0 to 1", "0", "1"),
    ],
)
def test_rates_are_read_exactly(text, low, high):
    assert parse_rate(text) == Rate(Fraction(low), Fraction(high))


@pytest.mark.parametrize(
    "text",
    ["", "0,13", "-0.1", "1.01", "101 %", "0.3-0.1", "nan", "inf", "0.1-0.2-0.3", "a", "1e999999", "0." + "1" * 99],
)
def test_other_rates_are_refused(text):
    with pytest.raises(ValueError, match=r"rate|share|lower"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "heading and a line for each layer, found neither"),
        ("# nothing\n\n", "found neither"),
        (HEAD, "found the heading alone"),
        (HEAD.replace(",", ";") + "c;conv\n", "line 1: expected commas between cells, found semicolons"),
        (HEAD.replace("rate,", "rates,"), "found 'rates' (nearest: rate)"),
        (HEAD.replace("kernel,", "rate,"), "expected each column once, found rate 2 times"),
        ("name,size\n", "expected a column kind"),
        (HEAD + "c,konv,1,1,8\n", "line 2, column kind: expected one of conv,"),
        (HEAD + "c,conv,,1,8\n", "column in_channels: expected a whole number of at least 1, found an empty cell"),
        (HEAD + "c,conv,1,x,8\n", "column out_channels: expected a whole number of at least 1, found 'x'"),
        (HEAD + "c,conv,1,1,\n", "column size: expected height and width"),
        (
            HEAD + "c,lif,1,,64\n",
            "column size: expected height x width such as 32x32, or tokens such as 196x1, found '64'",
        ),
        (HEAD + "c,conv,1,1,8x\n", "column size: expected a whole number of at least 1, or two"),
        (HEAD + "c,conv,1,1,2,5,1,0\n", "column size: expected at least 5 pixels"),
        (HEAD + "c,conv,1,1,8,3,0,1\n", "column stride"),
        (HEAD + "c,conv,1,1,8,3,1,1,ternary\n", "column values: expected binary, graded V"),
        (HEAD + "\n# c\nc,conv,1,1,8,3,1,1,binary,1.3\n", "line 4, column rate: expected a share of at most 1"),
        (HEAD + 'c,conv,1,1,8,3,1,1,binary,"0,3"\n', "column rate: expected a rate such as 0.13 or 13 %"),
        (HEAD + "c,conv,1,1,8,3,1,1,binary,,,9\n", "expected 11 cells as in the heading, found 12"),
        (HEAD + "c,conv,1,1,8\nc,conv,1,1,8\n", "column name: expected each name once, found 'c' in line 2 too"),
        (HEAD + 'c,"conv\n', "expected CSV, found a fault"),
        (HEAD + "c,linear,99999999,9,99999999\n", "expected a layer of at most 2,147,483,648 entries"),
        (HEAD + "c,linear,99999,99999,\n", "expected a layer of at most 2,147,483,648 weights"),
        (HEAD + "c,lif,1,,8x8,,,,graded 2\n", "column values: expected binary or nothing"),
        (HEAD + "c,residual,1,,8x8,,,,analog\n", "a residual adds two spike trains"),
        (HEAD + "c,avg_pool,4,,8,2,2,2\n", "column padding: expected at most half the kernel"),
        ("name,kind,in_channels,out_channels,size,groups\nc,conv,4,6,8,4\n", "out_channels: expected a multiple of 4"),
        (
            "name,kind,in_channels,decay\nc,lif,4,1\n",
            "column decay: expected a number from 0 to below 1, 1 - 1 / tau, found '1'",
        ),
        ("name,kind,in_channels,out_channels,size,bias\nc,conv,4,6,8,maybe\n", "column bias: expected yes or no"),
    ],
)
def test_a_table_that_cannot_be_taken_is_refused_by_place(tmp_path, text, words):
    with pytest.raises(TableError) as error:
        write(tmp_path, text)
    assert words in str(error.value)
    assert str(tmp_path / "net.csv") in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    file = tmp_path / "net.csv"
    file.write_bytes("name,kind\n".encode("utf-16"))
    with pytest.raises(TableError, match="in UTF-8, found byte 0xff"):
        read_table(file)


def test_marks_quotes_comments_and_line_ends(tmp_path):
    text = '\ufeff# comment\r\nName, Kind ,in_channels,out channels,size,values\r\n"a, b",conv,1,2,"4,3","graded 2"\r\n'
    file = tmp_path / "net.csv"
    file.write_bytes(text.encode())
    (row,) = read_table(file)
    assert (row.name, row.channels, row.size, row.values.top, row.line) == ("a, b", (1, 2), (4, 3), 2, 3)


def test_no_timesteps_are_refused(tmp_path):
    with pytest.raises(TableError, match="line 2, c: expected timesteps"):
        subject_of(tmp_path, HEAD + "c,conv,1,1,8\n", timesteps=None)


def test_report_and_text_show_both_ends(tmp_path):
    subject = subject_of(
        tmp_path, HEAD + "a,conv,2,4,6,3,1,1,analog,,\nb,conv,4,4,10,3,1,1,binary,10-20 %,\nc,lif,4,,6x6,,,,,0-1,\n"
    )
    prices = {"exact": load_prices(), "paper": load_prices()}
    readings = {name: apply_rule(name, subject.ops, prices[name]) for name in prices}
    found = json.loads(json.dumps(report(subject, readings, prices), allow_nan=False))
    ends = [end["rules"]["exact"]["per_sample"]["energy_mj"] for end in (found, found["high"])]
    assert ends[0] < ends[1]
    bracket = found["rules"]["exact"]["bracket"]
    assert bracket["low_mj_per_sample"] <= ends[0] < ends[1] <= bracket["high_mj_per_sample"]
    text = "\n".join(audit_lines(found))
    assert "0.1000 to 0.2000" in text
    assert "firing rate 0.0000 to 1.0000" in text


def test_the_template_reads(tmp_path):
    file, rows = write(tmp_path, TEMPLATE)
    assert {row.kind for row in rows} >= {"conv", "depthwise", "linear", "lif", "residual", "max_pool", "batch_norm"}
    subject = table_subject(file, rows, 4)
    assert subject.ops.totals()["mac"] == 4 * (32 * 3 - 2) ** 2 * 3 * 64


@pytest.mark.parametrize("source", [TEMPLATE, TABLE.format(r="1-2 %")])
def test_a_table_that_is_written_reads_as_it_was(tmp_path, source):
    _, rows = write(tmp_path, source)
    (tmp_path / "again.csv").write_text(table_text(rows))
    again = read_table(tmp_path / "again.csv")
    assert [replace(row, line=0) for row in again] == [replace(row, line=0) for row in rows]
