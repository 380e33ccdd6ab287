-- What does each host say of one connection?
-- `connection` is the connection.id of any line about it.
SELECT
    host,
    vantage,
    start,
    outcome,
    round(duration_ns / 1e6, 3) AS duration_ms,
    round(client_ns / 1e6, 3) AS client_ms,
    round(server_ns / 1e6, 3) AS server_ms,
    round(network_ns / 1e6, 3) AS network_ms,
    slowest_phase,
    cause
FROM tds.logins FINAL
WHERE connection_id = {connection:String}
ORDER BY vantage
