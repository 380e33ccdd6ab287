-- Whom do logins wait for, by server?
-- Shares of all time that logins took.
SELECT
    server_address,
    uniqExact(connection_id) AS logins,
    round(sum(client_ns) / sum(duration_ns), 3) AS client,
    round(sum(server_ns) / sum(duration_ns), 3) AS server,
    round(sum(network_ns) / sum(duration_ns), 3) AS network
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server' AND client_ns IS NOT NULL
GROUP BY server_address
ORDER BY logins DESC, server_address
LIMIT 50
