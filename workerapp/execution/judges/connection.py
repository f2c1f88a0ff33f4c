"""One judge as a lane reaches it: its endpoint, the forms it can be asked in, and how many questions at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Self, TypeAlias

from yarl import URL

from workerapp.contract.judges import Judge, LlmJudge
from workerapp.contract.presets import OPENAI_CHAT
from workerapp.contract.reasons import ErrorCode
from workerapp.contract.specs import EndpointSpec
from workerapp.execution.exchange import Answer, Question
from workerapp.execution.judges.case import REQUEST
from workerapp.execution.target import Target

#: Statuses by which servers refuse what they do not know in a request.
_REFUSED = frozenset({400, 422})
_SAME_EACH_TIME: dict[str, Any] = {"temperature": 0, "seed": f"{{{{ metadata.{REQUEST}.seed }}}}"}
#: What is asked for beside the messages; each form is for servers that refuse the one before.
_FORMS: tuple[dict[str, Any], ...] = (
    {**_SAME_EACH_TIME, "response_format": f"{{{{ metadata.{REQUEST}.response_format }}}}"},
    _SAME_EACH_TIME,
    {},
)

#: Entered for each question; waits while the endpoint is asked as much at once as it takes.
Turns: TypeAlias = AbstractAsyncContextManager[Any]


class JudgeConnection:
    """Asks one judge; remembers which form of request it takes."""

    def __init__(self, name: str, targets: Sequence[Target], turns: Turns, *, as_chat: bool) -> None:
        """`turns` are those of everybody who asks the same endpoint."""
        self.name, self.as_chat = name, as_chat
        self._targets, self._turns = targets, turns
        self._form = 0
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for target in self._targets:
            await self._open.enter_async_context(target)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def ask(self, question: Question) -> Answer:
        """Ask in the best form that is taken; the answer is the last one's if none is."""
        async with self._turns:
            answer = await self._targets[self._form].ask(question)
            for form in range(self._form + 1, len(self._targets)):
                if not _is_refused(answer):
                    break
                answer = await self._targets[form].ask(question)
                if answer.error is None:
                    self._form = max(self._form, form)
            return answer


def name_of(judge: Judge, endpoint: EndpointSpec) -> str:
    """What a reason calls the judge; never a URL, which may have a secret in its query."""
    if judge.url is None:
        return f'"{endpoint.name}"'
    url = URL(judge.url)
    where = f"{url.host}:{url.port}"
    return f"{judge.model} at {where}" if isinstance(judge, LlmJudge) else where


def endpoint_at(judge: Judge) -> EndpointSpec:
    """The endpoint of a judge that says its URL itself."""
    where = {"url": judge.url, "timeout": judge.timeout}
    if isinstance(judge, LlmJudge):
        return EndpointSpec.model_validate({**where, "name": judge.model, "preset": OPENAI_CHAT, "model": judge.model})
    return EndpointSpec.model_validate({**where, "name": "webhook"})


def forms_of(judge: Judge, endpoint: EndpointSpec) -> list[EndpointSpec]:
    """The endpoint, as it can be asked for a verdict; what it sets itself has precedence."""
    if not isinstance(judge, LlmJudge):
        sent = {"method": "POST", "request": f"{{{{ metadata.{REQUEST} }}}}", "response": "text"}
        return [endpoint.model_copy(update={**sent, "stream": False, "preset": None, "model": None})]
    if endpoint.preset != OPENAI_CHAT or not isinstance(endpoint.request, dict):
        return [endpoint]
    return [endpoint.model_copy(update={"request": form | endpoint.request}) for form in _FORMS]


def _is_refused(answer: Answer) -> bool:
    error = answer.error
    return error is not None and error.code is ErrorCode.HTTP_STATUS and answer.http_status in _REFUSED
