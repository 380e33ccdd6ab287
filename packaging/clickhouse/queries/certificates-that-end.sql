-- Which servers' certificates end within thirty days?
-- TLS 1.3 hides certificates.
SELECT
    server_address,
    server_port,
    certificate_subject,
    certificate_not_after,
    dateDiff('day', {until:DateTime}, certificate_not_after) AS days
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND certificate_not_after < {until:DateTime} + INTERVAL 30 DAY
GROUP BY server_address, server_port, certificate_subject, certificate_not_after
ORDER BY certificate_not_after, server_address, server_port
