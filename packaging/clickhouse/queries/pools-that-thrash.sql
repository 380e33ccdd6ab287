-- Which applications open a connection for each request?
-- A pool keeps its connections for minutes; these lived less than two seconds and asked five times at most.
SELECT
    application,
    process,
    server_address,
    count() AS connections,
    round(quantile(0.5)(duration_ns) / 1e6) AS lived_p50_ms,
    sum(requests) AS asked
FROM tds.closes FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server' AND login_outcome = 'success'
GROUP BY application, process, server_address
HAVING countIf(duration_ns < 2000000000 AND requests <= 5) > 0.8 * count() AND count() >= 20
ORDER BY connections DESC, application, server_address
LIMIT 50
