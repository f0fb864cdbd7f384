from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.envelope import (
    Attributes,
    UndecodableRecordError,
    account_source,
    channel_source,
    from_headers,
    to_headers,
)

ELEVEN = datetime(2026, 11, 21, 11, 0, 0, 123000, tzinfo=UTC)
INBOUND = Attributes(
    id="evt_01kb0000000000000000000000",
    source="/channels/messenger/106540352242922",
    type="gateway.message.received.v1",
    time=ELEVEN,
    subject="messenger:106540352242922:77",
    partitionkey="messenger:106540352242922:77",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    normaliserversion="1",
)
PUBLIC = Attributes(
    id="evt_01kb0000000000000000000001",
    source="/accounts/acc_01kb0000000000000000000000",
    type="gateway.enquiry.opened.v1",
    time=ELEVEN,
    partitionkey="cnv_01kb0000000000000000000000",
    sequence="42",
)


def test_headers_are_binary_mode_cloud_events():
    assert dict(to_headers(INBOUND)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"evt_01kb0000000000000000000000",
        "ce_source": b"/channels/messenger/106540352242922",
        "ce_type": b"gateway.message.received.v1",
        "ce_time": b"2026-11-21T11:00:00.123Z",
        "ce_subject": b"messenger:106540352242922:77",
        "ce_partitionkey": b"messenger:106540352242922:77",
        "ce_traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ce_normaliserversion": b"1",
        "content-type": b"application/json",
    }
    assert {"ce_subject", "ce_traceparent"}.isdisjoint(dict(to_headers(PUBLIC)))


@pytest.mark.parametrize("attributes", [INBOUND, PUBLIC])
def test_the_cncf_package_reads_and_writes_the_same_headers(attributes):
    record = kafka.KafkaMessage(
        headers=dict(to_headers(attributes)),
        key=(attributes.partitionkey or "").encode(),
        value=b'{"data":{"n":1}}',
    )
    event = kafka.from_kafka_event(record)
    assert isinstance(event, CloudEvent)
    assert event.get_id() == attributes.id
    assert event.get_source() == attributes.source
    assert event.get_type() == attributes.type
    assert event.get_time() == attributes.time
    assert event.get_subject() == attributes.subject
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("partitionkey") == attributes.partitionkey
    assert event.get_extension("sequence") == attributes.sequence
    assert event.get_data() == {"data": {"n": 1}}

    written = kafka.to_binary_event(event)
    assert from_headers(list(written.headers.items())) == attributes
    assert written.key == attributes.partitionkey


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    st.builds(
        Attributes,
        id=TEXTS,
        source=TEXTS,
        type=TEXTS,
        time=st.just(ELEVEN),
        subject=st.none() | TEXTS,
        partitionkey=st.none() | TEXTS,
        sequence=st.none() | TEXTS,
        traceparent=st.none() | TEXTS,
        normaliserversion=st.none() | TEXTS,
    )
)
def test_attributes_survive_the_headers(attributes):
    assert from_headers(to_headers(attributes)) == attributes


def changed(**headers):
    kept = {
        name.replace("_", "-") if name == "content_type" else name: value
        for name, value in headers.items()
    }
    merged = dict(to_headers(PUBLIC)) | kept
    return [(name, value) for name, value in merged.items() if value is not ...]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "header-missing"),
        (changed(ce_id=...), "header-missing"),
        (changed(ce_source=...), "header-missing"),
        (changed(ce_type=...), "header-missing"),
        (changed(ce_time=...), "header-missing"),
        (changed(ce_specversion=...), "header-missing"),
        (changed(ce_id=b""), "header-missing"),
        (changed(ce_id=None), "header-missing"),
        (changed(ce_specversion=b"0.3"), "specversion-unknown"),
        (changed(ce_specversion=b"2"), "specversion-unknown"),
        (changed(ce_type=b"\xff"), "header-not-text"),
        (changed(ce_time=b"yesterday"), "time-malformed"),
        (changed(ce_time=b"2026-11-21T11:00:00"), "time-malformed"),
        (changed(content_type=b"application/cloudevents+json"), "content-type-unknown"),
        (changed(content_type=b"text/plain"), "content-type-unknown"),
        ([*to_headers(PUBLIC), ("ce_id", b"evt_other")], "header-repeated"),
        ([*to_headers(PUBLIC), *[("x", b"")] * 100], "too-many-headers"),
    ],
)
def test_a_record_that_is_not_ours_is_refused_with_a_reason(headers, reason):
    with pytest.raises(UndecodableRecordError) as caught:
        from_headers(headers)
    assert caught.value.reason == reason


def test_headers_and_extensions_of_others_are_ignored():
    headers = [
        *changed(content_type=b"application/json; charset=utf-8"),
        ("ce_futureextension", b"1"),
        ("traceparent", b"\xff"),
        ("X-Other", None),
    ]
    assert from_headers(headers) == PUBLIC


def test_sources_are_uri_references():
    assert channel_source("third_party", "chn/1 ü%") == "/channels/third_party/chn%2F1%20%C3%BC%25"
    assert account_source("acc_1") == "/accounts/acc_1"
