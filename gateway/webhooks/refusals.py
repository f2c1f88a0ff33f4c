"""Refusals of what cannot be done with a webhook endpoint as it is."""

from __future__ import annotations

from gateway.errors import ApiError


class WebhookDisabled(ApiError):
    """Nothing is sent to an endpoint that is disabled."""

    status, code, title = 409, "webhook_disabled", "The webhook endpoint is disabled"


class CallbackUnchangeable(ApiError):
    """What is sent to the endpoint of callbacks is told with each run."""

    status, code, title = 409, "callback_unchangeable", "The webhook endpoint is one of callbacks"


class TooManyWebhookEndpoints(ApiError):
    """The organization has as many webhook endpoints of the kind as it may."""

    status, code, title = 409, "too_many_webhook_endpoints", "There are too many webhook endpoints"


class TooManyWebhookSecrets(ApiError):
    """The endpoint has as many secrets that are good as it may."""

    status, code, title = 409, "too_many_webhook_secrets", "There are too many webhook secrets"
