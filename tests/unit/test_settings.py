"""Settings come from the environment and `.env`; what is wrong is said in sentences."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from gateway.settings import GatewaySettings, load_gateway_settings
from workerapp.contract.outbound import OutboundRefused
from workerapp.db.address import DatabaseAddress
from workerapp.db.sealing import endpoint_place, new_key
from workerapp.settings import SettingsInvalid, WorkerSettings, load_worker_settings

URL = "postgresql://gateway:pw@db.example.com:5433/tests"
PLACE = endpoint_place(UUID(int=1), UUID(int=2))
CLOUD_QUERY = "celery-user:password@/celery?host=/cloudsql/project-id:region:instance"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the developer's environment nor a `.env` where the suite runs."""
    for kind in (GatewaySettings, WorkerSettings):
        for name, field in kind.model_fields.items():
            monkeypatch.delenv(str(field.validation_alias or f"GATEWAY_{name.upper()}"), raising=False)
    monkeypatch.chdir(tmp_path)


def sentences_of(**values: str) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as failure:
        load_worker_settings(**values)
    return failure.value.sentences


def test_only_the_database_url_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = load_gateway_settings()
    assert (settings.broker_url, settings.result_backend_url) == (URL, URL)
    assert settings.database == DatabaseAddress.parse(URL)


def test_a_missing_database_url_is_a_sentence_with_an_example() -> None:
    (sentence,) = sentences_of()
    assert sentence.startswith("DATABASE_URL is not set")
    assert "postgresql://" in sentence


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("BROKER_URL", "")
    assert load_worker_settings().broker_url == URL


def test_the_origins_env_file_is_read(tmp_path: Path) -> None:
    lines = [
        f"DATABASE_URL=postgresql://{CLOUD_QUERY}",
        f"BROKER_URL=sqla+postgresql://{CLOUD_QUERY}",
        f"CELERY_RESULT_BACKEND=db+postgresql://{CLOUD_QUERY}",
        "CELERY_WORKER_CONCURRENCY=3",
        "SOMETHING_ELSE=1",
    ]
    (tmp_path / ".env").write_text("\n".join(lines))
    settings = load_worker_settings()
    assert dict(settings.database.parameters)["host"] == "/cloudsql/project-id:region:instance"
    assert settings.worker_concurrency == 3
    assert settings.broker_url.startswith("sqla+")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(f"DATABASE_URL={URL}\nCELERY_WORKER_CONCURRENCY=3")
    monkeypatch.setenv("CELERY_WORKER_CONCURRENCY", "5")
    assert load_worker_settings().worker_concurrency == 5


def test_the_origins_worker_defaults_hold() -> None:
    settings = load_worker_settings(database_url=URL)
    assert settings.worker_concurrency == 8
    assert settings.worker_prefetch_multiplier == 4
    assert settings.worker_max_tasks_per_child == 1000
    assert settings.worker_loglevel == "INFO"


@pytest.mark.parametrize("name", ["BROKER_URL", "CELERY_RESULT_BACKEND"])
def test_another_database_is_refused_with_the_reason(name: str) -> None:
    (sentence,) = sentences_of(database_url=URL, **{name: "postgresql://gateway:pw@db.example.com:5433/other"})
    assert sentence.startswith(f"{name} names another database")
    assert "pw" not in sentence


def test_the_same_database_with_another_login_is_accepted() -> None:
    settings = load_worker_settings(database_url=URL, BROKER_URL="sqla+postgresql://celery:x@db.example.com:5433/tests")
    assert settings.broker_url.startswith("sqla+")


@pytest.mark.parametrize("url", ["amqp://guest@localhost//", "redis://localhost/0", "nonsense"])
def test_only_postgres_can_be_the_result_backend_and_the_sentence_says_so(url: str) -> None:
    (sentence,) = sentences_of(database_url=URL, CELERY_RESULT_BACKEND=url)
    assert sentence.startswith("CELERY_RESULT_BACKEND")
    assert "only Postgres" in sentence


