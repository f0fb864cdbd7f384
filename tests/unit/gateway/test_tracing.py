"""One trace from beginning to end, whether or not anybody collects spans."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.tracing import Tracing, child_of, new_traceparent, trace_id_of


def test_a_step_keeps_the_trace_and_has_an_id_of_its_own():
    parent = new_traceparent()
    child = child_of(parent)
    assert trace_id_of(child) == trace_id_of(parent)
    assert child != parent


@pytest.mark.parametrize("parent", [None, "", "nonsense", "01-" + "a" * 32 + "-" + "b" * 16])
def test_what_is_malformed_begins_a_new_trace(parent):
    assert trace_id_of(child_of(parent)) is not None


def test_spans_without_a_collector_pass_the_trace_on():
    with Tracing().span("outer") as outer, Tracing().span("inner", parent=outer) as inner:
        assert trace_id_of(inner) == trace_id_of(outer)


def test_spans_are_exported_with_their_parents_and_without_what_exceptions_say():
    exporter = InMemorySpanExporter()
    tracing = Tracing.through(exporter, role="api")
    beginning = new_traceparent()
    with (
        pytest.raises(ValueError, match="secret"),
        tracing.span("outer", parent=beginning, attributes={"events": 2}) as outer,
        tracing.span("inner", parent=outer),
    ):
        raise ValueError("a secret")
    tracing.close()
    inner_span, outer_span = exporter.get_finished_spans()
    assert (inner_span.name, outer_span.name) == ("inner", "outer")
    assert f"{outer_span.context.trace_id:032x}" == trace_id_of(beginning)
    assert inner_span.parent is not None
    assert inner_span.parent.span_id == outer_span.context.span_id
    assert outer_span.status.description == "ValueError"
    assert not inner_span.events
