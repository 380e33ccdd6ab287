-- By how much is a server's clock ahead of a client's?
-- From connections that both hosts saw. A SYN arrives later by the offset and the way there, a prelogin reply by the
-- way back less the offset; the fastest of each tell best. Half of their difference is the offset, where both ways
-- are equally long.
WITH
    toUnixTimestamp64Nano(server.start) - toUnixTimestamp64Nano(client.start) AS there,
    toUnixTimestamp64Nano(client.start) + toInt64(client.prelogin_end_ns)
        - toUnixTimestamp64Nano(server.start) - toInt64(server.prelogin_end_ns) AS back
SELECT
    client.host AS client_host,
    server.host AS server_host,
    count() AS connections,
    round((min(there) - min(back)) / 2e6, 3) AS server_ahead_ms,
    round((min(there) + min(back)) / 1e6, 3) AS round_trip_ms
FROM
    (SELECT host, connection_id, start, prelogin_end_ns FROM tds.logins FINAL
     WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage = 'client' AND prelogin_end_ns > 0) AS client
INNER JOIN
    (SELECT host, connection_id, start, prelogin_end_ns FROM tds.logins FINAL
     WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage = 'server' AND prelogin_end_ns > 0) AS server
    ON client.connection_id = server.connection_id
GROUP BY client_host, server_host
HAVING connections >= 10
ORDER BY connections DESC, client_host, server_host
LIMIT 50
