-- How many logins were there by the minute, and how did they end?
SELECT
    minute,
    outcome,
    sum(logins) AS all_logins,
    sum(slow) AS all_slow,
    arrayMap(x -> round(x / 1e6, 2), quantilesTDigestMerge(0.5, 0.9, 0.99)(duration)) AS p50_p90_p99_ms
FROM tds.logins_by_minute FINAL
WHERE minute >= {from:DateTime} AND minute < {until:DateTime}
GROUP BY minute, outcome
ORDER BY minute, outcome
