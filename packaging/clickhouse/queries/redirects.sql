-- Which gateways send logins on, and where to?
SELECT
    server_address,
    redirect_address,
    redirect_port,
    uniqExact(connection_id) AS logins,
    round(quantile(0.5)(duration_ns) / 1e6, 2) AS p50_ms
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND outcome = 'redirected'
GROUP BY server_address, redirect_address, redirect_port
ORDER BY logins DESC, server_address
