"""Pointers of faults: into what the caller sent, whatever branches of unions were tried."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.http.faults import faults_in, pointer_to


class Words(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str
    tags: list[int] = []


class Picture(BaseModel):
    type: Literal["image"]
    url: str


class Letter(BaseModel):
    content: Annotated[Words | Picture, Field(discriminator="type")]


def found(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        Letter.model_validate(body)
    return [(each.pointer, each.code) for each in faults_in(caught.value, body=body)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"type": "text"}, [("/content/text", "missing")]),
        ({"type": "text", "text": 5}, [("/content/text", "string-type")]),
        ({"type": "text", "text": "x", "tags": [1, "y"]}, [("/content/tags/1", "int-parsing")]),
        ({"type": "text", "text": "x", "tags": 1}, [("/content/tags", "list-type")]),
        ({"type": "text", "text": "x", "a/b~c": 1}, [("/content/a~1b~0c", "unknown-field")]),
        ({"type": "image"}, [("/content/url", "missing")]),
        ({"type": "fax"}, [("/content/type", "union-tag-invalid")]),
        ({}, [("/content/type", "union-tag-not-found")]),
        (None, [("/content", "model-attributes-type")]),
    ],
)
def test_a_fault_points_at_the_field(content, expected):
    assert found({"content": content}) == expected


def test_prefixes_stand_before_pointers():
    with pytest.raises(ValidationError) as caught:
        Words.model_validate({"type": "text"})
    (fault,) = faults_in(caught.value, body={"type": "text"}, prefix="/inner")
    assert fault.pointer == "/inner/text"


steps = st.lists(st.one_of(st.text(max_size=3), st.integers(0, 3)), max_size=6)
documents = st.recursive(
    st.none() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(steps, documents, st.booleans())
def test_any_location_gives_a_pointer(location, body, missing):
    pointer = pointer_to(location, body, missing=missing)
    assert pointer == "" or pointer.startswith("/")
