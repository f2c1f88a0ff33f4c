"""Who is asking: the tenant and the person a request or a message acts for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

#: Names of the message headers that carry the caller from the gateway to the worker, and through retries.
ORGANIZATION_HEADER = "organization_id"
USER_HEADER = "user_id"
#: And of the one that names the caller's request, for logs.
REQUEST_HEADER = "request_id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """An authenticated caller; holding one is what lets a handler touch a tenant's rows."""

    organization_id: UUID
    user_id: UUID | None = None
    #: The API key that was shown; none if that was the token of an identity provider.
    key_id: UUID | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    #: When the credential's time is over; what it has opened ends then.
    expires_at: datetime | None = None
    #: Who an identity provider says that it is, for logs.
    subject: str | None = None

    @property
    def id(self) -> UUID | None:
        """The user's id, under the name `task_launcher` looks for on `current_user`."""
        return self.user_id

    def credential(self) -> dict[str, str | None]:
        """What was shown, as the fields of a log line."""
        return {"key_id": None if self.key_id is None else str(self.key_id), "subject": self.subject}

    def headers(self) -> dict[str, str]:
        """Message headers that make a worker act for the same tenant and user."""
        headers = {ORGANIZATION_HEADER: str(self.organization_id)}
        if self.user_id is not None:
            headers[USER_HEADER] = str(self.user_id)
        return headers
