-- Which servers' logins are slower than in the same time of the day before?
SELECT
    server_address,
    server_port,
    sumIf(logins, today) AS logins_now,
    sumIf(logins, NOT today) AS logins_then,
    round(quantilesTDigestMergeIf(0.5, 0.9, 0.99)(duration, today)[3] / 1e6, 2) AS p99_ms_now,
    round(quantilesTDigestMergeIf(0.5, 0.9, 0.99)(duration, NOT today)[3] / 1e6, 2) AS p99_ms_then
FROM
(
    SELECT *, minute >= {from:DateTime} AS today
    FROM tds.logins_by_minute FINAL
    WHERE outcome = 'success'
      AND ((minute >= {from:DateTime} AND minute < {until:DateTime})
        OR (minute >= {from:DateTime} - INTERVAL 1 DAY AND minute < {until:DateTime} - INTERVAL 1 DAY))
)
GROUP BY server_address, server_port
HAVING logins_then > 0
ORDER BY p99_ms_now / p99_ms_then DESC, server_address
LIMIT 50
