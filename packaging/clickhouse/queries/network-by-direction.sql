-- Is the network slower towards the servers or back?
-- For each pair of hosts that both saw connections, what each way took beyond the fastest packet of that way: clocks
-- that differ do not matter for that.
WITH
    toUnixTimestamp64Nano(server.start) - toUnixTimestamp64Nano(client.start) AS there,
    toUnixTimestamp64Nano(client.start) + toInt64(client.prelogin_end_ns)
        - toUnixTimestamp64Nano(server.start) - toInt64(server.prelogin_end_ns) AS back
SELECT
    client.host AS client_host,
    server.host AS server_host,
    count() AS connections,
    round((quantileExact(0.5)(there) - min(there)) / 1e3, 1) AS there_p50_us,
    round((quantileExact(0.99)(there) - min(there)) / 1e3, 1) AS there_p99_us,
    round((quantileExact(0.5)(back) - min(back)) / 1e3, 1) AS back_p50_us,
    round((quantileExact(0.99)(back) - min(back)) / 1e3, 1) AS back_p99_us
FROM
    (SELECT host, connection_id, start, prelogin_end_ns FROM tds.logins FINAL
     WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage = 'client' AND prelogin_end_ns > 0) AS client
INNER JOIN
    (SELECT host, connection_id, start, prelogin_end_ns FROM tds.logins FINAL
     WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage = 'server' AND prelogin_end_ns > 0) AS server
    ON client.connection_id = server.connection_id
GROUP BY client_host, server_host
HAVING connections >= 10
ORDER BY there_p99_us + back_p99_us DESC, client_host, server_host
LIMIT 50
