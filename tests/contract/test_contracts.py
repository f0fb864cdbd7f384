"""The published documents: as the code says, sound, and with examples that hold."""

import os
import subprocess
import sys
from typing import Any

import jsonschema_rs
import openapi_spec_validator
import pytest
import yaml
from scripts import contracts
from tests.support.published import (
    KAFKA,
    REST,
    WEBHOOKS,
    faults,
    follow,
    generated,
    undescribed,
    validator,
)

from gateway.contracts.events import PUBLIC_TYPES
from gateway.contracts.inbound_types import INBOUND_TYPES
from gateway.contracts.outgoing_webhooks import MessageSend
from gateway.contracts.topics import ALL, CONVERSATIONS, DEAD_LETTERS, INBOUND
from gateway.contracts.webhooks import MESSAGE_SEND

_DRAFT_07 = "http://json-schema.org/draft-07/schema#"
_NOT_IN_DRAFT_07 = {"$defs", "dependentSchemas", "prefixItems", "unevaluatedProperties"}


class TestCommittedFiles:
    @pytest.mark.parametrize("name", contracts.DOCUMENTS)
    def test_a_file_is_what_the_code_says(self, name):
        text = (contracts.ROOT / "openapi" / name).read_text(encoding="utf-8")
        assert text == contracts.as_yaml(generated(name)), "run `make contracts`"

    @pytest.mark.parametrize("name", contracts.DOCUMENTS)
    def test_a_file_reads_back_as_the_document(self, name):
        assert yaml.safe_load(contracts.as_yaml(generated(name))) == generated(name)

    def test_neither_environment_nor_hash_seed_changes_them(self, tmp_path):
        foreign = {
            "PYTHONHASHSEED": "4711",
            # Refused by whoever reads it: it is not for production.
            "LOG_LEVEL": "DEBUG",
            "PUBLIC_URL": "https://somewhere.example",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "ENDPOINT_RETRY_SECONDS": "1",
        }
        subprocess.run(
            [sys.executable, contracts.__file__, "--directory", str(tmp_path)],
            env=os.environ | foreign,  # noqa: TID251 - handed on to the script
            check=True,
            capture_output=True,
            cwd=tmp_path,
        )
        for name in contracts.DOCUMENTS:
            text = (tmp_path / name).read_text(encoding="utf-8")
            assert text == contracts.as_yaml(generated(name)), name


class TestSoundness:
    @pytest.mark.parametrize("name", [REST, WEBHOOKS])
    def test_openapi_holds(self, name):
        assert generated(name)["openapi"].startswith("3.1.")
        openapi_spec_validator.validate(generated(name))

    @pytest.mark.parametrize("name", contracts.DOCUMENTS)
    def test_every_reference_leads_somewhere(self, name):
        for reference in _references(generated(name)):
            assert follow(generated(name), reference)

    @pytest.mark.parametrize("name", [KAFKA, WEBHOOKS])
    def test_every_schema_is_referred_to(self, name):
        schemas = generated(name)["components"]["schemas"]
        named = {f"#/components/schemas/{each}" for each in schemas}
        assert named <= set(_references(generated(name)))

    def test_the_kafka_document_has_every_topic_and_type(self):
        document = generated(KAFKA)
        assert document["asyncapi"] == "3.0.0"
        types = {topic: set(each["messages"]) for topic, each in document["channels"].items()}
        assert types == {
            INBOUND: set(INBOUND_TYPES),
            CONVERSATIONS: set(PUBLIC_TYPES),
            DEAD_LETTERS: {"deadLetter"},
        }

    @pytest.mark.parametrize("topic", ALL)
    def test_every_record_has_a_summary_headers_and_a_key(self, topic):
        document = generated(KAFKA)
        channel = document["channels"][topic]
        assert channel["address"] == channel["bindings"]["kafka"]["topic"] == topic
        for message in channel["messages"].values():
            assert message["summary"]
            assert message["headers"]
            traits = [follow(document, each["$ref"]) for each in message.get("traits", [])]
            bound = [each["bindings"]["kafka"] for each in [message, *traits] if "bindings" in each]
            [key] = [each["key"] for each in bound]
            assert all(not faults(validator(document, key), each) for each in key["examples"])

    def test_the_gateway_sends_all_of_every_topic(self):
        document = generated(KAFKA)
        operations = document["operations"].values()
        assert [each["action"] for each in operations] == ["send"] * len(ALL)
        assert {each["channel"]["$ref"] for each in operations} == {f"#/channels/{t}" for t in ALL}
        for each in operations:
            sent = [follow(document, one["$ref"]) for one in each["messages"]]
            assert sent == list(follow(document, each["channel"]["$ref"])["messages"].values())

    def test_the_kafka_documents_schemas_are_of_the_draft_that_asyncapi_reads(self):
        for schema in generated(KAFKA)["components"]["schemas"].values():
            assert jsonschema_rs.meta.is_valid({"$schema": _DRAFT_07} | schema)
            assert not _keys(schema) & _NOT_IN_DRAFT_07

    def test_every_type_is_a_webhook_with_its_headers(self):
        document = generated(WEBHOOKS)
        assert set(document["webhooks"]) == {"challenge", MESSAGE_SEND} | set(PUBLIC_TYPES)
        expected = ["webhook-id", "webhook-timestamp", "webhook-signature", "X-Gateway-Attempt"]
        for type_, webhook in document["webhooks"].items():
            parameters = webhook["post"]["parameters"]
            names = [follow(document, each["$ref"])["name"] for each in parameters]
            assert names == (expected[:3] if type_ == "challenge" else expected)


