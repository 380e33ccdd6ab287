-- Which servers cannot be reached, refuse, or fall silent, and from where?
SELECT
    outcome,
    server_address,
    server_port,
    uniqExact(connection_id) AS logins,
    uniqExact(client_address) AS clients,
    min(start) AS first_seen,
    max(start) AS last_seen
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime}
  AND outcome IN ('refused', 'unreachable', 'timeout', 'reset', 'closed', 'tls_failed') AND NOT loser
  AND cause NOT IN ('probe', 'not_sql_server', 'parallel_race_lost')
GROUP BY outcome, server_address, server_port
ORDER BY logins DESC, server_address
LIMIT 50
