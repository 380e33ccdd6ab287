-- Which logins took longest?
-- With what to look for in SQL Server (spid, connection GUID) and in a capture (addresses and ports).
SELECT
    start,
    host,
    connection_id,
    client_address,
    client_port,
    server_address,
    server_port,
    application,
    spid,
    connection_guid,
    outcome,
    slowest_phase,
    cause,
    round(duration_ns / 1e6, 1) AS duration_ms
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server'
ORDER BY duration_ns DESC, connection_id
LIMIT 20
