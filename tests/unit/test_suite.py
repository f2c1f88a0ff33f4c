"""Suite files: what they mean, and what is said about those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import demo
from gateway.cli.suite import Suite, SuiteInvalid, load_suite

ENDPOINT = """\
endpoint:
  name: model
  url: http://127.0.0.1:8900/v1/chat/completions
  request: {messages: [{role: user, content: "{{ input }}"}]}
  response: {output: "$.choices[0].message.content"}
"""
INLINE = """\
test_set:
  name: sums
  tests:
    - {input: 1 + 1, expected: "2"}
"""
FROM_FILE = "test_set: {name: sums, file: %s, fields: {input: question}}\n"


def load(folder: Path, text: str, **environment: str) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path, environment)


def problem(folder: Path, text: str, **environment: str) -> str:
    """What is said about a suite that is wrong, without the folder's name."""
    with pytest.raises(SuiteInvalid) as caught:
        load(folder, text, **environment)
    assert caught.value.status == 2
    return str(caught.value).replace(f"{folder}/", "")


def test_a_suite_becomes_what_the_api_takes(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text('{"question": "1 + 1", "expected": "2", "level": 3}\n\n')
    text = """\
        endpoint:
          name: gsm8k-175b
          url: http://127.0.0.1:8900/v1/chat/completions
          request: {model: 175b_finetuning, messages: [{role: user, content: "{{ input }}"}]}
          response: {output: "$.choices[0].message.content"}
        test_set:
          name: gsm8k
          file: questions.jsonl
          fields: {input: question, expected: expected}
        metrics:
          - {type: extract, pattern: 'A: (-?[0-9.,]+)', drop: ',', compare: text}
        run: {mode: parallel, concurrency: 50, per_test_timeout: 30}
        """
    suite = load(tmp_path, text)
    assert suite.endpoint == {
        "name": "gsm8k-175b",
        "url": "http://127.0.0.1:8900/v1/chat/completions",
        "request": {"model": "175b_finetuning", "messages": [{"role": "user", "content": "{{ input }}"}]},
        "response": {"output": "$.choices[0].message.content"},
    }
    assert suite.test_set == {"name": "gsm8k", "tests": [{"input": "1 + 1", "expected": "2"}]}
    assert suite.configuration == {
        "name": "gsm8k on gsm8k-175b",
        "mode": "parallel",
        "concurrency": 50,
        "per_test_timeout": 30,
        "metrics": [{"type": "extract", "pattern": "A: (-?[0-9.,]+)", "drop": ",", "compare": "text"}],
    }


def test_a_suite_may_have_judges_and_named_metrics(tmp_path: Path) -> None:
    key = "0199d2a0-7c4e-7b1a-8a3e-2f8f7f0a1c22"
    metrics = f"""\
metrics:
  - {{type: llm_judge, url: 'http://127.0.0.1:11434/v1', model: small, rubric: Polite., scale: {{type: binary}}}}
  - {{type: webhook, endpoint_id: {key}}}
  - {{type: metric, metric_id: {key}, not: true}}
"""
    assert load(tmp_path, ENDPOINT + INLINE + metrics).configuration["metrics"] == [
        {
            "type": "llm_judge",
            "url": "http://127.0.0.1:11434/v1",
            "model": "small",
            "rubric": "Polite.",
            "scale": {"type": "binary"},
        },
        {"type": "webhook", "endpoint_id": key},
        {"type": "metric", "metric_id": key, "not_": True},
    ]
    lonely = "metrics: [{type: llm_judge, url: 'http://127.0.0.1/', rubric: Polite.}]\n"
    assert problem(tmp_path, ENDPOINT + INLINE + lonely).endswith(
        "url and model go together; an endpoint names its model itself"
    )


def test_a_suite_has_metrics_of_all_kinds_and_a_threshold_for_the_run(tmp_path: Path) -> None:
    metrics = (
        "metrics:\n  - {type: json_schema, schema: {type: object}, not: true}\n  - {type: rouge_l, threshold: 0.5}\n"
        "run: {pass_threshold: 0.8}\n"
    )
    configuration = load(tmp_path, ENDPOINT + INLINE + metrics).configuration
    assert configuration["metrics"] == [
        {"type": "json_schema", "schema": {"type": "object"}, "not_": True},
        {"type": "rouge_l", "threshold": 0.5},
    ]
    assert configuration["pass_threshold"] == 0.8


def test_what_a_suite_leaves_out_is_left_to_the_server(tmp_path: Path) -> None:
    suite = load(tmp_path, ENDPOINT + INLINE)
    assert suite.configuration == {"name": "sums on model", "metrics": []}


def test_tests_come_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes('\ufeffquestion,expected\r\n"1, 2\nor 3?",2\r\nwhy?,\r\n'.encode())
    suite = load(tmp_path, ENDPOINT + FROM_FILE % "t.csv")
    assert suite.test_set["tests"] == [
        {"input": "1, 2\nor 3?", "expected": "2"},
        {"input": "why?"},
    ]


def test_a_line_separator_within_a_text_does_not_end_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"question": "a\u2028b\x85c"}\n', encoding="utf-8")
    suite = load(tmp_path, ENDPOINT + FROM_FILE % "t.jsonl")
    assert suite.test_set["tests"] == [{"input": "a\u2028b\x85c"}]


