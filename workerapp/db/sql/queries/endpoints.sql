-- name: to_invoke
-- An endpoint that may be used, with its sealed secrets.
SELECT spec, sealed_headers FROM endpoint WHERE id = :id AND archived_at IS NULL
