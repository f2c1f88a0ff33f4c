"""Every check, in the order in which they are made: what others need comes first."""

from __future__ import annotations

from gateway.doctor.broker import look_at_broker
from gateway.doctor.configuration import look_at_outbound, look_at_settings
from gateway.doctor.database import look_at_clock, look_at_connections, look_at_server
from gateway.doctor.examination import Check
from gateway.doctor.login import look_at_login, look_at_roles, look_at_row_security
from gateway.doctor.machine import look_at_data_folder, look_at_files, look_at_versions
from gateway.doctor.schema import look_at_schema
from gateway.doctor.secret_keys import look_at_secret_keys
from gateway.doctor.server import look_at_gateway, look_at_gateway_certificate, look_at_stream
from gateway.doctor.sessions import look_at_hints, look_at_pooler, look_at_tenant
from gateway.doctor.transactions import look_at_prepared, look_at_slots, look_at_transactions
from gateway.doctor.workers import look_at_queues, look_at_sweeper, look_at_workers

_DATABASE = ("database",)
_SERVING = ("database", "schema", "roles")

#: Of the settings, this machine, the database, the broker and what works behind them.
CHECKS = (
    Check(name="settings", look=look_at_settings),
    Check(name="versions", look=look_at_versions),
    Check(name="open files", look=look_at_files),
    Check(name="outbound", look=look_at_outbound),
    Check(name="data folder", look=look_at_data_folder),
    Check(name="database", look=look_at_server),
    Check(name="clock", look=look_at_clock, needs=_DATABASE),
    Check(name="sessions", look=look_at_pooler, needs=_DATABASE),
    Check(name="hints", look=look_at_hints, needs=_DATABASE),
    Check(name="schema", look=look_at_schema, needs=_DATABASE),
    Check(name="login", look=look_at_login, needs=("database", "schema")),
    Check(name="roles", look=look_at_roles, needs=("database", "schema")),
    Check(name="row security", look=look_at_row_security, needs=_SERVING),
    Check(name="tenant", look=look_at_tenant, needs=_SERVING),
    Check(name="secret keys", look=look_at_secret_keys, needs=("database", "schema")),
    Check(name="transactions", look=look_at_transactions, needs=_DATABASE),
    Check(name="prepared", look=look_at_prepared, needs=_DATABASE),
    Check(name="slots", look=look_at_slots, needs=_DATABASE),
    Check(name="broker", look=look_at_broker),
    Check(name="workers", look=look_at_workers, needs=_SERVING),
    Check(name="sweeper", look=look_at_sweeper, needs=_SERVING),
    Check(name="queues", look=look_at_queues, needs=_SERVING),
    Check(name="connections", look=look_at_connections, needs=_SERVING),
)

#: Of a gateway that is named.
GATEWAY_CHECKS = (
    Check(name="certificate", look=look_at_gateway_certificate),
    Check(name="gateway", look=look_at_gateway, needs=("certificate",)),
    Check(name="stream", look=look_at_stream, needs=("gateway",)),
)
