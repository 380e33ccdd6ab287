-- Which applications needed more than one connection to log in?
-- Redirects, retries and dead addresses: what they cost is the whole attempt less its last login.
SELECT
    target_name,
    process,
    count() AS attempts,
    max(connections) AS most_connections,
    countIf(outcome NOT IN ('success', 'redirected', 'unknown') AND cause NOT IN ('probe', 'not_sql_server', 'parallel_race_lost')) AS failed,
    round(quantile(0.5)(duration_ns - parts.duration_ns[-1]) / 1e6, 2) AS before_last_p50_ms
FROM tds.attempts FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND connections > 1
GROUP BY target_name, process
ORDER BY attempts DESC, target_name, process
LIMIT 50
