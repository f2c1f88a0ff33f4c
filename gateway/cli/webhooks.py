"""Webhooks of your organization: who is told when runs end, what was sent, and sending it again."""

from __future__ import annotations

import argparse

from gateway.cli.arguments import at_least_one, given, instant, words
from gateway.cli.failures import ExitStatus
from gateway.cli.findings import first_of, print_found, print_one
from gateway.cli.interruption import ending_at_once
from gateway.cli.server import add_json_argument, add_server_arguments, prints_json, talking
from gateway.client import Model
from gateway.client.calls import create, listing, path_part

_ENDPOINTS, _DELIVERIES = "/v1/webhook-endpoints", "/v1/webhook-deliveries"
_ENDPOINT_COLUMNS = ("id", "kind", "url", "event_types", "enabled", "disabled_reason", "created_at")
_DELIVERY_COLUMNS = ("id", "event_type", "subject_id", "status", "attempts", "http_status", "error", "created_at")
_FILTERS = ("status", "webhook_endpoint_id", "event_type", "subject_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    endpoints = actions.add_parser("list", help="list webhook endpoints, the latest first")
    endpoints.set_defaults(action=_list)
    making = actions.add_parser("create", help="create an endpoint, and show its secret once")
    making.set_defaults(action=_create)
    making.add_argument("url", metavar="URL", help="what is called")
    making.add_argument(
        "--types", type=words, metavar="A,B", help="of which events (default: runs and groups that end)"
    )
    making.add_argument("--description", metavar="TEXT", help="for people")
    testing = actions.add_parser("test", help="send an event that means nothing")
    testing.set_defaults(action=_test)
    deliveries = actions.add_parser("deliveries", help="list what is sent and was sent, the latest first")
    deliveries.set_defaults(action=_deliveries)
    deliveries.add_argument("--status", help="pending, delivered, exhausted or skipped")
    deliveries.add_argument("--endpoint", dest="webhook_endpoint_id", metavar="ID", help="only to this endpoint")
    deliveries.add_argument("--type", dest="event_type", metavar="TYPE", help="only of this type of event")
    deliveries.add_argument("--subject", dest="subject_id", metavar="ID", help="only of this run, group or task")
    resending = actions.add_parser("resend", help="send a delivery again")
    resending.set_defaults(action=_resend)
    resending.add_argument("webhook_delivery_id", metavar="DELIVERY", help="the delivery's id")
    recovering = actions.add_parser("recover", help="send again what an endpoint did not take")
    recovering.set_defaults(action=_recover)
    recovering.add_argument("--since", type=instant, required=True, metavar="TIME", help="such as 2026-11-26T09:00")
    recovering.add_argument("--until", type=instant, metavar="TIME", help="the first moment that is too late")
    for action in (testing, recovering):
        action.add_argument("webhook_endpoint_id", metavar="ENDPOINT", help="the endpoint's id")
    for action in (endpoints, deliveries):
        action.add_argument("--limit", type=at_least_one, metavar="N", help="the latest N (default: all)")
    for action in (endpoints, making, testing, deliveries, resending, recovering):
        add_server_arguments(action)
        add_json_argument(action)


def execute(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    with ending_at_once():
        options.action(options)
    return ExitStatus.OK


def _list(options: argparse.Namespace) -> None:
    with talking(options) as client:
        found = client.items(listing(_ENDPOINTS, Model))
        print_found(first_of(found, options.limit), _ENDPOINT_COLUMNS, as_json=prints_json(options))


def _create(options: argparse.Namespace) -> None:
    asked = {"url": options.url, "event_types": options.types, "description": options.description}
    _do(options, _ENDPOINTS, {name: value for name, value in asked.items() if value is not None})


def _test(options: argparse.Namespace) -> None:
    _do(options, f"{_ENDPOINTS}/{path_part(options.webhook_endpoint_id)}/test", {})


def _deliveries(options: argparse.Namespace) -> None:
    with talking(options) as client:
        found = client.items(listing(_DELIVERIES, Model, filters=given(options, _FILTERS)))
        print_found(first_of(found, options.limit), _DELIVERY_COLUMNS, as_json=prints_json(options))


def _resend(options: argparse.Namespace) -> None:
    _do(options, f"{_DELIVERIES}/{path_part(options.webhook_delivery_id)}/resend", {})


def _recover(options: argparse.Namespace) -> None:
    until = {} if options.until is None else {"until": options.until.isoformat()}
    path = f"{_ENDPOINTS}/{path_part(options.webhook_endpoint_id)}/recover"
    _do(options, path, {"since": options.since.isoformat(), **until})


def _do(options: argparse.Namespace, path: str, body: dict[str, object]) -> None:
    with talking(options) as client:
        print_one(client.send(create(path, body, Model)), as_json=prints_json(options))
