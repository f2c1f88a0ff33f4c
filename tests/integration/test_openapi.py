"""`openapi.yaml` is valid, and covers exactly the routes, errors and fields there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import validate
from pydantic import BaseModel
from starlette.routing import Route, WebSocketRoute

from gateway.api import (
    admin,
    api_keys,
    audit_events,
    bulk_cancel,
    bulk_retry,
    caller,
    group_differences,
    group_submission,
    named_metrics,
    organizations,
    run_comparison,
    run_groups,
    run_repetition,
    run_statistics,
    webhook_deliveries,
    webhook_endpoints,
    webhook_operation,
    webhook_secrets,
)
from gateway.api.endpoints import Endpoint
from gateway.api.invocations import Invocation, InvocationCreation
from gateway.api.problems import ProblemKind, problem_kinds
from gateway.api.routing import Resource
from gateway.api.run_filter import RunFilter
from gateway.api.run_submission import RunSubmitted
from gateway.api.service import About, Health
from gateway.api.stream_tickets import StreamTicket, StreamTicketCreation
from gateway.api.task_filter import TaskFilter
from gateway.api.task_submission import TaskSubmission, TaskSubmitted
from gateway.api.task_types import TaskType
from gateway.api.tasks import Task, TaskSummary
from gateway.api.test_configurations import Execution, TestConfiguration, TestConfigurationCreation
from gateway.api.test_imports import Imported
from gateway.api.test_runs import RunSettings, TestResult, TestRun
from gateway.api.test_set_execution import TestSetExecution
from gateway.api.test_sets import Reordering, TestSet, TestSetChange, TestSetCreation
from gateway.api.tests import Added, Addition, Test
from gateway.routes import routes
from tests.contract import Contract, ContractBroken, contract, read_events
from tests.rest import Gateway
from workerapp.contract import auth, judges, metrics
from workerapp.contract.events import EventType
from workerapp.contract.invocation import ReceivedResponse, SentRequest
from workerapp.contract.mapping import MAX_FIELDS, MAX_PATH_LENGTH
from workerapp.contract.outbound import MAX_URL_LENGTH
from workerapp.contract.patterns import MAX_PATTERN_LENGTH
from workerapp.contract.specs import ConfigurationSpec, EndpointSpec, Message, Sample, TestSpec, Turn
from workerapp.contract.webhooks import PATTERNS, TEST_TYPE, WEBHOOK_TYPES

MODELS: dict[str, type[BaseModel]] = {
    "Service": About,
    "Health": Health,
    "ProblemKind": ProblemKind,
    "TaskType": TaskType,
    "TaskFilter": TaskFilter,
    "TaskCancellation": bulk_cancel.TaskCancellation,
    "Cancelled": bulk_cancel.Cancelled,
    "TaskSubmission": TaskSubmission,
    "TaskSubmitted": TaskSubmitted,
    "TaskSummary": TaskSummary,
    "Task": Task,
    "RunSubmitted": RunSubmitted,
    "Execution": Execution,
    "StreamTicketCreation": StreamTicketCreation,
    "StreamTicket": StreamTicket,
    "EndpointCreation": EndpointSpec,
    "Endpoint": Endpoint,
    "InvocationCreation": InvocationCreation,
    "Invocation": Invocation,
    "SentRequest": SentRequest,
    "ReceivedResponse": ReceivedResponse,
    "BearerAuth": auth.BearerAuth,
    "ApiKeyAuth": auth.ApiKeyAuth,
    "ClientCredentialsAuth": auth.ClientCredentialsAuth,
    "TestSetCreation": TestSetCreation,
    "TestCreation": TestSpec,
    "TestSetChange": TestSetChange,
    "Reordering": Reordering,
    "TestsAddition": Addition,
    "TestsAdded": Added,
    "TestsImported": Imported,
    "TestSet": TestSet,
    "Test": Test,
    "Turn": Turn,
    "Message": Message,
    "TestConfigurationCreation": TestConfigurationCreation,
    "TestConfiguration": TestConfiguration,
    "Sample": Sample,
    "RunSettings": RunSettings,
    "TestRun": TestRun,
    "ListedTestRun": TestRun,
    "RunFilter": RunFilter,
    "RunCancellation": bulk_cancel.RunCancellation,
    "RunRetries": bulk_retry.RunRetries,
    "RunsRetried": bulk_retry.RunsRetried,
    "RetriedRun": bulk_retry.RetriedRun,
    "SkippedRun": bulk_retry.SkippedRun,
    "TestResult": TestResult,
    "RunStatistics": run_statistics.RunStatistics,
    "Judged": run_statistics.Judged,
    "LatencyStatistics": run_statistics.LatencyStatistics,
    "MetricStatistics": run_statistics.MetricStatistics,
    "HttpStatusCount": run_statistics.HttpStatusCount,
    "ErrorCodeCount": run_statistics.ErrorCodeCount,
    "TagStatistics": run_statistics.TagStatistics,
    "RepeatStatistics": run_statistics.RepeatStatistics,
    "FlakyTest": run_statistics.FlakyTest,
    "Comparison": run_comparison.Comparison,
    "ComparedRun": run_comparison.ComparedRun,
    "ComparedTest": run_comparison.ComparedTest,
    "ComparedResult": run_comparison.ComparedResult,
    "TestSetExecution": TestSetExecution,
    "RunConfiguration": ConfigurationSpec,
    "RunGroupSubmitted": group_submission.RunGroupSubmitted,
    "QueuedRun": group_submission.QueuedRun,
    "RunGroupSummary": run_groups.RunGroupSummary,
    "RunGroup": run_groups.RunGroup,
    "GroupRun": run_groups.GroupRun,
    "GroupComparison": run_groups.GroupComparison,
    "ComparedGroupRun": run_groups.ComparedGroupRun,
    "Difference": group_differences.Difference,
    "RunOutcome": group_differences.RunOutcome,
    "Retry": run_repetition.Retry,
    "Rerun": run_repetition.Rerun,
    "Rescore": run_repetition.Rescore,
    "Worker": admin.Worker,
    "ActiveTask": admin.ActiveTask,
    "OrganizationDepth": admin.OrganizationDepth,
    "Queue": admin.Queue,
    "Purge": admin.Purge,
    "Purged": admin.Purged,
    "AdminTask": admin.AdminTask,
    "Caller": caller.KnownCaller,
    "ApiKeyCreation": api_keys.ApiKeyCreation,
    "ApiKeyChange": api_keys.ApiKeyChange,
    "Rotation": api_keys.Rotation,
    "ApiKey": api_keys.ApiKey,
    "ApiKeyCreated": api_keys.ApiKeyCreated,
    "WebhookEndpointCreation": webhook_endpoints.WebhookEndpointCreation,
    "WebhookEndpointChange": webhook_endpoints.WebhookEndpointChange,
    "WebhookEndpoint": webhook_endpoints.WebhookEndpoint,
    "WebhookEndpointCreated": webhook_endpoints.WebhookEndpointCreated,
    "WebhookRotation": webhook_secrets.WebhookRotation,
    "WebhookSecret": webhook_secrets.WebhookSecret,
    "ReplacedSecret": webhook_secrets.ReplacedSecret,
    "WebhookTest": webhook_operation.WebhookTest,
    "Recovery": webhook_operation.Recovery,
    "Recovered": webhook_operation.Recovered,
    "WebhookStatistics": webhook_operation.WebhookStatistics,
    "LastAttempt": webhook_operation.LastAttempt,
    "WebhookDeliverySummary": webhook_deliveries.WebhookDeliverySummary,
    "WebhookDelivery": webhook_deliveries.WebhookDelivery,
    "WebhookAttempt": webhook_deliveries.WebhookAttempt,
    "AuditEvent": audit_events.AuditEvent,
    "AuditActor": audit_events.Actor,
    "AuditResource": audit_events.Resource,
    "OrganizationNaming": organizations.OrganizationNaming,
    "OrganizationChange": organizations.OrganizationChange,
    "Organization": organizations.Organization,
    "SweepStep": admin.SweepStep,
    "Sweeper": admin.Sweeper,
    "MetricReference": metrics.NamedMetric,
    "MetricCreation": named_metrics.MetricCreation,
    "MetricChange": named_metrics.MetricChange,
    "NamedMetric": named_metrics.NamedMetric,
    **{
        kind.__name__: kind
        for kind in (
            *(metrics.Equals, metrics.IEquals, metrics.Contains, metrics.ContainsAny, metrics.ContainsAll),
            *(metrics.StartsWith, metrics.Regex, metrics.Extract, metrics.Category, metrics.IsJson, metrics.JsonSchema),
            *(metrics.JsonPath, metrics.Levenshtein, metrics.RougeL, metrics.F1, metrics.Latency, metrics.HttpStatus),
            *(judges.LlmJudge, judges.WebhookJudge),
            *(judges.BinaryScale, judges.NumericScale, judges.CategoricalScale),
        )
    },
}
#: Items of lists that may be asked for in part: what is answered in any case.
_IN_PART = {"TaskSummary": {"task_id"}, "ListedTestRun": {"id"}}
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties")
#: Limits that a validator or a handler holds, with an error of its own.
_CHECKED_IN_CODE: dict[tuple[str, str], dict[str, int]] = {
    ("Extract", "pattern"): {"maxLength": MAX_PATTERN_LENGTH},
    ("Regex", "pattern"): {"maxLength": MAX_PATTERN_LENGTH},
    ("Category", "pattern"): {"maxLength": MAX_PATTERN_LENGTH},
    ("JsonPath", "path"): {"maxLength": MAX_PATH_LENGTH},
    ("EndpointCreation", "url"): {"maxLength": MAX_URL_LENGTH},
    ("EndpointCreation", "response"): {"maxProperties": MAX_FIELDS},
    ("LlmJudge", "url"): {"maxLength": MAX_URL_LENGTH},
    ("WebhookJudge", "url"): {"maxLength": MAX_URL_LENGTH},
    ("ClientCredentialsAuth", "token_url"): {"maxLength": MAX_URL_LENGTH},
    ("WebhookEndpointCreation", "url"): {"maxLength": MAX_URL_LENGTH},
    ("WebhookEndpointChange", "url"): {"maxLength": MAX_URL_LENGTH},
    **{
        (name, "callback_url"): {"maxLength": MAX_URL_LENGTH}
        for name in ("Execution", "TestSetExecution", "Retry", "Rerun", "Rescore")
    },
    ("TestSetCreation", "tests"): {"minItems": 1},
    ("TestsAddition", "tests"): {"minItems": 1},
}


def test_the_document_is_valid() -> None:
    validate(contract().document)
    assert contract().document["openapi"] == "3.1.1"


def test_the_document_and_the_routes_name_the_same_operations() -> None:
    served = {
        (method, route.path)
        for route in routes()
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    # The handshake of a WebSocket is a GET.
    served |= {("GET", route.path) for route in routes() if isinstance(route, WebSocketRoute)}
    assert served == set(contract().operations())


def test_the_document_and_the_routes_deprecate_the_same_operations() -> None:
    told = {
        (method.upper(), route.path): operation.deprecation and operation.deprecation.sunset.isoformat()
        for route in routes()
        if isinstance(route, Resource)
        for method, operation in route.operations.items()
    }
    for key, operation in contract().operations().items():
        assert operation.get("x-sunset") == told.get(key), key
        assert operation.get("deprecated", False) == ("x-sunset" in operation), key


def test_every_operation_has_a_name_of_its_own_and_says_which_errors_it_answers() -> None:
    operations = contract().operations()
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)
    for (_, path), operation in operations.items():
        needed = {"500"} | ({"401", "403", "429", "503"} if path.startswith("/v1/") else set())
        assert needed <= set(operation["responses"]), path


def test_operations_that_take_a_body_can_answer_that_it_is_too_slow_or_too_large() -> None:
    for (_, path), operation in contract().operations().items():
        assert "requestBody" not in operation or {"408", "413"} <= set(operation["responses"]), path


def test_operations_with_an_id_can_answer_that_there_is_nothing() -> None:
    for (_, path), operation in contract().operations().items():
        assert "{" not in path or "404" in operation["responses"], path


def test_every_operation_that_makes_something_takes_an_idempotency_key() -> None:
    made = {"201", "202"}
    others = {
        # It is stored nowhere.
        "createStreamTicket",
        # What is to end has ended, or ends: asking twice is the same.
        *("cancelTask", "cancelTestRun", "cancelRunGroup", "revokeTask", "terminateTask"),
        # A receiver knows by the delivery's id what it has got already.
        *("recoverWebhookDeliveries", "resendWebhookDelivery"),
    }
    without = {
        operation["operationId"]
        for (method, _), operation in contract().operations().items()
        if method in ("POST", "PUT") and made & operation["responses"].keys()
        if {"$ref": "#/components/parameters/IdempotencyKey"} not in operation.get("parameters", ())
    }
    assert without == others


def test_names_of_operations_begin_with_a_verb_and_name_methods_of_clients() -> None:
    verbs = {
        *("list", "get", "create", "change", "replace", "archive", "add", "export", "import", "compare", "open"),
        *("submit", "cancel", "execute", "invoke", "reorder", "retry", "rerun", "rescore", "stream"),
        *("revoke", "rotate", "remove", "purge", "terminate", "test", "recover", "resend"),
    }
    for (method, path), operation in contract().operations().items():
        name = operation["operationId"]
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name), name
        verb = re.match("[a-z]+", name)
        assert verb is not None
        assert verb[0] in verbs, name
        if method == "GET":
            assert verb[0] in {"list", "get", "export", "compare", "stream", "open"}, name
        if path.endswith("}") and method == "PATCH":
            assert verb[0] == "change", name


def test_every_tag_is_used_and_described_and_every_operation_says_what_it_does() -> None:
    document = contract().document
    described = {tag["name"] for tag in document["tags"] if tag["description"].endswith(".")}
    used = {tag for operation in contract().operations().values() for tag in operation["tags"]}
    assert used == described
    assert all(operation["summary"] for operation in contract().operations().values())


def test_every_answer_names_its_request_and_every_refusal_is_a_problem() -> None:
    for (method, path), operation in contract().operations().items():
        assert re.fullmatch(r"(/[a-z.-]+|/v1|/\{[a-z_]+\})+|/", path), path
        for status, item in operation["responses"].items():
            answer = contract().resolve(item)
            assert "X-Request-Id" in answer["headers"], (method, path, status)
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"], (method, path, status)


def test_every_error_code_is_in_the_document() -> None:
    text = json.dumps(contract().document["components"])
    for code in problem_kinds():
        assert f"`{code}`" in text, code


def test_every_event_type_of_a_stream_is_in_the_document() -> None:
    listed = contract().document["components"]["schemas"]["Event"]["properties"]["type"]["enum"]
    assert set(listed) == set(EventType)


def test_every_event_type_of_a_webhook_is_in_the_document() -> None:
    assert set(contract().document["webhooks"]) == {*WEBHOOK_TYPES, TEST_TYPE}
    asked_for = contract().document["components"]["schemas"]["WebhookEventType"]["enum"]
    assert sorted(asked_for) == sorted([*WEBHOOK_TYPES, *PATTERNS])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_schemas_have_the_fields_and_limits_of_the_models(name: str) -> None:
    documented = contract().document["components"]["schemas"][name]
    mode: Any = "validation" if _is_input(MODELS[name]) else "serialization"
    model = MODELS[name].model_json_schema(mode=mode, ref_template="{model}")
    assert set(documented["properties"]) == set(model["properties"])
    assert set(documented.get("required", ())) == _IN_PART.get(name, set(model.get("required", ())))
    assert documented.get("additionalProperties") is False
    if mode == "validation":
        for field, schema in model["properties"].items():
            mine = _limits(documented["properties"][field])
            assert mine == _limits(schema) | _CHECKED_IN_CODE.get((name, field), {}), f"{name}.{field}"


def test_every_object_of_the_document_is_held_against_a_model() -> None:
    """A schema that nobody compares could say anything; those named here are checked by the answers themselves."""
    payloads = ("TestRunEnded", "RunGroupEnded", "TaskEnded", "WebhookEndpointDisabled", "WebhookEndpointTested")
    by_answers = {
        "Problem",
        "ProblemError",
        "Event",
        "SelfLink",
        "Progress",
        "Verdict",
        "MetricScore",
        "ResultError",
        # What callers name themselves, or what is inside of a definition that is held against its model.
        *("Metadata", "MappedOutput", "MessagePart", "FieldMapping"),
        *("ChangeCounts", "HiddenHeaders", "EndpointAuthShown"),
        # By the deliveries, by the types of their events.
        *(f"{name}{part}" for name in payloads for part in ("", "Data")),
        *("TestRunEndedCounts", "TaskEndedError"),
        "WebhookHeaders",
    }
    objects = {
        name
        for name, schema in contract().document["components"]["schemas"].items()
        if schema.get("type") == "object" and not name.endswith(("Page", "Links"))
    }
    assert objects == set(MODELS) | by_answers


def test_every_request_and_answer_has_an_example() -> None:
    without = [
        (operation["operationId"], media["kind"])
        for operation in contract().operations().values()
        for holder in (operation.get("requestBody", {}), *operation["responses"].values())
        for media in _media_types(contract().resolve(holder))
        if "example" not in media and not _has_example(media["schema"])
    ]
    assert without == []


def test_every_example_fits_its_schema() -> None:
    examples = [
        (media["schema"], media["example"])
        for media in _media_types(contract().document)
        if "example" in media
        and ("json" in media["kind"] or "$ref" in media["schema"])
        and "jsonl" not in media["kind"]
    ]
    examples += [(schema, example) for schema in _schemas(contract().document) for example in schema["examples"]]
    assert len(examples) > 80
    assert [(example, wrong) for schema, example in examples if (wrong := contract().errors(schema, example))] == []


def test_the_example_of_a_stream_is_one() -> None:
    (text,) = contract().document["components"]["schemas"]["EventStream"]["examples"]
    events = list(read_events([*text.splitlines(), ""]))
    assert [name for name, _ in events] == ["message", "message", "draining"]
    for name, data in events:
        contract().check_event("the example", name, data)


async def test_the_document_is_served_as_it_is(served: Gateway) -> None:
    async with served.client() as client:
        response = await client.get("/openapi.yaml")
    assert yaml.safe_load(response.text) == contract().document
    assert response.content == (Path(__file__).parents[2] / "openapi.yaml").read_bytes()


@pytest.mark.parametrize(
    ("status", "body"), [(200, {"items": []}), (200, {"items": [], "next_cursor": None, "more": 1}), (418, {})]
)
def test_an_answer_outside_the_document_is_noticed(status: int, body: dict[str, Any]) -> None:
    request = httpx.Request("GET", "http://gateway/v1/tasks")
    response = httpx.Response(status, json=body, headers={"X-Request-Id": "1"}, request=request)
    with pytest.raises(ContractBroken):
        Contract().check(response)


def _is_input(model: type[BaseModel]) -> bool:
    return model.model_config.get("allow_inf_nan") is False


def _limits(schema: dict[str, Any]) -> dict[str, Any]:
    """The limits of a schema and of its alternatives, which may have names in the document."""
    found = contract().resolve(schema) if schema.get("$ref", "").startswith("#/") else schema
    limits = {name: found[name] for name in _LIMITS if name in found}
    for alternative in (*found.get("anyOf", ()), *found.get("oneOf", ())):
        limits |= _limits(alternative)
    return limits


def _has_example(schema: dict[str, Any]) -> bool:
    """Of its own, or of the items of a page."""
    found = contract().resolve(schema)
    items = found.get("properties", {}).get("items", {}).get("items")
    return "examples" in found or (items is not None and "examples" in contract().resolve(items))


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Those that have examples."""
    if isinstance(node, dict):
        if isinstance(node.get("examples"), list):
            yield node
        for name, child in node.items():
            if name not in ("example", "examples"):
                yield from _schemas(child)
    elif isinstance(node, list):
        for child in node:
            yield from _schemas(child)


def _media_types(node: Any) -> list[dict[str, Any]]:
    found = []
    if isinstance(node, dict):
        for kind, media in node.get("content", {}).items() if isinstance(node.get("content"), dict) else ():
            if isinstance(media, dict) and "schema" in media:
                found.append(media | {"kind": kind})
        for child in node.values():
            found += _media_types(child)
    elif isinstance(node, list):
        for child in node:
            found += _media_types(child)
    return found
