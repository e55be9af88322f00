"""Price tables: what comes with the package, what a user writes, and what is refused."""

import pytest

from snncore.energy import TABLES, PriceError, load_prices

GOOD = """
name = "mine"
process = "65 nm"
source = "measured"
[operation]
mac = 2.0
add = 0.5
mul = 1.5
compare = 0.5
[memory]
access_bytes = 4
sram = [[1000, 10.0], [2000, 30.0]]
dram_access = 640.0
"""


def test_horowitz_figures_are_those_of_the_field():
    prices = load_prices()
    assert (prices.mac, prices.add, prices.mul) == (4.6, 0.9, 3.7)
    assert prices.mac == pytest.approx(prices.mul + prices.add)
    assert "10.1109/ISSCC.2014.6757323" in prices.source
    assert load_prices("horowitz-45nm-int32").add == 0.1


@pytest.mark.parametrize("name", TABLES)
def test_every_table_loads_and_names_its_source(name):
    prices = load_prices(name)
    assert prices.name == name
    assert "doi:" in prices.source


def test_a_table_of_the_user(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    prices = load_prices(path)
    assert (prices.name, prices.mac, prices.special, prices.dram) == ("mine", 2.0, None, 640.0)
    path.write_text(GOOD.replace("compare = 0.5", "compare = 0.5\nspecial = 7.5"))
    assert load_prices(path).special == 7.5


@pytest.mark.parametrize(("capacity", "price"), [(0, 0), (500, 5), (1000, 10), (1500, 20), (2000, 30), (10**9, 30)])
def test_memory_price_is_linear_between_sizes(tmp_path, capacity, price):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    prices = load_prices(path)
    assert prices.sram_access(capacity) == pytest.approx(price)
    assert prices.sram_byte(capacity) == pytest.approx(price / 4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mac = 2.0\n", "", r"\[operation\] mac: expected a price in pJ, found none"),
        ("add = 0.5", "add = -0.5", r"\[operation\] add: expected a finite number of at least 0, found -0.5"),
        ("mul = 1.5", "mul = 'x'", r"\[operation\] mul: .* found 'x'"),
        ("mul = 1.5", "mul = inf", r"\[operation\] mul: expected a finite number"),
        ("mul = 1.5", "mul = 1.5\nbits = 0", "bits: expected a finite number of at least 1, found 0"),
        ("mul = 1.5", "mul = 1.5\nbits = 7.5", "bits: expected a whole number, found 7.5"),
        ("mul = 1.5", "mul = true", r"\[operation\] mul: expected a finite number"),
        ("[operation]", "[operations]", r"expected a section \[operation\], found None"),
        ("source", "sources", "expected a text 'source', found None"),
        ("access_bytes = 4", "access_bytes = 0", "access_bytes: expected a finite number of at least 1"),
        ("[2000, 30.0]", "[900, 30.0]", "sram: expected rising pairs"),
        ("[2000, 30.0]", "[2000]", "sram: expected rising pairs"),
        ("sram = [[1000, 10.0], [2000, 30.0]]\n", "", "sram: expected rising pairs .* found None"),
        ("[operation]", "[operation", "cannot be read as TOML"),
    ],
)
def test_bad_tables_name_the_file_and_the_price(tmp_path, old, new, message):
    path = tmp_path / "bad.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(PriceError, match=message) as error:
        load_prices(path)
    assert str(error.value).startswith(str(path))


def test_unknown_names_and_missing_files():
    with pytest.raises(PriceError, match=r"expected one of horowitz-45nm-fp16, .*found 'horowitz'"):
        load_prices("horowitz")
    with pytest.raises(PriceError, match="no such price table"):
        load_prices("nowhere/none.toml")
