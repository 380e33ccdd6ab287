-- Which servers are logged in to that were not seen in the seven days before?
SELECT
    server_address,
    server_port,
    min(minute) AS first_seen,
    sumIf(logins, minute >= {from:DateTime}) AS all_logins
FROM tds.logins_by_minute FINAL
WHERE minute >= {from:DateTime} - INTERVAL 7 DAY AND minute < {until:DateTime}
GROUP BY server_address, server_port
HAVING first_seen >= {from:DateTime}
ORDER BY first_seen, server_address
