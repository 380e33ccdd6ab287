-- Which errors do servers refuse logins with, and to whom?
SELECT
    error,
    error_state,
    server_address,
    application,
    uniqExact(connection_id) AS logins,
    min(start) AS first_seen,
    max(start) AS last_seen
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND outcome = 'failed'
GROUP BY error, error_state, server_address, application
ORDER BY logins DESC, server_address, application
LIMIT 50
