-- Which drivers and versions are in use?
SELECT
    driver,
    driver_version,
    uniqExact(application) AS applications,
    uniqExact(host) AS hosts,
    uniqExact(connection_id) AS logins
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server' AND driver != ''
GROUP BY driver, driver_version
ORDER BY logins DESC, driver
