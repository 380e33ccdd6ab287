-- How do logins of each application and driver version go before and after a deployment at `at`?
-- Where Kubernetes names the pods, group by k8s_namespace and k8s_pod instead of application.
SELECT
    application,
    driver_version,
    if(start < {at:DateTime}, 'before', 'after') AS side,
    uniqExact(connection_id) AS logins,
    round(quantile(0.5)(duration_ns) / 1e6, 2) AS p50_ms,
    round(quantile(0.5)(client_ns) / 1e6, 2) AS client_p50_ms
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server' AND application != ''
GROUP BY application, driver_version, side
ORDER BY application, side DESC, driver_version
