-- What goes wrong, how sure is that, and whose is it?
SELECT
    cause,
    responsible,
    uniqExact(connection_id) AS logins,
    round(avg(confidence), 2) AS mean_confidence,
    uniqExact(server_address) AS servers,
    uniqExact(client_address) AS clients,
    min(start) AS first_seen,
    max(start) AS last_seen
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime} AND cause != ''
GROUP BY cause, responsible
ORDER BY logins DESC, cause
