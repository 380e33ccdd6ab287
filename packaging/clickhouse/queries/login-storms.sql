-- In which minutes did a server get ten times its usual logins?
SELECT
    minute,
    server_address,
    server_port,
    logins_of_minute AS logins,
    usual
FROM
(
    SELECT minute, server_address, server_port, sum(logins) AS logins_of_minute,
        median(sum(logins)) OVER (PARTITION BY server_address, server_port) AS usual
    FROM tds.logins_by_minute FINAL
    WHERE minute >= {from:DateTime} AND minute < {until:DateTime}
    GROUP BY minute, server_address, server_port
)
WHERE logins_of_minute >= 10 * usual AND logins_of_minute >= 20
ORDER BY logins_of_minute DESC, minute
LIMIT 50
