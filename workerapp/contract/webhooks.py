"""What webhooks tell of, and which of it an endpoint asks for."""

from __future__ import annotations

from workerapp.contract.events import TERMINAL_TYPES, EventType

#: Sent when somebody tries an endpoint; nobody subscribes to it.
TEST_TYPE = "webhook_endpoint.test"
#: The same types are in the trigger that queues deliveries (`queue_webhooks`); a test holds both together.
WEBHOOK_TYPES = tuple(
    kind.value for kind in EventType if kind in TERMINAL_TYPES or kind is EventType.WEBHOOK_ENDPOINT_DISABLED
)
EVERYTHING = "*"
#: What an endpoint may ask for besides single types: those of one family, or all.
PATTERNS = (*dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in WEBHOOK_TYPES), EVERYTHING)
#: What an endpoint gets that does not say what it wants: single tasks have to be asked for.
DEFAULT_EVENT_TYPES = ("test_run.*", "run_group.*")


def check_event_type(name: str) -> str:
    """Refuse, with a ValueError, what no webhook tells of; it lists those there are."""
    if name not in WEBHOOK_TYPES and name not in PATTERNS:
        raise ValueError(
            f'there is no event type "{name[:50]}"; there are {", ".join(WEBHOOK_TYPES)}, and the patterns '
            f"{', '.join(PATTERNS)}"
        )
    return name