def test_a_date_is_a_text(tmp_path: Path) -> None:
    suite = load(tmp_path, ENDPOINT + "test_set: {name: days, tests: [{input: when, expected: 2024-01-31}]}")
    assert suite.test_set["tests"] == [{"input": "when", "expected": "2024-01-31"}]


def test_a_test_may_have_turns(tmp_path: Path) -> None:
    turns = [{"input": "a", "expected": "b"}, {"input": [{"role": "user", "content": "c"}]}]
    (tmp_path / "t.jsonl").write_text(json.dumps({"script": turns}) + '\n{"question": "d"}\n')
    named = "test_set: {name: t, file: t.jsonl, fields: {turns: script, input: question}}"
    tests = [{"turns": turns}, {"input": "d"}]
    assert load(tmp_path, ENDPOINT + named).test_set["tests"] == tests
    assert load(tmp_path, ENDPOINT + f"test_set: {{name: t, tests: {json.dumps(tests)}}}").test_set["tests"] == tests
    said = problem(tmp_path, ENDPOINT + "test_set:\n  name: t\n  tests:\n    - turns:\n        - {}\n")
    assert said == "suite.yaml, line 10: test_set.tests.0.turns.0.input is missing"


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    text = ENDPOINT + '  headers: {Authorization: "Bearer ${TOKEN}"}\n' + INLINE
    assert load(tmp_path, text, TOKEN="t-1").endpoint["headers"] == {"Authorization": "Bearer t-1"}
    assert problem(tmp_path, text) == "suite.yaml, line 6: the environment variable TOKEN is not set"


def test_secrets_of_authentication_come_from_the_environment(tmp_path: Path) -> None:
    text = ENDPOINT + '  auth: {type: bearer, token: "${TOKEN}"}\n' + INLINE
    assert load(tmp_path, text, TOKEN="t-1").endpoint["auth"] == {"type": "bearer", "token": "t-1"}
    assert "the environment variable TOKEN is not set" in problem(tmp_path, text)


