-- Who meant to use Kerberos and got NTLM?
SELECT
    server_address,
    application,
    uniqExact(connection_id) AS logins,
    uniqExactIf(connection_id, auth_fallback_from = 'kerberos') AS fell_back
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND vantage != 'server'
  AND (auth = 'kerberos' OR auth_fallback_from = 'kerberos')
GROUP BY server_address, application
HAVING fell_back > 0
ORDER BY fell_back DESC, server_address, application
LIMIT 50
