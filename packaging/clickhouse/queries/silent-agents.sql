-- Which agents have said nothing for more than two minutes?
-- Each says how it is once a minute.
SELECT
    host,
    max(told) AS last_told,
    dateDiff('minute', last_told, {until:DateTime}) AS minutes
FROM tds.agents FINAL
WHERE told >= {from:DateTime} AND told < {until:DateTime}
GROUP BY host
HAVING minutes > 2
ORDER BY last_told, host