def test_a_prompt_is_not_searched_for_variables(tmp_path: Path) -> None:
    suite = load(tmp_path, ENDPOINT + "test_set: {name: s, tests: [{input: 'what is ${HOME}?'}]}")
    assert suite.test_set["tests"] == [{"input": "what is ${HOME}?"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "suite.yaml is not a suite: it must have the fields endpoint and test_set"),
        ("- 1", "suite.yaml is not a suite: it must have the fields endpoint and test_set"),
        ("a: [1", "suite.yaml, line 1: this is not YAML: expected ',' or ']', but got '<stream end>'"),
        (ENDPOINT, "suite.yaml, line 1: test_set is missing"),
        (ENDPOINT + INLINE + "metric: []\n", "suite.yaml, line 10: metric is not a field that is known here"),
        (ENDPOINT + INLINE + "endpoint: {}\n", "suite.yaml, line 10: 'endpoint' is given twice"),
        (
            ENDPOINT + "test_set: {name: s, tests: []}",
            "suite.yaml, line 6: test_set.tests: List should have at least 1",
        ),
        (ENDPOINT + "test_set: {name: s}", "suite.yaml, line 6: test_set must have either file or tests"),
        (ENDPOINT + INLINE + "run: {metrics: [{type: equals}]}", "suite.yaml, line 10: metrics stand beside run"),
        (ENDPOINT + INLINE + "run:\n  concurrency: 0\n", "suite.yaml, line 11: run.concurrency should be greater"),
        (ENDPOINT + INLINE + "metrics:\n  - {type: guess}\n", "suite.yaml, line 11: metrics.0: "),
        (
            ENDPOINT + INLINE + "metrics:\n  - {type: regex, pattern: '('}\n",
            "suite.yaml, line 11: metrics.0.pattern: '('",
        ),
        (ENDPOINT.replace("http://", "ftp://") + INLINE, "suite.yaml, line 3: endpoint.url: the URL's scheme is 'ftp'"),
        (ENDPOINT.replace("{{ input }}", "{{ input"), "suite.yaml, line 4: endpoint.request: "),
        (ENDPOINT.replace("$.choices[0]", "$.choices["), "suite.yaml, line 5: endpoint.response"),
        (ENDPOINT + FROM_FILE % "absent.jsonl", "suite.yaml, line 6: there is no file absent.jsonl"),
        (ENDPOINT + FROM_FILE % "tests.txt", "tests.txt must end in .jsonl or .csv"),
        (
            ENDPOINT + "test_set: {name: s, file: a.csv, fields: {question: input}}",
            "suite.yaml, line 6: 'question' is not one of the fields input, expected, tags, metadata, assertions",
        ),
    ],
)
def test_a_wrong_suite_is_answered_with_the_line_and_the_reason(tmp_path: Path, text: str, said: str) -> None:
    assert problem(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.jsonl", b"", "t.jsonl has no tests"),
        (
            "t.jsonl",
            b'{"question": "a"}\n{"question": }\n',
            "t.jsonl, line 2: this is not JSON: expected value at column 14",
        ),
        ("t.jsonl", b"[1]\n", "t.jsonl, line 1: this is not an object"),
        (
            "t.jsonl",
            b'{"question": "a", "expected": NaN}\n',
            "t.jsonl, line 1: this is not JSON: expected value at column 31",
        ),
        ("t.jsonl", b'\n{"q": "a", "e": 1}\n', "t.jsonl, line 2: there is no field 'question'; there are 'q', 'e'"),
        ("t.jsonl", b'{"question": 7}\n', "t.jsonl, line 1: input should be a valid string"),
        ("t.jsonl", b'{"question": "\xff"}\n', "t.jsonl, line 1: this is not UTF-8"),
        ("t.csv", b"question,expected\na,b\nc\n", "t.csv, line 3: there are 1 cells, and 2 in the head"),
        ("t.csv", b'question,expected\n"a,b\n', "t.csv, line 2: this is not CSV"),
        (
            "t.csv",
            b"input,expected\na,b\n",
            "t.csv, line 2: there is no field 'question'; there are 'input', 'expected'",
        ),
    ],
)
def test_a_wrong_file_of_tests_is_answered_with_the_line_and_the_reason(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert problem(tmp_path, ENDPOINT + FROM_FILE % name).startswith(said)


def test_many_faults_are_not_all_told(tmp_path: Path) -> None:
    tests = "test_set:\n  name: s\n  tests:\n" + "    - {}\n" * 9
    lines = problem(tmp_path, ENDPOINT + tests).splitlines()
    assert lines[0].startswith("suite.yaml, line 9: test_set.tests.0: a test has either an input, or turns")
    assert lines[-1] == "… and 4 more"


def test_values_that_json_does_not_have_are_refused(tmp_path: Path) -> None:
    said = problem(tmp_path, ENDPOINT + "test_set: {name: s, tests: [{input: a, expected: .inf}]}")
    assert said.startswith("suite.yaml, line 6: test_set.tests.0.expected")


def test_a_suite_that_contains_itself_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path, "endpoint: &loop [*loop]").startswith("suite.yaml")


def test_the_bundled_suite_is_right_and_large_enough() -> None:
    suite = load_suite(demo.SUITE, {"GATEWAY_DEMO_URL": "http://127.0.0.1:8900"})
    assert len(suite.test_set["tests"]) == demo.EXPECTED["total"] >= 40
