"""Metrics of how like the expected text an output is, from 0 to 1; of several expected texts the likest counts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from rapidfuzz.distance import LCSseq
from rapidfuzz.distance import Levenshtein as Edits

from workerapp.contract.metrics import F1, Levenshtein, RougeL
from workerapp.execution.metrics.finding import Answered, CannotJudge, Finding, found, quote, wanted_texts

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(r"[^\W_]+")


def levenshtein(metric: Levenshtein, answered: Answered) -> Finding:
    references = _references(metric.value, answered)
    if metric.max_distance is None:
        return _likest(references, answered, lambda text: Edits.normalized_similarity(answered.text, text))
    distance = min(Edits.distance(answered.text, text) for text in references)
    reason = f"{distance} edits lead from {quote(answered.text)} to {quote(references[0])}"
    return found(holds=distance <= metric.max_distance, reason=f"{reason}; at most {metric.max_distance} pass")


def rouge_l(metric: RougeL, answered: Answered) -> Finding:
    """Lin, 'ROUGE: A Package for Automatic Evaluation of Summaries' (2004), section 3.1, with beta = 1."""
    words = _words(answered.text)

    def measure(reference: str) -> float:
        theirs = _words(reference)
        return _f_measure(LCSseq.similarity(words, theirs), len(words), len(theirs))

    return _likest(_references(metric.value, answered), answered, measure)


def f1(metric: F1, answered: Answered) -> Finding:
    """Rajpurkar et al., 'SQuAD' (2016), section 6.1, as the evaluation script of SQuAD 2.0 computes it."""
    tokens = _tokens(answered.text)

    def measure(reference: str) -> float:
        theirs = _tokens(reference)
        if not tokens or not theirs:
            return float(tokens == theirs)
        return _f_measure((Counter(tokens) & Counter(theirs)).total(), len(tokens), len(theirs))

    return _likest(_references(metric.value, answered), answered, measure)


def _references(value: str | None, answered: Answered) -> tuple[str, ...]:
    """The expected texts, when they and the output are short enough to be compared."""
    references = wanted_texts(value, answered)
    most = answered.limits.text_length
    for what, length in (("output", len(answered.text)), ("expected value", sum(map(len, references)))):
        if length > most:
            raise CannotJudge(f"the {what} has {length} characters; at most {most} are compared")
    return references


def _likest(references: Sequence[str], answered: Answered, measure: Callable[[str], float]) -> Finding:
    score, reference = max(((measure(text), text) for text in references), key=lambda pair: pair[0])
    return Finding(score, f"{score:.4g} like {quote(reference)}: {quote(answered.output)}")


def _f_measure(shared: int, ours: int, theirs: int) -> float:
    # The same as 2PR / (P + R), without its rounding.
    return 2 * shared / (ours + theirs) if shared else 0.0


def _words(text: str) -> list[str]:
    """Letters and digits in lower case, which for English are the words of the package `rouge-score`."""
    return _WORD.findall(text.lower())


def _tokens(text: str) -> list[str]:
    """Lower case, without ASCII punctuation and English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
