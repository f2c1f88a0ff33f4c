"""What a worker tells of its tasks."""

from __future__ import annotations

import pytest
from celery.exceptions import CDeprecationWarning

from workerapp.app import WorkerApp, make_app
from workerapp.contract.task_types import TaskType
from workerapp.contract.tasks import CALLABLE_BY_NAME
from workerapp.settings import load_worker_settings
from workerapp.task_modules import TaskModuleNotImported, task_modules
from workerapp.task_types import registered_types


@pytest.fixture
def app() -> WorkerApp:
    return make_app(load_worker_settings(database_url="postgresql://a@h/d", _env_file=None))


def nothing() -> None: ...


def types_of(app: WorkerApp) -> dict[str, TaskType]:
    app.loader.import_default_modules()
    return {each.name: each for each in registered_types(app)}


def test_every_task_of_ours_is_told_and_none_of_celerys(app: WorkerApp) -> None:
    told = types_of(app)
    assert told.keys() >= {*CALLABLE_BY_NAME, "execute_test_configuration"}
    assert [name for name in told if name.startswith("celery.")] == []


def test_a_task_is_told_with_the_first_line_of_its_documentation(app: WorkerApp) -> None:
    @app.task(name="described", shared=False)
    def described() -> None:
        """Say this.

        And not this.
        """

    @app.task(name="undescribed", shared=False)
    def undescribed() -> None: ...

    told = types_of(app)
    assert told["described"].description == "Say this."
    assert told["undescribed"].description is None


def test_the_session_that_a_task_is_given_is_not_the_callers_to_give(app: WorkerApp) -> None:
    told = types_of(app)["get_test_configuration"].arguments["properties"]
    assert told["kwargs"]["properties"] == {"test_configuration_id": {"type": "string"}}
    assert len(told["args"]["prefixItems"]) == 1


def test_a_queue_is_told_where_a_route_names_one_or_the_task_itself(app: WorkerApp) -> None:
    routed = make_app(app.settings.model_copy(update={"task_routes": {"routed.*": "elsewhere", "same": "celery"}}))
    routed.task(name="own", queue="slow", shared=False)(nothing)
    for name in ("routed.one", "plain", "same"):
        routed.task(name=name, shared=False)(nothing)
    with pytest.warns(CDeprecationWarning, match="'queue' task attribute"):
        told = types_of(routed)
    assert [told[name].queue for name in ("routed.one", "own", "plain", "same")] == ["elsewhere", "slow", None, None]


def test_modules_of_the_setting_come_once_and_after_ours() -> None:
    settings = load_worker_settings(
        database_url="postgresql://a@h/d", task_modules="own.tasks,more.tasks,own.tasks", _env_file=None
    )
    modules = task_modules(settings)
    assert modules[0].startswith("workerapp.tasks.")
    assert modules[-2:] == ("own.tasks", "more.tasks")
    assert make_app(settings).conf.imports == modules


def test_a_module_that_is_not_there_ends_the_process_with_a_sentence(app: WorkerApp) -> None:
    app.conf.imports = ("there.is.none",)
    with pytest.raises(TaskModuleNotImported, match=r"^The module 'there\.is\.none' cannot be imported") as end:
        app.loader.import_default_modules()
    assert end.value.code == str(end.value)
