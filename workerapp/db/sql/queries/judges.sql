-- name: endpoint
-- A stored endpoint that is to judge; none if it is another organization's.
SELECT id, organization_id, spec, sealed_headers, archived_at IS NOT NULL AS archived FROM endpoint
WHERE id = %(endpoint)s AND organization_id = current_organization()
