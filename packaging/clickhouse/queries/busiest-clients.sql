-- Who logs in most?
SELECT
    application,
    process,
    server_address,
    uniqExact(connection_id) AS logins,
    uniqExact(client_address) AS clients,
    uniqExactIf(connection_id, severity = 'error' AND cause NOT IN ('probe', 'not_sql_server', 'parallel_race_lost')) AS failed
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server'
GROUP BY application, process, server_address
ORDER BY logins DESC, application, server_address
LIMIT 30
