-- Which clients still use TLS 1.0 or 1.1?
SELECT
    tls_version,
    application,
    process,
    driver,
    driver_version,
    uniqExact(client_address) AS clients,
    uniqExact(connection_id) AS logins,
    max(start) AS last_seen
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND tls_version IN ('1.0', '1.1') AND vantage != 'server'
GROUP BY tls_version, application, process, driver, driver_version
ORDER BY logins DESC, application
