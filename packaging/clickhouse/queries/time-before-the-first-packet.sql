-- How long do names and lookups take before the first packet to a server?
SELECT
    process,
    target_name,
    kind,
    count() AS asked,
    round(quantile(0.5)(took) / 1e6, 2) AS p50_ms,
    round(max(took) / 1e6, 1) AS worst_ms
FROM
(
    SELECT process, target_name, parts.kind AS kind, parts.duration_ns AS took
    FROM tds.attempts FINAL
    ARRAY JOIN parts
    WHERE start >= {from:DateTime} AND start < {until:DateTime}
)
WHERE kind IN ('dns', 'lookup', 'kdc', 'ldap', 'token', 'revocation')
GROUP BY process, target_name, kind
ORDER BY max(took) DESC, process, target_name
LIMIT 50
