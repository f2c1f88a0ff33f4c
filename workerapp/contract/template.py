"""Request templates: a JSON value whose strings are Jinja templates, compiled once and rendered for every test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from jinja2 import Template, TemplateError, meta, nodes
from jinja2.visitor import NodeTransformer

from workerapp.contract.template_budget import Budget, OverBudget, TemplateLimits
from workerapp.contract.template_language import BUDGET, CONCAT, EACH, FILTERS, LANGUAGE

#: What a template may use. The expected answer is not among them: an endpoint must not see it.
VARIABLES = frozenset({"input", "messages", "turn", "metadata", "conversation_id", "test_run_id", "test_id"})
DEFAULT_LIMITS = TemplateLimits()

_RESULT = "result"
_ALLOWED_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name, nodes.Const),
    *(nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair),
)

Scope: TypeAlias = dict[str, Any]
Render: TypeAlias = Callable[[Scope], Any]


class TemplateInvalid(ValueError):
    """The template cannot be used; `pointer` (RFC 6901) says which of its strings is wrong."""

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(f"{message} (at {pointer or 'the top'})")
        self.pointer = pointer


class TemplateFailed(Exception):
    """The template could not be rendered for this test."""


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Any


class RequestTemplate:
    """A compiled template; safe to share between requests."""

    def __init__(self, root: Render | _Constant, limits: TemplateLimits) -> None:
        self._root, self._limits = root, limits

    def render(self, variables: Mapping[str, Any]) -> Any:
        """The request for these variables. Constant parts are shared between renderings: do not change the result."""
        if isinstance(self._root, _Constant):
            return self._root.value
        try:
            return self._root({**variables, BUDGET: Budget(self._limits)})
        except TemplateFailed:
            raise
        except (OverBudget, TemplateError) as exc:
            raise TemplateFailed(str(exc)) from None
        except Exception as exc:  # noqa: BLE001
            # The author of the template chooses what goes wrong here: a wrong type, a division by zero, a key missing.
            raise TemplateFailed(f"{type(exc).__name__}: {exc}") from None


def compile_request(
    template: Any, *, variables: frozenset[str] = VARIABLES, limits: TemplateLimits = DEFAULT_LIMITS
) -> RequestTemplate:
    """Compile every string in the template once, or say which one is wrong and why."""
    return RequestTemplate(_Compiler(variables, limits).build(template, "", 0), limits)


class _Compiler:
    def __init__(self, variables: frozenset[str], limits: TemplateLimits) -> None:
        self._variables, self._limits = variables, limits

    def build(self, node: Any, pointer: str, depth: int) -> Render | _Constant:
        if depth > self._limits.depth:
            raise TemplateInvalid(f"the template is nested deeper than {self._limits.depth} levels", pointer)
        if isinstance(node, str) and "{" in node:
            return self._build_string(node, pointer)
        if isinstance(node, dict):
            parts = {k: self.build(v, f"{pointer}/{_escape(k)}", depth + 1) for k, v in node.items()}
            return _object(parts)
        if isinstance(node, list):
            return _array([self.build(v, f"{pointer}/{i}", depth + 1) for i, v in enumerate(node)])
        return _Constant(node)

    def _build_string(self, source: str, pointer: str) -> Render | _Constant:
        if len(source) > self._limits.source_length:
            limit = self._limits.source_length
            raise TemplateInvalid(f"the template has {len(source)} characters; at most {limit} are accepted", pointer)
        try:
            return self._compile(LANGUAGE.parse(source), pointer)
        except TemplateInvalid:
            raise
        except (TemplateError, SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            raise TemplateInvalid(f"the template does not compile: {_sentence(exc)}", pointer) from None

    def _compile(self, tree: nodes.Template, pointer: str) -> Render | _Constant:
        parts = [part for output in tree.body if isinstance(output, nodes.Output) for part in output.nodes]
        if not tree.body or (len(parts) == 1 and isinstance(parts[0], nodes.TemplateData)):
            return _Constant("".join(part.data for part in parts if isinstance(part, nodes.TemplateData)))
        self._check(tree, pointer)
        tree = _Bounds().visit(tree)
        output = tree.body[0]
        if len(tree.body) == 1 and isinstance(output, nodes.Output) and len(output.nodes) == 1:
            return _value_of(output.nodes[0])
        return _text_of(LANGUAGE.from_string(tree))

    def _check(self, tree: nodes.Template, pointer: str) -> None:
        for node in tree.find_all(nodes.Node):
            _check_node(node, pointer)
        # Jinja declares `self` in every template; here it is a variable like any other that does not exist.
        used = meta.find_undeclared_variables(tree) | {
            name.name for name in tree.find_all(nodes.Name) if name.name == "self"
        }
        unknown = sorted(used - self._variables)
        if unknown:
            known = ", ".join(sorted(self._variables))
            raise TemplateInvalid(f"there is no variable {unknown[0]!r}; a template may use {known}", pointer)


def _check_node(node: nodes.Node, pointer: str) -> None:
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        known = ", ".join(sorted(FILTERS))
        raise TemplateInvalid(f"there is no filter {node.name!r}; a template may use {known}", pointer)
    if isinstance(node, nodes.Test) and node.name not in LANGUAGE.tests:
        raise TemplateInvalid(f"there is no test {node.name!r}", pointer)
    if not isinstance(node, _ALLOWED_NODES) or (isinstance(node, nodes.For) and node.recursive):
        what = type(node).__name__.lower()
        raise TemplateInvalid(
            f"a template may use expressions, filters, if and for; line {node.lineno} uses '{what}'", pointer
        )


class _Bounds(NodeTransformer):
    """Puts the budget where Jinja has no hook of its own: at every turn of a loop and at every `~`."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - the visitor's naming
        self.generic_visit(node)
        node.iter = _filtered(EACH, node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802 - the visitor's naming
        self.generic_visit(node)
        return _filtered(CONCAT, nodes.List(node.nodes, lineno=node.lineno))

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.CondExpr:  # noqa: N802 - the visitor's naming
        self.generic_visit(node)
        # Without an else it is an empty text, as everywhere in Jinja, and not an undefined one.
        node.expr2 = node.expr2 or nodes.Const("", lineno=node.lineno)
        return node


def _filtered(name: str, value: nodes.Node) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", value), name, [], [], None, None, lineno=value.lineno)


def _value_of(expression: nodes.Expr) -> Render:
    """A string that is one expression and nothing else keeps the type of the value."""
    assign = nodes.Assign(nodes.Name(_RESULT, "store"), expression, lineno=expression.lineno)
    template = LANGUAGE.from_string(nodes.Template([assign], lineno=1))
    root, new_context = template.root_render_func, template.new_context

    def render(scope: Scope) -> Any:
        context = new_context(scope, shared=True)
        for _ in root(context):
            pass
        value = context.vars[_RESULT]
        scope[BUDGET].write_value(value)
        return value

    return render


def _text_of(template: Template) -> Render:
    root, new_context = template.root_render_func, template.new_context

    def render(scope: Scope) -> str:
        pieces = []
        budget: Budget = scope[BUDGET]
        for piece in root(new_context(scope, shared=True)):
            budget.write(len(piece))
            pieces.append(piece)
        return "".join(pieces)

    return render


def _object(parts: dict[str, Render | _Constant]) -> Render | _Constant:
    if all(isinstance(part, _Constant) for part in parts.values()):
        return _Constant({key: part.value for key, part in parts.items() if isinstance(part, _Constant)})
    # Copied in one step, then only what varies is rendered; the order of the keys is the template's.
    base = {key: part.value if isinstance(part, _Constant) else None for key, part in parts.items()}
    varying = [(key, part) for key, part in parts.items() if not isinstance(part, _Constant)]

    def render(scope: Scope) -> dict[str, Any]:
        return base | {key: part(scope) for key, part in varying}

    return render


def _array(parts: list[Render | _Constant]) -> Render | _Constant:
    if all(isinstance(part, _Constant) for part in parts):
        return _Constant([part.value for part in parts if isinstance(part, _Constant)])

    def render(scope: Scope) -> list[Any]:
        return [part.value if isinstance(part, _Constant) else part(scope) for part in parts]

    return render


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, (RecursionError, MemoryError)):
        return "it is nested too deeply"
    return str(exc) or type(exc).__name__
