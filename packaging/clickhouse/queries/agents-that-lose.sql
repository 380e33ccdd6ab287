-- Which agents did not see everything, and why?
SELECT
    host,
    loss_reason,
    sum(lost) AS lost_in_all,
    min(told) AS first_told,
    max(told) AS last_told
FROM tds.agents FINAL
WHERE told >= {from:DateTime} AND told < {until:DateTime} AND action = 'loss'
GROUP BY host, loss_reason
ORDER BY lost_in_all DESC, host
