-- Whose idle connections does something on the way forget?
SELECT
    application,
    server_address,
    count() AS connections,
    round(min(idle_ns) / 1e9) AS least_idle_s,
    countIf(middlebox) AS by_middlebox
FROM tds.closes FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server' AND class = 'abnormal' AND idle_ns > 60000000000
GROUP BY application, server_address
ORDER BY connections DESC, application, server_address
LIMIT 50
