-- Which agents' lines did not all arrive here?
-- Each agent counts its lines from 1: what is missing between was lost by the carriers. A hole at the end shows once a
-- later line has come.
SELECT
    host,
    run_id,
    max(last) AS written,
    max(last) - min(first) + 1 - groupBitmapMerge(lines) AS missing
FROM tds.arrivals
WHERE run_id IN
    (SELECT run_id FROM tds.arrivals WHERE day >= toDate({from:DateTime}) AND day <= toDate({until:DateTime}))
GROUP BY host, run_id
HAVING missing > 0
ORDER BY missing DESC, host
