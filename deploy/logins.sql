-- Makes the roles, the two logins and the database of a new server; a superuser runs it once, before `gateway migrate`:
-- OWNER_PASSWORD=… APP_PASSWORD=… psql --file deploy/logins.sql
\set ON_ERROR_STOP on
-- Without one of them in the environment the statement that needs it fails, and nothing is made.
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD

BEGIN;

CREATE ROLE gateway_rw NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE worker_rw NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE event_reader NOLOGIN NOSUPERUSER NOBYPASSRLS;
CREATE ROLE definer NOLOGIN NOSUPERUSER NOBYPASSRLS;

-- Owns the database and migrates it.
CREATE ROLE gateway_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOBYPASSRLS;
GRANT gateway_rw, worker_rw, event_reader, definer TO gateway_owner;

-- Gateways and workers log in with it; it owns nothing.
CREATE ROLE gateway_app LOGIN PASSWORD :'app_password' NOSUPERUSER NOBYPASSRLS;
GRANT gateway_rw, worker_rw, event_reader TO gateway_app;

COMMIT;

CREATE DATABASE gateway OWNER gateway_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE gateway FROM PUBLIC;
GRANT CONNECT ON DATABASE gateway TO gateway_app;