class TestExamples:
    @pytest.mark.parametrize("topic", ALL)
    @pytest.mark.parametrize("part", ["payload", "headers"])
    def test_records_fit_their_schemas(self, topic, part):
        document = generated(KAFKA)
        for name, message in document["channels"][topic]["messages"].items():
            [example] = message["examples"]
            assert not faults(validator(document, message[part]), example[part]), name

    @pytest.mark.parametrize("topic", [INBOUND, CONVERSATIONS])
    def test_records_have_nothing_undescribed(self, topic):
        document = generated(KAFKA)
        for type_, message in document["channels"][topic]["messages"].items():
            [example] = message["examples"]
            model = PUBLIC_TYPES[type_] if topic == CONVERSATIONS else INBOUND_TYPES[type_].model
            assert undescribed(model.model_validate(example["payload"])) == [], type_
            assert example["headers"]["ce_type"] == type_
            common, _ = message["headers"]["allOf"]
            described = follow(document, common["$ref"])["properties"]
            assert example["headers"].keys() <= described.keys()

    def test_webhooks_fit_their_schemas(self):
        document = generated(WEBHOOKS)
        for type_, webhook in document["webhooks"].items():
            content = webhook["post"]["requestBody"]["content"]["application/json"]
            assert content["example"]["type"] == type_
            assert not faults(validator(document, content["schema"]), content["example"]), type_

    def test_a_message_to_a_third_party_has_nothing_undescribed(self):
        request = generated(WEBHOOKS)["webhooks"][MESSAGE_SEND]["post"]["requestBody"]
        told = MessageSend.model_validate(request["content"]["application/json"]["example"]["data"])
        ids = ["account_id", "channel_id", "conversation_id", "enquiry_id"]
        assert undescribed(told) == [f"/{name}" for name in ids]

    def test_answers_and_headers_of_webhooks_fit_their_schemas(self):
        document = generated(WEBHOOKS)
        given = [
            *document["components"]["parameters"].values(),
            *(
                content
                for webhook in document["webhooks"].values()
                for answer in webhook["post"]["responses"].values()
                for content in answer.get("content", {}).values()
            ),
        ]
        for each in given:
            assert not faults(validator(document, each["schema"]), each["example"]), each

    @pytest.mark.parametrize("name", contracts.DOCUMENTS)
    def test_what_schemas_give_as_examples_fits_them(self, name):
        schemas = list(_with_examples(generated(name)["components"]["schemas"]))
        assert schemas
        for schema in schemas:
            checked = validator(generated(name), schema)
            assert not [
                faults(checked, each) for each in schema["examples"] if faults(checked, each)
            ]


def test_there_are_no_other_files():
    assert {path.name for path in (contracts.ROOT / "openapi").iterdir()} == {*contracts.DOCUMENTS}


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for each in value for found in _objects(each)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for each in value.values() for found in _objects(each))]


def _references(value: Any) -> list[str]:
    return [each["$ref"] for each in _objects(value) if isinstance(each.get("$ref"), str)]


def _keys(value: Any) -> set[str]:
    return {key for each in _objects(value) for key in each}


def _with_examples(value: Any) -> list[dict[str, Any]]:
    # A property may itself be called so; then it is no list.
    return [each for each in _objects(value) if isinstance(each.get("examples"), list)]
