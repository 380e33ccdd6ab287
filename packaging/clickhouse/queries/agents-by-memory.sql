-- How much memory do the agents take, how many connections do they hold, and were they started again?
SELECT
    host,
    round(max(memory_bytes) / 1048576, 1) AS most_mib,
    max(open_connections) AS most_open,
    uniqExact(run_id) AS starts
FROM tds.agents FINAL
WHERE told >= {from:DateTime} AND told < {until:DateTime} AND action = 'status'
GROUP BY host
ORDER BY starts DESC, most_mib DESC, most_open DESC, host
LIMIT 20
