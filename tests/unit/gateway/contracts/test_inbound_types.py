import pytest

from gateway.contracts.inbound_types import INBOUND_TYPES, InboundValue


def test_the_types_are_those_of_the_interface():
    verbs = {
        "message": "received echoed edited unsent delivered read reacted",
        "postback": "received",
        "referral": "received",
        "optin": "received",
        "optout": "received",
        "thread_control": "passed taken requested",
        "app_roles": "changed",
        "policy": "enforced",
        "account": "linked unlinked",
        "feedback": "received",
        "order": "received",
        "appointment": "received",
        "label": "changed",
        "comment": "received",
        "page": "changed",
        "permission": "changed",
        "typing": "changed",
        "status": "reported",
        "contact": "updated",
        "item": "unrecognised",
    }
    assert INBOUND_TYPES.keys() == {
        f"gateway.{subject}.{verb}.v1" for subject, names in verbs.items() for verb in names.split()
    }


def test_the_objects_are_those_of_the_interface():
    names = """
        message edit unsent delivery read reaction postback referral optin optout thread_control
        app_roles policy linking feedback order appointment label comment page_change permission
        typing status contact unrecognised
    """
    assert {known.name for known in INBOUND_TYPES.values()} == set(names.split())


@pytest.mark.parametrize("type_", sorted(INBOUND_TYPES))
def test_a_type_has_its_own_model_with_a_schema_that_may_grow(type_):
    name, model = INBOUND_TYPES[type_]
    assert [each for each in INBOUND_TYPES.values() if each.model is model] == [(name, model)]
    schema = model.model_json_schema()
    assert schema["required"] == [*InboundValue.model_json_schema()["required"], name] or (
        name == "unrecognised"
    )
    assert schema["additionalProperties"] is True
    assert schema["description"]
    assert INBOUND_TYPES[type_].described().__doc__
