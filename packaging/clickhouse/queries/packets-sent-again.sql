-- Between which hosts are packets lost?
SELECT
    client_address,
    server_address,
    count() AS connections,
    sum(retransmits_client) AS by_client,
    sum(retransmits_server) AS by_server
FROM tds.closes FINAL
WHERE start >= {from:DateTime} AND start < {until:DateTime}
GROUP BY client_address, server_address
HAVING by_client + by_server > 0
ORDER BY by_client + by_server DESC, client_address, server_address
LIMIT 50
