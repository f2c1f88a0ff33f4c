-- name: to_invoke
-- An endpoint that may be used, with its sealed secrets.
SELECT id, organization_id, spec, sealed_headers FROM endpoint WHERE id = :id AND archived_at IS NULL
