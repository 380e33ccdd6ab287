-- Who waits for the domain controller, and since when?
-- `controller_ns` is what SQL Server took to have an NTLM response checked.
SELECT
    toStartOfFiveMinutes(start) AS since,
    server_address,
    uniqExact(connection_id) AS logins,
    round(quantile(0.5)(controller_ns) / 1e6, 1) AS p50_ms,
    round(max(controller_ns) / 1e6, 1) AS worst_ms
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND controller_ns IS NOT NULL
GROUP BY since, server_address
HAVING quantile(0.5)(controller_ns) > 1000000000
ORDER BY since, server_address
