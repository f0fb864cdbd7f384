"""What the control calls tell of apps, Pages and people."""

from typing import Any

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
