-- Which incidents were there, how long, and how many logins did they touch?
SELECT
    start,
    ended,
    host,
    scope,
    cause,
    responsible,
    logins,
    failed,
    slow,
    arrayStringConcat(arrayMap(x -> concat(x.address, ':', toString(x.port)), servers), ' ') AS at,
    round(worst_ns / 1e9, 1) AS worst_s
FROM tds.incidents FINAL
WHERE start < {until:DateTime} AND (ended IS NULL OR ended >= {from:DateTime})
ORDER BY start, host
