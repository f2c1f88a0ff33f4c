"""Request templates: what they render, what they refuse, and that nobody can make one expensive."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest

from workerapp.contract.template import TemplateFailed, TemplateInvalid, compile_request
from workerapp.contract.template_budget import TemplateLimits

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
VARIABLES: dict[str, Any] = {
    "input": "Why?",
    "messages": MESSAGES,
    "metadata": {"note": "a", "items": [1, 2], "n": 3, "nothing": None},
    "test_run_id": "run",
    "test_id": "test",
}
#: Nothing a template does may take longer of a processor than its half second, plus what one step takes.
BOUND_SECONDS = 5.0


def render(template: Any, **variables: Any) -> Any:
    return compile_request(template).render(VARIABLES | variables)


def test_strings_anywhere_inside_are_rendered() -> None:
    template = {"a": [{"b": "Q: {{ input }}"}], "c": 1, "d": None, "e": True, "f": "plain", "{{ input }}": "key"}
    rendered = render(template)
    assert rendered == {"a": [{"b": "Q: Why?"}], "c": 1, "d": None, "e": True, "f": "plain", "{{ input }}": "key"}
    assert list(rendered) == list(template)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ messages }}", MESSAGES),
        ("{{ metadata.n }}", 3),
        ("{{ metadata.n + 0.5 }}", 3.5),
        ("{{ metadata.nothing }}", None),
        ("{{ metadata.n > 2 }}", True),
        ("{{ metadata['items'] }}", [1, 2]),
        ("{{ metadata.items[-1] }}", 2),
        ("{{ messages|map(attribute='role')|list }}", ["system", "user"]),
        ("{{ messages|selectattr('role', 'eq', 'user')|first }}", MESSAGES[1]),
        ("{{ [input, {'k': metadata.n}] }}", ["Why?", {"k": 3}]),
    ],
)
def test_single_expression_keeps_the_type_of_its_value(source: str, value: Any) -> None:
    assert render(source) == value
    assert type(render(source)) is type(value)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (" {{ metadata.n }}", " 3"),
        ("{{ metadata.n }}{{ metadata.n }}", "33"),
        ("<{{ messages[1] }}>", '<{"role":"user","content":"Why?"}>'),
        ("{{ metadata.nothing }}, {{ true }}", "null, true"),
        ("{{ input ~ '-' ~ metadata.n }}", "Why?-3"),
        ("{% for m in messages %}{{ m.role }}{{ ',' if not loop.last }}{% endfor %}", "system,user"),
        ("{% if metadata.note == 'a' %}yes{% else %}no{% endif %}", "yes"),
        ("{{ metadata.missing|default('none given') }}", "none given"),
        ("{{ messages|map(attribute='content')|join(' / ') }}", "Be brief. / Why?"),
        ("{{ input|replace('?', '!')|upper }}", "WHY!"),
        ("{{ input|tojson }} as JSON", '"Why?" as JSON'),
        ("{% raw %}{{ input }}{% endraw %}", "{{ input }}"),
        ("not a { template }\r\n", "not a { template }\n"),
        ("{{ input }}\n", "Why?\n"),
    ],
)
def test_longer_text_is_text(source: str, text: str) -> None:
    assert render(source) == text


def test_value_with_template_syntax_is_not_rendered_again() -> None:
    assert render("Q: {{ input }}", input="{{ metadata }}") == "Q: {{ metadata }}"


@pytest.mark.parametrize(
    ("template", "pointer", "sentence"),
    [
        ({"a": [1, "{{ input"]}, "/a/1", "does not compile"),
        ({"a/b": {"~": "{% if %}"}}, "/a~1b/~0", "does not compile"),
        ("{{ expected }}", "", "there is no variable 'expected'; a template may use conversation_id, input"),
        ("{{ self }}", "", "there is no variable 'self'"),
        ("{{ input|center(10) }}", "", "there is no filter 'center'"),
        ("{{ input is callable }}", "", "there is no test 'callable'"),
        ("{{ range(3) }}", "", "uses 'call'"),
        ("{{ input.upper() }}", "", "uses 'call'"),
        ("{{ dict(a=1) }}", "", "uses 'call'"),
        ("{% set x = 1 %}", "", "uses 'assign'"),
        ("{% include 'x' %}", "", "uses 'include'"),
        ("{% import 'x' as y %}", "", "uses 'import'"),
        ("{% extends 'x' %}", "", "uses 'extends'"),
        ("{% macro f() %}{{ f() }}{% endmacro %}", "", "uses 'macro'"),
        ("{% for m in messages recursive %}{{ loop(m) }}{% endfor %}", "", "uses"),
        ("{{ 2 ** 9 }}", "", "uses 'pow'"),
        ("{" + "{ input }}" * 7000, "", "at most 65536 are accepted"),
    ],
)
def test_bad_template_is_refused_with_its_place(template: Any, pointer: str, sentence: str) -> None:
    with pytest.raises(TemplateInvalid, match=sentence) as caught:
        compile_request(template)
    assert caught.value.pointer == pointer


def test_deep_template_is_refused() -> None:
    template: Any = "x"
    for _ in range(60):
        template = [template]
    with pytest.raises(TemplateInvalid, match="deeper than 50 levels"):
        compile_request(template)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{{ metadata.missing }}", "no attribute 'missing'"),
        ("x {{ metadata.missing }}", "no attribute 'missing'"),
        ("{{ metadata.missing.deeper }}", "no attribute 'missing'"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ input - 1 }}", "for numbers"),
        ("{{ input.__class__ }}", "no attribute '__class__'"),
        ("{{ input['__class__'] }}", "no attribute '__class__'"),
        ("{{ ''.__class__.__mro__ }}", "no attribute '__class__'"),
        ("{{ messages.append }}", "no attribute 'append'"),
        ("{{ metadata.keys }}", "no attribute 'keys'"),
        ("{{ messages|map(attribute='__class__')|list }}", "no attribute '__class__'"),
        ("{{ messages|map('attr', '__class__')|list }}", "No filter named 'attr'"),
        ("{% for m in messages %}{{ loop.__init__ }}{% endfor %}", "unsafe"),
        ("{{ 'nan'|float }}", "not a number JSON can hold"),
    ],
)
def test_rendering_failure_is_explained(source: str, sentence: str) -> None:
    with pytest.raises(TemplateFailed, match=sentence):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ '%1000000000s' % 1 }}",
        "{{ 'x'|join('y')|replace('', input)|replace('', input)|replace('', input)|replace('', input) }}",
        "{{ input|list|join(input)|list|join(input)|list|join(input) }}",
        "{{ messages|map('join', input)|join(input)|list|join(input) }}",
        "{{ input|tojson" + "|tojson" * 60 + " }}",
        "{{ input" + " ~ input" * 900 + " }}",
        "{{ input" + " + input" * 150 + " }}",
        "{{ [input" + ", input" * 900 + "] }}",
        "{{ [input" + ", input" * 900 + "]|tojson }}",
        "x" + "{{ input }}" * 1000,
        "{{ 5|round(1000000000) }}",
        "{{ 5|round(-1000000000) }}",
        "{{ 9999999999999999999999999999999999" + "*9999999999999999999999999999999999" * 100 + " }}",
        "{% for a in input %}{% for b in input %}{% for c in input %}x{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in input %}{{ input|list|sort|join }}{% endfor %}",
        "{% for a in input %}" + "x" * 60_000 + "{% endfor %}",
    ],
)
def test_expensive_template_stops_early(source: str) -> None:
    template = compile_request(source)
    began = process_time()
    with pytest.raises(TemplateFailed):
        template.render(VARIABLES | {"input": '"' + "ab" * 5000})
    assert process_time() - began < BOUND_SECONDS


def test_output_of_all_strings_together_is_bounded() -> None:
    with pytest.raises(TemplateFailed, match="more than 1048576 characters"):
        render(["{{ input }}"] * 20, input="x" * 100_000)


def test_limits_can_be_chosen() -> None:
    template = compile_request("{{ input }}", limits=TemplateLimits(output_size=10))
    assert template.render(VARIABLES) == "Why?"
    with pytest.raises(TemplateFailed, match="more than 10 characters"):
        template.render(VARIABLES | {"input": "x" * 11})


@pytest.mark.parametrize(
    "source",
    [
        *("{{" * 30_000, "{%" * 30_000, "{#" * 30_000, "{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}"),
        *("{% if 1 %}" * 300 + "{% endif %}" * 300, "{{ " + "-" * 20_000 + "1 }}", "{{ 1" + "+1" * 20_000 + " }}"),
        "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    ],
)
def test_pathological_source_is_refused_quickly(source: str) -> None:
    began = process_time()
    with pytest.raises(TemplateInvalid, match="does not compile"):
        compile_request(source)
    assert process_time() - began < BOUND_SECONDS


def test_rendering_does_not_change_the_template_or_the_variables() -> None:
    template = compile_request({"a": "{{ input }}", "b": {"c": [1]}})
    before = json.dumps(VARIABLES)
    assert template.render(VARIABLES) == template.render(VARIABLES) == {"a": "Why?", "b": {"c": [1]}}
    assert json.dumps(VARIABLES) == before
