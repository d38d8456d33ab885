"""What becomes of the columns of a user's table: roles, kinds, splits, and all that is wrong at once."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command import call_main

from attribution_suite import InputError, describe, load_dataset
from attribution_suite.auditing.run import load_all
from attribution_suite.auditing.spec import make_spec
from attribution_suite.datasets.own_columns import mending
from attribution_suite.datasets.own_kinds import looks_like_identifier
from attribution_suite.datasets.own_split import own_split
from attribution_suite.datasets.request import Frames

ROWS = 120


def odd() -> pd.DataFrame:
    """A table with a column of every kind that cannot be an input as it is, and of every kind that can."""
    generator = np.random.default_rng(0)
    days = pd.date_range("2019-11-03", periods=ROWS, freq="9D")
    city = [f"town {k % 40}" if k < 80 else f"hamlet {k}" for k in range(ROWS)]
    return pd.DataFrame({
        "age": generator.integers(18, 60, ROWS), "income": generator.lognormal(9, 1, ROWS).round(),
        "customer_id": generator.choice(10**8, ROWS, replace=False), "token": [f"x{k:03}" for k in range(ROWS)],
        "opened": days.strftime("%d.%m.%Y"), "fixed": 3, "city": city, "years": 0,
        "note": [f"called about case {k % 70}" for k in range(ROWS)],
        "grade": generator.choice(["low", "mid", "high"], ROWS), "branch": generator.integers(1, 6, ROWS),
        "person": [f"p{k // 3}" for k in range(ROWS)],
    }).assign(years=lambda frame: frame["age"], y=generator.standard_normal(ROWS))


MENDED = {"drop": ["token", "fixed", "years", "note"], "id": "customer_id", "dates": ["opened"], "group_rare": 2,
          "group_by": "person", "ordinal": ["grade=low<mid<high"], "categorical": ["branch"]}


def test_all_that_cannot_be_inputs_is_named_at_once_with_the_words_that_mend_it() -> None:
    with pytest.raises(InputError) as caught:
        load_dataset(odd(), target="y")
    told = str(caught.value)
    for column, reason in {"customer_id": "is an identifier", "token": "is an identifier", "opened": "holds dates",
                           "fixed": "is always 3", "city": "80 different values", "note": "it is free text",
                           "age' and 'years": "are the same in every row"}.items():
        assert re.search(rf"'{column}'[^;]* {reason}", told), (column, told)
    assert "column 'age'" not in told and "column 'income'" not in told and "\n" not in told
    words = re.search(r"--.*(?= \(in Python)", told)[0].split()  # type: ignore[index]
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options == {"--id": "customer_id", "--dates": "opened", "--drop": "token,fixed,years,note",
                       "--group-rare": "2"}


def test_the_words_that_are_named_mend_the_table(tmp_path: Path) -> None:
    """The command, word by word, makes `describe` find nothing more."""
    frame = odd().drop(columns="token")
    frame.to_csv(tmp_path / "t.csv", index=False)
    status, told, _ = call_main("describe", "t.csv", "--target", "y", cwd=tmp_path)
    assert status == 0
    words = told.partition("what mends it: ")[2].split()
    assert words and "CANNOT BE AN INPUT" in told
    status, told, _ = call_main("describe", "t.csv", "--target", "y", *words, cwd=tmp_path)
    assert status == 0
    assert "CANNOT" not in told and "what mends it" not in told
    for line in ("age +a number", "opened +opened year, opened month, opened weekday: 3 numbers", "grade +3 categories",
                 "customer_id +names the rows", "fixed +dropped"):
        assert re.search(rf"^  {line}", told, re.MULTILINE), (line, told)
    load_dataset(tmp_path / "t.csv", target="y", id="customer_id", dates=["opened"], group_rare=2,
                 drop=["fixed", "years", "note"])


def test_describe_says_what_load_does() -> None:
    lines = describe(odd(), target="y", **MENDED)
    inputs = {line.split()[0] for line in lines if line.startswith("  ") and "no input" not in line
              and "dropped" not in line}
    assert inputs == set(load_dataset(odd(), target="y", **MENDED).groups)
    assert any("no target is named" in line for line in describe(odd()))
    with pytest.raises(InputError, match="only files and DataFrames are described"):
        describe("iris")


def test_each_role_makes_of_a_column_what_it_says() -> None:
    frame, dataset = odd(), load_dataset(odd(), target="y", **MENDED)
    names = dataset.feature_names

    def values(*features: str) -> np.ndarray:
        return dataset.inputs[:, [names.index(feature) for feature in features]].T

    days = pd.to_datetime(frame["opened"], format="%d.%m.%Y")
    np.testing.assert_array_equal(values("opened year", "opened month", "opened weekday"),
                                  [days.dt.year, days.dt.month, days.dt.day_of_week])
    assert [names[k] for k in dataset.columns("opened")] == ["opened year", "opened month", "opened weekday"]
    np.testing.assert_array_equal(values("grade")[0], frame["grade"].map({"low": 0, "mid": 1, "high": 2}))
    np.testing.assert_array_equal(values(*(f"branch={k}" for k in range(1, 6))), [frame["branch"] == k
                                                                                for k in range(1, 6)])
    np.testing.assert_array_equal(values("city=(rare)")[0], frame["city"].str.startswith("hamlet"))
    assert set(dataset.levels) == {"city", "branch"} and "(rare)" in dataset.levels["city"]
    assert len(dataset.levels["city"]) == 41 == len(dataset.columns("city"))
    assert set(dataset.groups) == {"age", "income", "opened", "city", "grade", "branch"}
    assert any("'(rare)', in city (40)" in note for note in dataset.notes)


@pytest.mark.parametrize("test_file", [False, True])
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_rows_of_one_group_stay_in_one_part(task: Any, test_file: bool) -> None:
    generator = np.random.default_rng(2)
    people = pd.Series(np.sort(generator.integers(0, 90, 600)).astype(str))
    targets = (generator.random(600) < 0.3).astype(np.float32)
    is_test = np.isin(people, [str(k) for k in range(10)]) if test_file else None
    drawn = [own_split(targets, task, seed, people, is_test) for seed in (0, (0, 1))]
    for parts in drawn:
        held = [set(people[part]) for part in parts]
        assert sorted(np.concatenate(parts)) == list(range(600)) and sum(map(len, held)) == people.nunique()
        sizes = np.array([len(part) for part in parts]) / 600
        if is_test is None:
            np.testing.assert_allclose(sizes, [0.7, 0.15, 0.15], atol=0.03)
        else:
            np.testing.assert_array_equal(np.sort(parts[2]), np.flatnonzero(is_test))
            assert sizes[0] / sizes[1] == pytest.approx(0.7 / 0.15, rel=0.2)
    assert set(drawn[0][0]) != set(drawn[1][0])


def test_without_groups_people_are_in_several_parts() -> None:
    """The control: the split at random does what `group_by` prevents."""
    people, parts = np.repeat(np.arange(40), 15), own_split(np.arange(600.0), "regression", 0)
    assert set(people[parts[0]]) & set(people[parts[2]])


def test_a_test_file_gives_the_test_rows(tmp_path: Path) -> None:
    frame = odd()[["age", "city", "grade", "y"]].iloc[:100]
    later = pd.DataFrame({"y": [1.0, 2.0, np.nan], "grade": ["new", "low", "mid"], "age": [30, 31, 32], "city": "x"})
    later.to_csv(tmp_path / "later.csv", index=False)
    dataset = load_dataset(frame, target="y", group_rare=2, test=tmp_path / "later.csv")
    assert sorted(dataset.test_rows) == [100, 101] and len(dataset.train_rows) == 82
    assert sorted(dataset.targets[dataset.test_rows]) == [1, 2]
    assert "later.csv" in dataset.provenance.note and "1 rows without a value" in "; ".join(dataset.notes)
    other = load_dataset(frame, target="y", group_rare=2, test=tmp_path / "later.csv", split=1)
    assert sorted(other.test_rows) == [100, 101] and set(other.train_rows) != set(dataset.train_rows)
    shown = load_dataset(frame, target="y", group_rare=2, test=later)
    np.testing.assert_array_equal(shown.inputs, dataset.inputs)
    assert sorted(shown.test_rows) == [100, 101] and shown.provenance.note.endswith("of a DataFrame")
    frame.to_csv(tmp_path / "now.csv", index=False)
    both = load_all(make_spec([str(tmp_path / "now.csv")], target="y", own={"group_rare": 2, "test": "DataFrame"}),
                    {str(tmp_path / "now.csv"): Frames(None, later)})
    np.testing.assert_array_equal(both["now", 0].inputs[:, :-1], dataset.inputs)  # the last one is the decoy
    with pytest.raises(InputError, match="cannot be loaded again"):
        load_dataset(frame, target="y", test="DataFrame")
    later.drop(columns=["grade", "age"]).to_csv(tmp_path / "later.csv", index=False)
    with pytest.raises(InputError, match="has no column 'age', 'grade'"):
        load_dataset(frame, target="y", test=tmp_path / "later.csv")


COUNTS = np.arange(200)
IDENTIFIERS = {
    "a run of numbers": (pd.Series(COUNTS, name="x"), True),
    "shuffled, in tens": (pd.Series(np.random.default_rng(0).permutation(COUNTS) * 10, name="x"), True),
    "measured, by chance all different": (pd.Series(COUNTS * 7919 % 10**6 + 17, name="x"), False),
    "the same, named so": (pd.Series(COUNTS * 7919 % 10**6 + 17, name="customer_id"), True),
    "named so in one word": (pd.Series(COUNTS * 7919 % 10**6 + 17, name="customerId"), True),
    "a name that ends alike": (pd.Series(COUNTS * 7919 % 10**6 + 17, name="humid"), False),
    "one twice": (pd.Series([0, *COUNTS[:-1]], name="id"), False),
    "fractions": (pd.Series(COUNTS + 0.5, name="id"), False),
}


@pytest.mark.parametrize("case", IDENTIFIERS)
def test_identifiers_are_told_from_measurements(case: str) -> None:
    column, expected = IDENTIFIERS[case]
    assert looks_like_identifier(column) is expected


def test_measured_whole_numbers_are_rarely_taken_for_identifiers() -> None:
    """At most 1 %, whatever the range: only all-different values are, the less likely the narrower the range."""
    generator = np.random.default_rng(5)
    taken = [looks_like_identifier(pd.Series(generator.integers(0, top, 100), name="x"))
             for top in (100, 900, 1100, 3000, 10**6) for _ in range(200)]
    assert np.mean(taken) <= 0.01


BAD_WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "an id that repeats": ({"id": "age"}, "'age' is the same in several rows.*'group_by'"),
    "text in no order": ({"ordinal": ["grade"]}, "is text: give its order from the lowest, as in 'grade=high<low<mid'"),
    "half an order": ({"ordinal": ["grade=low<mid"]}, "holds 'high', which is not in the order low < mid"),
    "an order of numbers": ({"ordinal": ["age=1<2"]}, "'age' holds numbers, which have their order"),
    "no dates": ({"dates": ["grade"]}, "column 'grade' holds '(low|mid|high)': write dates as"),
    "a rarity of one": ({"group_rare": 1}, "option 'group_rare' must be a whole number of at least 2"),
    "all dropped": ({"drop": ["age", "grade", "day"]}, "no column is left"),
    "groups with gaps": ({"group_by": "day"}, "'day' is missing in 1 rows"),
    "day or month": ({"dates": ["day"]}, "whose day or month may come first"),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_words_that_do_not_fit_are_told(case: str) -> None:
    words, message = BAD_WORDS[case]
    day = [None, *(f"{1 + k % 12}/{1 + k % 11}/2020" for k in range(ROWS - 1))]
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(odd()[["age", "grade", "y"]].assign(day=day), target="y", **words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [
    (["2020-02-29", "2021-12-31 23:59:00"], [(2020, 2, 5), (2021, 12, 4)]),
    (["2020-02-29T10:00:00Z", "2021-12-31T23:59:00Z"], [(2020, 2, 5), (2021, 12, 4)]),
    (["3/25/2020", "12/1/2021"], [(2020, 3, 2), (2021, 12, 2)]),
    (["25/3/2020", "1/12/2021"], [(2020, 3, 2), (2021, 12, 2)]),
    (["3.5.2020", "1.12.2021"], [(2020, 5, 6), (2021, 12, 2)]),
])
def test_dates_are_read_in_each_form(text: list[str], expected: list[tuple[int, int, int]]) -> None:
    frame = pd.DataFrame({"when": text * 30, "a": np.arange(60) % 13, "y": np.arange(60.0) ** 2})
    dataset = load_dataset(frame, target="y", dates=["when"])
    parts = [f"when {part}" for part in ("year", "month", "weekday")]
    values = {name: dataset.inputs[:2, dataset.feature_names.index(name)].tolist() for name in parts
              if name in dataset.feature_names}
    for place, name in enumerate(parts):
        told = [day[place] for day in expected]
        assert values.get(name, told) == told and (name in values or len(set(told)) == 1)


def test_words_with_odd_characters_are_quoted() -> None:
    from attribution_suite.datasets.own_columns import Treatment

    words, _ = mending([Treatment("a b", "", "is always 1", ("drop", "a b")), Treatment("c", "", "too", ("drop", "c"))])
    assert words == "--drop 'a b,c'"
