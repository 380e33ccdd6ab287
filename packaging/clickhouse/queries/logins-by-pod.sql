-- Which pods log in, how often and how fast?
SELECT
    k8s_namespace,
    k8s_pod,
    container,
    uniqExact(connection_id) AS logins,
    uniqExactIf(connection_id, severity = 'error' AND cause NOT IN ('probe', 'not_sql_server', 'parallel_race_lost')) AS failed,
    round(quantile(0.99)(duration_ns) / 1e6, 2) AS p99_ms
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND k8s_pod != ''
GROUP BY k8s_namespace, k8s_pod, container
ORDER BY logins DESC, k8s_pod
LIMIT 100
