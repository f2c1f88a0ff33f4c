"""The request to an endpoint: its templates, compiled once and rendered for every test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yarl import URL

from workerapp.contract.distribution import DISTRIBUTION
from workerapp.contract.headers import check_value
from workerapp.contract.json_values import as_json, as_text
from workerapp.contract.specs import EndpointSpec
from workerapp.contract.template import TemplateFailed, compile_request
from workerapp.execution.exchange import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedRequest:
    """What is sent for one test; the headers are those that are the test's own."""

    url: URL
    body: bytes | None
    headers: Mapping[str, str]


class RequestBuilder:
    """Makes the requests to one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._spec, self._url = spec, URL(spec.url)
        self._request, self._query = compile_request(spec.request), compile_request(spec.query)
        self._headers = compile_request(spec.templated_headers)
        templates = as_json([spec.request, spec.query, spec.templated_headers])
        self._names_conversation = "conversation_id" in templates
        self.fixed_headers = _fixed_headers(spec)

    def build(self, question: Question) -> RenderedRequest:
        """Render the templates for a test.

        Raises:
            TemplateFailed: one of them cannot be rendered, or not as something that can be sent.
        """
        variables = question.variables(system=self._spec.system, with_conversation=self._names_conversation)
        request, query = self._request.render(variables), self._query.render(variables)
        if self._spec.method == "GET":
            query, request = query | (request or {}), None
        return RenderedRequest(
            url=self._url.update_query({name: as_text(value) for name, value in query.items()}) if query else self._url,
            body=None if request is None else as_json(request).encode("utf-8", "replace"),
            headers=_sendable(self._headers.render(variables)),
        )


def _sendable(headers: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: as_text(value) for name, value in headers.items()}
    for name, value in texts.items():
        try:
            check_value(name, value)
        except ValueError as exc:
            raise TemplateFailed(str(exc)) from None
    return texts


def _fixed_headers(spec: EndpointSpec) -> dict[str, str]:
    """The same with every request: the endpoint's, and defaults for what it does not set, in whatever case."""
    names = {name.lower() for name in (*spec.headers, *spec.templated_headers)}
    accept = "text/plain, */*" if spec.response == "text" else "application/json"
    if spec.stream:
        accept = "text/event-stream"
    defaults = {"Content-Type": "application/json", "Accept": accept, "User-Agent": DISTRIBUTION}
    return {name: value for name, value in defaults.items() if name.lower() not in names} | spec.headers
