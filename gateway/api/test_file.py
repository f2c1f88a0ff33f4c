"""A file of tests: read line by line, and every line held against what a test can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from pydantic import ValidationError

from gateway.api.body import check_storable
from gateway.api.faults import MOST_FAULTS, invalid
from gateway.api.metric_references import References
from gateway.api.stored_tests import check_room
from gateway.errors import EmptyTestSet, Fault, ImportInvalid, ValidationFailed
from gateway.records import Format, Lines, Record, RecordInvalid
from gateway.settings import GatewaySettings
from workerapp.contract.specs import TestSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class TestFile:
    """How a file of tests is read: its form, its names of fields that it names otherwise, and the limits."""

    __test__ = False

    form: Format
    names: Mapping[str, str]
    settings: GatewaySettings

    def check(self, body: BinaryIO, tests: BinaryIO, references: References) -> int:
        """Write the tests of `body` to `tests`, a JSON object a line; how many there are.

        What their assertions refer to is added to `references`.

        Raises:
            ImportInvalid: lines are wrong; the faults have the first of them.
            EmptyTestSet: there are no tests.
            TooManyTests: there are more than a set may have.
        """
        body.seek(0)
        count, faults = 0, list[Fault]()
        for record in self.form.read(Lines(body, self.settings.max_test_bytes)):
            found = self._test(record, references)
            if isinstance(found, TestSpec):
                count += 1
                check_room(0, count, self.settings.max_tests_per_set)
                tests.write(found.model_dump_json().encode() + b"\n")
            else:
                faults += found
                if len(faults) >= MOST_FAULTS:
                    break
        if faults:
            raise _refusal(faults[:MOST_FAULTS])
        if count == 0:
            raise EmptyTestSet("The body has no tests; there must be at least one.")
        tests.seek(0)
        return count

    def _test(self, record: Record, references: References) -> TestSpec | list[Fault]:
        """The test in a record, or what is wrong with it."""
        if record.fault is not None:
            return [Fault(line=record.line, detail=_sentence(record.fault))]
        try:
            test = _validate(self.form.fields(record.fields, self.names))
            references.add_test(test, line=record.line)
        except RecordInvalid as error:
            return [Fault(line=record.line, detail=_sentence(str(error)))]
        except ValidationFailed as error:
            return [replace(fault, line=record.line) for fault in error.faults]
        return test


def _validate(fields: Mapping[str, Any]) -> TestSpec:
    check_storable(fields)
    try:
        return TestSpec.model_validate(fields)
    except ValidationError as error:
        raise invalid(error, fields) from None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _refusal(faults: list[Fault]) -> ImportInvalid:
    first = faults[0]
    more = f" ({len(faults) - 1} more in errors.)" if len(faults) > 1 else ""
    place = f"Line {first.line}" + (f", {first.pointer}" if first.pointer else "")
    return ImportInvalid(f"Nothing is imported. {place}: {first.detail}{more}", faults=faults)
