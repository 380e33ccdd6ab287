-- Which phase of a login takes longest, by server and hour?
-- The middle and the worst hundredth of each phase in milliseconds; `slowest` is the phase whose worst hundredth is longest.
SELECT
    toStartOfHour(start) AS hour,
    server_address,
    uniqExact(connection_id) AS logins,
    arrayMap(x -> round(x / 1e6, 2), [quantile(0.99)(handshake_ns), quantile(0.99)(prelogin_ns),
        quantile(0.99)(tls_ns), quantile(0.99)(login_ns), quantile(0.99)(auth_ns)]) AS p99_ms,
    ['handshake', 'prelogin', 'tls', 'login', 'auth'][indexOf(p99_ms, arrayMax(arrayMap(x -> ifNull(x, 0), p99_ms)))] AS slowest,
    round(quantile(0.5)(duration_ns) / 1e6, 2) AS p50_ms
FROM tds.logins FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime}
GROUP BY hour, server_address
ORDER BY arrayMax(arrayMap(x -> ifNull(x, 0), p99_ms)) DESC, server_address
LIMIT 50
