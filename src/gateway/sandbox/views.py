"""What the control calls tell of apps, Pages and people."""

from typing import Any

from gateway.sandbox.people import Person
from gateway.sandbox.threads import Thread
from gateway.sandbox.world import App, Page, World


def app_view(app: App) -> dict[str, Any]:
    """Return an app, secrets and all."""
    return {
        "app_id": app.app_id,
        "name": app.name,
        "app_secret": app.secret,
        "verify_token": app.verify_token,
        "webhook_url": app.address,
        "require_appsecret_proof": app.require_appsecret_proof,
        "calls_per_hour": app.calls_per_hour,
    }


def page_view(world: World, page: Page) -> dict[str, Any]:
    """Return a Page with its valid tokens; `subscribed_fields` are the default app's."""
    return {
        "page_id": page.page_id,
        "name": page.name,
        "access_tokens": [
            token.value for token in world.page_tokens(page) if token.refusal is None
        ],
        "published": page.published,
        "restricted": page.restricted,
        "under_review": page.under_review,
        "messages_allowed": page.messages_allowed,
        "human_agent": page.human_agent,
        "calls_per_hour": page.calls_per_hour,
        "business_id": page.business_id,
        "instagram_id": page.instagram_id,
        "refused_fields": list(page.refused_fields),
        "subscribed_fields": list(page.subscriptions.get(world.default_app.app_id, ())),
        "subscriptions": {app_id: list(names) for app_id, names in page.subscriptions.items()},
        "echoes": page.echoes,
        "alerts": page.alerts,
    }


def visitor_view(thread: Thread, now: int) -> dict[str, Any]:
    """Return a person and their thread at a moment, in milliseconds."""
    return {
        "psid": thread.psid,
        "page_id": thread.page_id,
        "first_name": thread.first_name,
        "last_name": thread.last_name,
        "blocked": thread.blocked,
        "open": thread.is_open(now),
        "last_action_at": thread.last_action_at,
        "window_open": thread.window_open(now, human_agent=False),
        "owner": thread.owner(now),
        "typing": now < thread.typing_until,
        "messages": [
            {
                "mid": said.mid,
                "author": said.author,
                "at": said.at,
                "tick": said.tick,
                "text": said.text,
                "attachments": said.attachments,
                "quick_replies": said.quick_replies,
                "reply_to": said.reply_to,
                "persona_id": said.persona_id,
                "app_id": said.app_id,
                "metadata": said.metadata,
                "reactions": said.reactions,
            }
            for said in thread.utterances.values()
        ],
    }


def person_view(world: World, person: Person) -> dict[str, Any]:
    """Return a person who can log in, with their roles, grants and valid tokens."""
    return {
        "user_id": person.user_id,
        "name": person.name,
        "pages": {page_id: list(tasks) for page_id, tasks in person.pages.items()},
        "granted": {
            app_id: {
                "scopes": list(grant.scopes),
                "page_ids": list(grant.page_ids),
                "declined": list(grant.declined),
            }
            for app_id, grant in person.grants.items()
        },
        "token_seconds": person.token_seconds,
        "accounts_page_size": person.accounts_page_size,
        "unlisted": sorted(person.unlisted),
        "user_tokens": [
            token.value
            for token in world.tokens_of(person)
            if token.kind == "USER" and token.refusal is None
        ],
    }
