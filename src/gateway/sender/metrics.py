"""What the sender counts; labels name kinds and outcomes, never tenants."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS: Final = Counter(
    "gateway_delivery_attempts_total",
    "Attempts at deliveries, by kind of target and outcome.",
    ["target_kind", "outcome"],
)
SECONDS: Final = Histogram(
    "gateway_delivery_attempt_seconds",
    "How long attempts took, by kind of target.",
    ["target_kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
GRAPH_ERRORS: Final = Counter(
    "gateway_graph_errors_total",
    "Errors that Graph answered, by code; `other` for those that the table does not know.",
    ["code"],
)
IN_FLIGHT: Final = Gauge("gateway_sender_in_flight", "Deliveries whose calls are under way.")
WAITING: Final = Gauge("gateway_sender_waiting", "Deliveries known to be due that have not left.")
SLOW_TARGETS: Final = Gauge(
    "gateway_sender_slow_targets", "Targets that hang or take no connection."
)
UNSETTLED: Final = Gauge(
    "gateway_sender_unsettled", "Calls that have ended and are not settled yet."
)
UNCERTAIN: Final = Counter(
    "gateway_messages_uncertain_total",
    "Messages whose outcome stayed unknown, by what was done: ask, resend or shown.",
    ["decision"],
)
INLINE_REFUSED: Final = Counter(
    "gateway_inline_answers_malformed_total",
    "Messages in endpoints' answers that are none, and were left out.",
)
ERRANDS: Final = Counter(
    "gateway_errands_total",
    "Attempts at errands that were settled, by kind and outcome: done, step, again, given_up, or "
    "superseded by a change.",
    ["kind", "outcome"],
)
ERRANDS_RUNNING: Final = Gauge("gateway_errands_running", "Errands that are under way.")
ERRAND_LATENESS: Final = Histogram(
    "gateway_errand_lateness_seconds",
    "How long after its moment an attempt at an errand began, by kind.",
    ["kind"],
    buckets=(0.1, 0.5, 1, 2, 5, 15, 60, 300, 1800),
)
PACE: Final = Histogram(
    "gateway_sender_pace_per_second",
    "Calls a second that targets were slowed or quickened to, by kind of target.",
    ["target_kind"],
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
SLOWED_TARGETS: Final = Gauge(
    "gateway_sender_slowed_targets", "Targets that are called slower for their limit's sake."
)
RESTING_TARGETS: Final = Gauge(
    "gateway_sender_resting_targets", "Targets with work that asked not to be called for now."
)
APP_USAGE: Final = Gauge(
    "gateway_meta_app_usage_percent",
    "How much of a Meta app's limit is used up, as Meta said last.",
    ["app_id"],
)
APP_PACE: Final = Gauge(
    "gateway_meta_app_pace_per_second",
    "Calls a second that all accounts together may make through a Meta app while it is slowed.",
    ["app_id"],
)
MEDIA_PREPARING: Final = Gauge(
    "gateway_media_preparing", "Messages whose media is being got ready, or waits for that."
)
MEDIA_READY: Final = Counter(
    "gateway_media_prepared_total",
    "Attempts at getting a message's media ready, by outcome: ready or failed.",
    ["outcome"],
)
