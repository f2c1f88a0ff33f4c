"""What a schema offers the processes that use it: columns, functions, and what each role may do with them."""

from __future__ import annotations

import psycopg

_OFFERS = """
SELECT format('column %s.%s is %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT format('function %s returns %s', p.oid::regprocedure, pg_get_function_result(p.oid))
FROM pg_proc p WHERE p.pronamespace = 'gateway'::regnamespace
UNION ALL
SELECT format('%s may %s %s.%s', grantee, privilege_type, table_name, column_name)
FROM information_schema.column_privileges
WHERE table_schema = 'gateway' AND grantee IN ('gateway_rw', 'worker_rw', 'event_reader')
UNION ALL
SELECT format('%s may execute %s', r.rolname, p.oid::regprocedure)
FROM pg_proc p, pg_roles r
WHERE p.pronamespace = 'gateway'::regnamespace AND r.rolname IN ('gateway_rw', 'worker_rw', 'event_reader')
AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
"""
#: What an insertion that does not know the column would break at.
_DEMANDS = """
SELECT format('column %%s.%%s must be given', c.relname, a.attname)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
AND c.relname = ANY (%s)
"""


def offers(admin: psycopg.Connection) -> set[str]:
    """A sentence for each."""
    return {row[0] for row in admin.execute(_OFFERS).fetchall()}


def demands(admin: psycopg.Connection, tables: list[str]) -> set[str]:
    """What has to be given to these tables."""
    return {row[0] for row in admin.execute(_DEMANDS, (tables,)).fetchall()}


def tables(admin: psycopg.Connection) -> list[str]:
    rows = admin.execute("SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind = 'r'")
    return [row[0] for row in rows.fetchall()]
