"""Lets a bot that has an enquiry answer its contact."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.db.messages import find_causes
from gateway.db.unit_of_work import UnitOfWork
from gateway.domain.message import AuthorKind
from gateway.messaging.acceptance import Outgoing
from gateway.messaging.automatic import may_answer, say
from routing.automation.contents import sayable
from routing.automation.hearing import Words, find_unanswered
from routing.automation.versions import rules_of_version
from routing.bots import BotRule, Then, answer
from routing.enquiries import Actor, EnquiryStatus, HandledBy
from routing.held import HeldEnquiry

HandOver: TypeAlias = Callable[[HeldEnquiry, Actor], Awaitable[None]]

CLOSED_BY_BOT: Final = "bot"


def has_bot(held: HeldEnquiry) -> bool:
    """Say whether a bot has an enquiry now."""
    return held.row.status is EnquiryStatus.ONGOING and held.row.handled_by is HandledBy.BOT


async def take_up(held: HeldEnquiry, hand_over: HandOver) -> None:
    """Let the bot that was just given an enquiry answer what the contact said.

    That is what moved the enquiry, or, where it was moved otherwise, what the contact said last, if
    nobody has answered that.
    """
    said = held.said
    words = await find_unanswered(held) if said is None else Words(said.id, said.content)
    if words is not None:
        await reply(held, words, first=True, hand_over=hand_over)


async def reply(held: HeldEnquiry, words: Words, *, first: bool, hand_over: HandOver) -> None:
    """Let the bot that has an enquiry answer something, by the rules that it began with.

    The enquiry is to be saved afterwards, whether the bot kept it, handed it over or closed it. A
    person in the Page's inbox, or another app, is not talked over. Where automation was stopped,
    the bot says nothing, and still hands over and closes.
    """
    bot, version = held.row.destination, held.row.progress.bot_version
    if bot is None or version is None:
        return
    if not may_answer(held.work, held.conversation, held.channel):
        return
    rules = await rules_of_version(held.work.connection, held.row.account_id, bot["id"], version)
    rule = answer(rules, words.heard(first=first))
    if rule is None:
        return
    await _speak(held, bot, words.message_id, rule)
    actor = Actor("bot", bot["id"])
    match rule.then:
        case Then.HAND_OVER:
            await hand_over(held, actor)
        case Then.CLOSE:
            held.close(actor, reason=CLOSED_BY_BOT)
        case None:
            pass


async def _speak(held: HeldEnquiry, bot: Mapping[str, Any], message_id: str, rule: BotRule) -> None:
    work = held.work
    speaker = Actor("bot", bot["id"])
    contents = [
        content
        for stored in rule.messages
        for content in await sayable(
            work, held.channel, stored, speaker=speaker, held=held, split=True
        )
    ]
    causes = [f"bot:{message_id}:{bot['id']}:{n}" for n in range(len(contents))]
    had = set() if held.said is not None else await _had(work, held, causes)
    spoke = False
    for cause, content in zip(causes, contents, strict=True):
        if cause in had:
            continue
        outgoing = Outgoing(
            content=content,
            author_kind=AuthorKind.BOT,
            author_id=bot["id"],
            author_name=bot["name"],
            automation_cause=cause,
            enquiry_id=held.row.id,
        )
        said = await say(work, held.conversation, held.channel, outgoing)
        spoke = spoke or said is not None
    if spoke:
        held.note_our_message()
        held.note_first_response()


async def _had(work: UnitOfWork, held: HeldEnquiry, causes: list[str]) -> set[str]:
    # What the contact has just said, nobody can have answered before.
    return await find_causes(work.connection, held.row.account_id, causes) if causes else set()