@pytest.mark.parametrize("url", ["amqp://guest@localhost//", "amqps://host/vhost", "redis://localhost/0"])
def test_rabbitmq_and_redis_can_be_the_broker(url: str) -> None:
    settings = load_worker_settings(database_url=URL, BROKER_URL=url)
    assert not settings.broker_is_database
    assert settings.result_backend_url == URL


@pytest.mark.parametrize("url", ["sqs://", "memory://", "nonsense"])
def test_what_cannot_be_the_broker_is_refused_and_the_sentence_names_what_can(url: str) -> None:
    (sentence,) = sentences_of(database_url=URL, BROKER_URL=url)
    assert sentence.startswith("BROKER_URL")
    assert "Postgres, RabbitMQ (amqp://) or Redis (redis://)" in sentence


def test_each_wrong_setting_has_its_own_sentence() -> None:
    sentences = sentences_of(
        DATABASE_URL="mysql://localhost/x",
        CELERY_WORKER_CONCURRENCY="many",
        CELERY_WORKER_LOGLEVEL="loud",
        outbound_allow="10.0.0.1/8",
        secret_keys="short",
    )
    named = ("DATABASE_URL", "GATEWAY_SECRET_KEYS", "GATEWAY_OUTBOUND_ALLOW", "CELERY_WORKER_CONCURRENCY")
    for name in (*named, "CELERY_WORKER_LOGLEVEL"):
        assert [sentence for sentence in sentences if sentence.startswith(name)], sentences
    assert len(sentences) == 5


def test_secrets_are_neither_in_sentences_nor_in_the_representation() -> None:
    sentences = sentences_of(database_url="postgresql://u:hunter2@h/db?nonsense=1", secret_keys="hunter2")
    settings = load_worker_settings(database_url="postgresql://u:hunter2@h/db", secret_keys=new_key())
    assert "hunter2" not in "".join(sentences)
    assert "hunter2" not in repr(settings)
    assert settings.secret_keys[0] not in repr(settings)


def test_secret_keys_are_split_and_the_first_one_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = new_key(), new_key()
    monkeypatch.setenv("GATEWAY_SECRET_KEYS", f"{new}, {old}")
    both = load_gateway_settings(database_url=URL)
    only_old = load_gateway_settings(database_url=URL, secret_keys=(old,))
    assert both.secret_keys == (new, old)
    assert both.sealer.open(only_old.sealer.seal("token", PLACE), PLACE) == "token"


def test_outbound_networks_open_what_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_OUTBOUND_ALLOW", "127.0.0.0/8,::1")
    load_gateway_settings(database_url=URL).outbound.check_url("http://127.0.0.1:8000/")
    with pytest.raises(OutboundRefused):
        load_gateway_settings(database_url=URL, outbound_allow="").outbound.check_url("http://127.0.0.1:8000/")


def test_delays_of_webhooks_are_a_list_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_WEBHOOK_RETRY_DELAYS", "1, 2.5,60 3600")
    settings = load_worker_settings(database_url=URL)
    assert settings.webhooks.delays == (1, 2.5, 60, 3600)
    (sentence,) = sentences_of(database_url=URL, webhook_retry_delays="5,soon")
    assert sentence.startswith("GATEWAY_WEBHOOK_RETRY_DELAYS")


@pytest.mark.parametrize("url", ["gateway.example.com", "ftp://gateway.example.com", "https://a.example/?key=1"])
def test_a_public_url_is_one_that_paths_can_be_added_to(url: str) -> None:
    (sentence,) = sentences_of(database_url=URL, public_url=url)
    assert sentence.startswith("GATEWAY_PUBLIC_URL")


def test_stream_limits_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_STREAM__KEEP_ALIVE", "2.5")
    settings = load_gateway_settings(database_url=URL)
    assert settings.stream.keep_alive == 2.5
    assert settings.stream.queue_events == 256


def test_settings_cannot_be_changed() -> None:
    settings = load_gateway_settings(database_url=URL)
    with pytest.raises(ValueError, match="frozen"):
        settings.max_body_bytes = 1  # type: ignore[misc]
