"""What users and tables call what is removed: one feature, several together, names with '+' and ',' in them."""

import pytest
from sklearn.datasets import load_iris

from attribution_suite import load_dataset
from attribution_suite.datasets.removable import FeatureSet, Removable
from attribution_suite.errors import InputError

PLAIN = Removable.places(["a", "b", "c", "decoy"])
ODD = Removable.places(["a", "b", "a+b", "a,b", "c+d", "d"])


def names(found: list[FeatureSet]) -> list[str]:
    return [one.name for one in found]


@pytest.mark.parametrize(("removable", "words", "expected"), [
    (PLAIN, "a", [("a",)]),
    (PLAIN, "a,b", [("a",), ("b",)]),
    (PLAIN, "a+b", [("a", "b")]),
    (PLAIN, " b + a , c", [("b", "a"), ("c",)]),
    (PLAIN, "a+b+a", [("a", "b")]),  # each once
    (ODD, "a+b", [("a+b",)]),  # that column
    (ODD, "a,b", [("a,b",)]),
    (ODD, "b,a", [("b",), ("a",)]),
    (ODD, "b+a", [("b", "a")]),
    (ODD, "a,b+d", [("a,b", "d")]),
    (ODD, "d+c+d", [("d", "c+d")]),
    (ODD, "b,a+b,a+c+d", [("b",), ("a+b",), ("a", "c+d")]),
])
def test_words_are_read(removable: Removable, words: str, expected: list[tuple[str, ...]]) -> None:
    found = removable.several(words)
    assert [one.features for one in found] == expected
    assert names(found) == ["+".join(features) for features in expected]
    for one in found:
        assert one.columns == tuple(list(removable.groups).index(feature) for feature in one.features)
        assert removable.named(one.name) == one  # what a table calls it is read back
        assert removable.together(one.features) == one


def test_the_columns_of_a_set_are_those_of_its_features() -> None:
    removable = Removable({"sex": (4, 5), "age": (0,), "race": (1, 2, 3)}, InputError)
    assert removable.named("race+sex").columns == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(("words", "unknown"), [
    ("a+z", "'z'"), ("z+a", "'z'"), ("a,b+", "''"), ("+", "''"), ("a+b+,c", "''"), ("", "''"), ("a+B2", "'B2'")])
def test_an_unknown_part_is_named(words: str, unknown: str) -> None:
    with pytest.raises(InputError, match=f"unknown feature {unknown}"):
        PLAIN.several(words)


def test_of_names_with_a_plus_the_unknown_part_is_named() -> None:
    with pytest.raises(InputError, match="unknown feature 'z'"):
        ODD.several("a+b+z,a")


def test_a_list_of_names_splits_none() -> None:
    assert ODD.together(["d", "a,b"]).features == ("d", "a,b")
    with pytest.raises(InputError, match=r"unknown feature 'a\+c'"):
        PLAIN.together(["a+c", "b"])


def test_a_set_whose_name_means_something_else_is_refused() -> None:
    for features in (["a", "b"], ["a", "b", "d"]):  # 'a+b' is a column; 'a+b+d' would be read as that one and d
        with pytest.raises(InputError, match="rename a column"):
            ODD.together(features)


def test_a_set_that_leaves_nothing_is_refused() -> None:
    """The decoy is no feature: what predicts from it alone predicts from noise."""
    with pytest.raises(InputError, match=r"'c\+b\+a' is all that there is"):
        PLAIN.several("c+b+a")
    assert Removable.places(["a", "decoy"]).named("a").features == ("a",)  # alone it goes, as ever
    with pytest.raises(InputError, match="all that there is"):
        Removable.units(2).named("unit:0+unit:1")


def test_the_target_is_no_feature() -> None:
    dataset = load_dataset("synthetic")
    removable = Removable.of(dataset)
    assert removable.named("X1+X3").columns == (0, 2)
    with pytest.raises(InputError, match=f"'{dataset.target_name}' is the target of synthetic"):
        removable.several(f"X1+{dataset.target_name}")


def test_the_names_that_sources_have_for_iris_columns_are_read() -> None:
    iris = load_dataset("iris")
    removable = Removable.of(iris)
    for name in load_iris().feature_names:
        assert removable.named(name) == removable.named(name.removesuffix(" (cm)").replace(" ", "_"))
        assert iris.columns(name) == removable.named(name).columns
    joint = removable.several("Petal.Length+petal width,sepal length (cm)+sepal_length")
    assert [one.name for one in joint] == ["petal_length+petal_width", "sepal_length"]
    components = Removable.of(load_dataset("iris", pca=2))
    for wrong in (lambda: removable.named("petal length (mm)"), lambda: components.named("petal length (cm)")):
        with pytest.raises(InputError, match="unknown feature of iris"):
            wrong()
