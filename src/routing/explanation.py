"""Tells in words why an enquiry went where it went, from what its assignment keeps."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.domain import ids
from routing.destinations import THERE, Standing
from routing.enquiries import EnquiryStatus
from routing.rules import NO_RULE, PERCENTAGE
from routing.simulation import WAITING_LIMIT, Course, Step

_LINKED: Final = ("bot", "external_endpoint")
_WHY_OTHER: Final = {
    "other": "the list for other times",
    "other: exception": "the list for other times, because the date is an exception",
    "other: holiday": "the list for other times, because the date is a public holiday",
}
_PASSED_OVER: Final = {
    Standing.AVAILABLE: "was not reached",
    Standing.NOT_REACHED: "was not reached",
    Standing.IDLE: "was idle, and not reached",
    Standing.BUSY: "was busy",
    Standing.FULL: "had no room",
    Standing.OFFLINE: "was offline",
    Standing.OTHER_CHANNEL: "does not serve this channel",
    Standing.PAUSED: "was paused",
    Standing.DELETED: "had been deleted",
    Standing.REJECTED: "had rejected it",
    Standing.TIMED_OUT: "had not answered in time",
    Standing.HANDED_OVER: "had handed it over",
}
# A team is what the most willing of its agents is.
_TEAM_PASSED_OVER: Final = {
    Standing.IDLE: "had only idle agents, and was not reached",
    Standing.BUSY: "had nobody free: who was there was busy",
    Standing.FULL: "had nobody free: who was there had no room",
    Standing.OFFLINE: "had nobody there",
    Standing.OTHER_CHANNEL: "has nobody who serves this channel",
    Standing.REJECTED: "had nobody left who had not rejected it",
    Standing.TIMED_OUT: "had not taken it in time",
    Standing.EMPTY: "has no agents",
}
_IN_SPITE_OF_LINK: Final = {
    "bot": "The channel's bot takes everything; this is what follows when it hands over.",
    "external_endpoint": "An endpoint takes everything of the channel; this is what its rule says.",
}
_HOW_MISSED: Final = {
    "nobody_there": "It is missed: nobody is there.",
    "nobody_took_it": "It is missed: nobody took it.",
    WAITING_LIMIT: "It is missed: the waiting limit is over.",
}


def explain(assignment: Mapping[str, Any], names: Mapping[str, str | None]) -> list[str]:
    """Return sentences about a decision.

    Args:
        assignment: What an enquiry keeps of it.
        names: Of destinations that the assignment itself has no name of; an id stands for others.
    """
    return list(_sentences(assignment, names))


def explain_course(course: Course, *, routing_version: int | None, link_mode: str) -> list[str]:
    """Return sentences about what would happen to an enquiry.

    Args:
        course: What was found.
        routing_version: Of the channel's routing; None for a draft.
        link_mode: What the channel's link is: `chat`, `bot` or `external_endpoint`.
    """
    assignment = course.first.as_json(routing_version=routing_version)
    names = names_in(assignment)
    told = [_IN_SPITE_OF_LINK[link_mode]] if link_mode in _IN_SPITE_OF_LINK else []
    told += explain(assignment, {})
    told += [_told_step(step, names) for step in course.steps]
    if course.first.rule == NO_RULE.rule:
        told.append("It stays open until somebody accepts it.")
    elif course.outcome is EnquiryStatus.MISSED:
        told.append(_HOW_MISSED[course.reason or WAITING_LIMIT])
    return told


def names_in(assignment: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the destinations, and of the agents in teams, that a decision saw."""
    names: dict[str, str] = {}
    for destination_id, seen in assignment["inputs"].get("destinations", {}).items():
        for each_id, each in ((destination_id, seen), *seen.get("agents", {}).items()):
            if each.get("name"):
                names[each_id] = each["name"]
    return names


def _sentences(assignment: Mapping[str, Any], names: Mapping[str, str | None]) -> Iterator[str]:
    rule, inputs = assignment["rule"], assignment["inputs"]
    known = {**names, **names_in(assignment)}
    if rule == NO_RULE.rule:
        yield f"Decided at {inputs['at']}; the channel has no routing."
    elif rule not in _LINKED:
        version = assignment["routing_version"]
        which = "a draft" if version is None else f"version {version} of the routing"
        yield f"Decided at {inputs['at']} by the rule {rule}, {which}."
    if "hours" in inputs:
        hours = inputs["hours"]
        yield f"The hour named {_WHY_OTHER.get(hours, f'the list of {hours}')}."
    for considered in assignment["considered"]:
        name = known.get(considered["destination_id"]) or considered["destination_id"]
        if considered["taken"]:
            yield _why_taken(considered["destination_id"], name, assignment)
        else:
            yield _why_passed_over(considered, name, inputs)
    if not any(considered["taken"] for considered in assignment["considered"]):
        yield _why_nobody(assignment)


def _why_taken(destination_id: str, name: str, assignment: Mapping[str, Any]) -> str:
    if assignment["rule"] in _LINKED:
        return f"Everything of this channel goes to {name}."
    if assignment["inputs"].get("first") == destination_id:
        return f"{name} was asked before the rule was."
    if assignment["rule"] == PERCENTAGE:
        return f"By the shares it was the turn of {name}."
    return f"{name} was the first of the list that could be asked."


def _why_passed_over(considered: Mapping[str, Any], name: str, inputs: Mapping[str, Any]) -> str:
    reason = Standing(considered["reason"])
    why = _PASSED_OVER.get(reason, reason.value)
    if ids.is_id(ids.TEAM, considered["destination_id"]):
        why = _TEAM_PASSED_OVER.get(reason, why)
    elif reason is Standing.FULL:
        seen = inputs["destinations"][considered["destination_id"]]
        why = f"{why} ({seen['load']} of {seen['capacity']})"
    return f"{name} {why}."


def _why_nobody(assignment: Mapping[str, Any]) -> str:
    if assignment["rule"] == NO_RULE.rule:
        return "So it waited for somebody to accept it."
    reasons = {Standing(each["reason"]) for each in assignment["considered"]}
    if reasons & THERE:
        return "So it waited for who was there."
    if assignment["inputs"].get("tried"):
        return "So nobody took it."
    return "So nobody was there." if reasons else "The list names nobody."


def _told_step(step: Step, names: Mapping[str, str]) -> str:
    name = names.get(step.destination_id, step.destination_id)
    seconds = round(step.after.total_seconds())
    when = f"After {seconds} s" if seconds else "At once"
    if not step.agent_ids:
        return f"{when} {name} takes it."
    agents = ", ".join(names.get(each, each) for each in step.agent_ids)
    asked = name if step.agent_ids == (step.destination_id,) else f"{name} ({agents})"
    return f"{when} {asked} is asked."
