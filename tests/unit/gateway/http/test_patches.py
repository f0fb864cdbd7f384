from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from gateway.errors import InvalidFieldsError
from gateway.http.patches import Patch, merge_patch
from gateway.http.schemas import Body


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        # RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_vectors_of_the_standard(document, patch, result):
    assert merge_patch(document, patch) == result


class Inner(Body):
    words: str = "usual"
    loud: bool = False


class Thing(Body):
    name: Annotated[str, Field(min_length=1)]
    size: Annotated[int, Field(ge=1, le=9)] | None = 5
    inner: Inner = Inner()


PATCH: TypeAdapter[Patch[Thing]] = TypeAdapter(Patch[Thing])


def test_what_is_left_out_stays_and_null_brings_the_default_back():
    present = Thing(name="a", size=7, inner=Inner(words="mine", loud=True))
    patch = PATCH.validate_python({"size": None, "inner": {"words": None}})
    assert patch.apply_to(present) == Thing(name="a", size=5, inner=Inner(loud=True))


def test_what_cannot_be_taken_away_is_pointed_at():
    patch = PATCH.validate_python({"name": None})
    with pytest.raises(InvalidFieldsError) as caught:
        patch.apply_to(Thing(name="a"))
    assert [(each.pointer, each.code) for each in caught.value.faults] == [("/name", "missing")]


@pytest.mark.parametrize("body", [{"colour": 1}, {"inner": {"x": 1}}, {"size": 10}, [], None])
def test_a_patch_is_held_against_the_model(body):
    with pytest.raises(ValidationError):
        PATCH.validate_python(body)


def test_its_schema_asks_for_nothing():
    schema = PATCH.json_schema()
    assert schema["title"] == "ThingPatch"
    assert "required" not in schema
    assert schema["additionalProperties"] is False
