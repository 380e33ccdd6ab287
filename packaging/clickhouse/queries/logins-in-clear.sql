-- Which logins were not protected, or for the login packet only?
SELECT
    encryption,
    server_address,
    server_port,
    uniqExact(connection_id) AS logins,
    uniqExact(client_address) AS clients,
    arraySort(groupUniqArray(100)(application)) AS applications
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND encryption IN ('none', 'login_only', 'refused')
GROUP BY encryption, server_address, server_port
ORDER BY encryption, logins DESC, server_address, server_port
LIMIT 50
