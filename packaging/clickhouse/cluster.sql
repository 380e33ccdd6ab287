-- What a fleet of agents writes, in a cluster of ClickHouse servers: schema.sql, sharded and replicated. Read by 26.9, run by none.
-- Made by `cargo xtask fleet cluster --write`. The macros {cluster}, {shard} and {replica} are the servers' own.
--
-- Both hosts' rows of a connection lie on one shard. `NAME_here` is what lies on the server that is asked.

CREATE DATABASE IF NOT EXISTS tds ON CLUSTER '{cluster}';

CREATE TABLE IF NOT EXISTS tds.lines ON CLUSTER '{cluster}'
(
    line String,
    event LowCardinality(String) MATERIALIZED JSONExtractString(line, 'event')
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS tds.logins_here ON CLUSTER '{cluster}'
(
    start DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    host LowCardinality(String),
    connection_id FixedString(16),
    vantage LowCardinality(String),
    partial Bool,
    severity LowCardinality(String),
    client_address String,
    client_port UInt16,
    server_address LowCardinality(String),
    server_port UInt16,
    instance LowCardinality(String),
    process LowCardinality(String),
    container LowCardinality(String),
    k8s_namespace LowCardinality(String),
    k8s_pod String,
    attempt_id FixedString(16),
    attempt_number UInt16,
    rtt_ns Nullable(UInt64),
    syn_retransmits UInt16,
    retransmits_client UInt32,
    retransmits_server UInt32,
    tds_version LowCardinality(String),
    encryption LowCardinality(String),
    server_version LowCardinality(String),
    connection_guid String,
    spid UInt32,
    driver LowCardinality(String),
    driver_version LowCardinality(String),
    tls_version LowCardinality(String),
    cipher LowCardinality(String),
    sni LowCardinality(String),
    certificate_subject LowCardinality(String),
    certificate_not_after Nullable(DateTime64(0, 'UTC')),
    auth LowCardinality(String),
    auth_fallback_from LowCardinality(String),
    controller_ns Nullable(UInt64),
    outcome LowCardinality(String),
    inferred Bool,
    loser Bool,
    duration_ns UInt64 CODEC(T64, ZSTD),
    client_ns Nullable(UInt64),
    server_ns Nullable(UInt64),
    network_ns Nullable(UInt64),
    slowest_phase LowCardinality(String),
    error UInt32,
    error_state UInt8,
    database LowCardinality(String),
    application LowCardinality(String),
    redirect_address LowCardinality(String),
    redirect_port UInt16,
    handshake_ns Nullable(UInt64),
    prelogin_ns Nullable(UInt64),
    tls_ns Nullable(UInt64),
    login_ns Nullable(UInt64),
    auth_ns Nullable(UInt64),
    prelogin_end_ns Nullable(UInt64),
    cause LowCardinality(String),
    confidence Float32,
    responsible LowCardinality(String),
    incident_id String,
    arrived DateTime MATERIALIZED now() CODEC(Delta, ZSTD),
    INDEX by_connection connection_id TYPE bloom_filter GRANULARITY 4,
    INDEX by_arrival arrived TYPE minmax
)
ENGINE = ReplicatedReplacingMergeTree
PARTITION BY toDate(start)
ORDER BY (toStartOfHour(start), server_address, server_port, toStartOfMinute(start), connection_id, host)
TTL toDateTime(start) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS tds.logins ON CLUSTER '{cluster}' AS tds.logins_here
ENGINE = Distributed('{cluster}', tds, logins_here, cityHash64(connection_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.logins_of_lines ON CLUSTER '{cluster}' TO tds.logins AS
WITH JSONExtract(line, 'Tuple(
    severity String,
    host Tuple(name String),
    connection Tuple(id String, vantage String, start String, partial Bool),
    client Tuple(address String, port UInt16),
    server Tuple(address String, port UInt16, instance String),
    process Tuple(name String, container Tuple(name String), k8s Tuple(namespace String, pod String, container String)),
    attempt Tuple(id String, number UInt16),
    tcp Tuple(rtt_ns Nullable(UInt64), syn_retransmits UInt16, retransmits Tuple(client UInt32, server UInt32)),
    tds Tuple(version String, encryption String, server_version String, connection_guid String, spid UInt32,
        user_agent Tuple(driver String, version String)),
    tls Tuple(version String, cipher String, sni String, certificate Tuple(subject String, not_after String)),
    auth Tuple(kind String, fallback_from String, controller_ns Nullable(UInt64)),
    login Tuple(outcome String, basis String, loser Bool, duration_ns UInt64, client_ns Nullable(UInt64),
        server_ns Nullable(UInt64), network_ns Nullable(UInt64), slowest_phase String,
        error Tuple(number UInt32, state UInt8), database String, app_name String,
        redirect Tuple(address String, port UInt16), incident String),
    phases Tuple(
        handshake Tuple(duration_ns Nullable(UInt64)),
        prelogin Tuple(start_ns Nullable(UInt64), duration_ns Nullable(UInt64), complete Bool),
        tls Tuple(duration_ns Nullable(UInt64)),
        login Tuple(duration_ns Nullable(UInt64)),
        auth Tuple(duration_ns Nullable(UInt64))),
    diagnosis Array(Tuple(cause String, confidence Float32, `for` String)))') AS r
SELECT
    parseDateTime64BestEffort(r.connection.start, 9, 'UTC') AS start,
    r.host.name AS host,
    r.connection.id AS connection_id,
    r.connection.vantage AS vantage,
    r.connection.partial AS partial,
    r.severity AS severity,
    r.client.address AS client_address,
    r.client.port AS client_port,
    r.server.address AS server_address,
    r.server.port AS server_port,
    r.server.instance AS instance,
    r.process.name AS process,
    if(r.process.k8s.container != '', r.process.k8s.container, r.process.container.name) AS container,
    r.process.k8s.namespace AS k8s_namespace,
    r.process.k8s.pod AS k8s_pod,
    r.attempt.id AS attempt_id,
    r.attempt.number AS attempt_number,
    r.tcp.rtt_ns AS rtt_ns,
    r.tcp.syn_retransmits AS syn_retransmits,
    r.tcp.retransmits.client AS retransmits_client,
    r.tcp.retransmits.server AS retransmits_server,
    r.tds.version AS tds_version,
    r.tds.encryption AS encryption,
    r.tds.server_version AS server_version,
    r.tds.connection_guid AS connection_guid,
    r.tds.spid AS spid,
    r.tds.user_agent.driver AS driver,
    r.tds.user_agent.version AS driver_version,
    r.tls.version AS tls_version,
    r.tls.cipher AS cipher,
    r.tls.sni AS sni,
    r.tls.certificate.subject AS certificate_subject,
    parseDateTime64BestEffortOrNull(r.tls.certificate.not_after, 0, 'UTC') AS certificate_not_after,
    r.auth.kind AS auth,
    r.auth.fallback_from AS auth_fallback_from,
    r.auth.controller_ns AS controller_ns,
    r.login.outcome AS outcome,
    r.login.basis = 'inferred' AS inferred,
    r.login.loser AS loser,
    r.login.duration_ns AS duration_ns,
    r.login.client_ns AS client_ns,
    r.login.server_ns AS server_ns,
    r.login.network_ns AS network_ns,
    r.login.slowest_phase AS slowest_phase,
    r.login.error.number AS error,
    r.login.error.state AS error_state,
    r.login.database AS database,
    r.login.app_name AS application,
    r.login.redirect.address AS redirect_address,
    r.login.redirect.port AS redirect_port,
    r.phases.handshake.duration_ns AS handshake_ns,
    r.phases.prelogin.duration_ns AS prelogin_ns,
    r.phases.tls.duration_ns AS tls_ns,
    r.phases.login.duration_ns AS login_ns,
    r.phases.auth.duration_ns AS auth_ns,
    if(r.phases.prelogin.complete, r.phases.prelogin.start_ns + r.phases.prelogin.duration_ns, NULL) AS prelogin_end_ns,
    r.diagnosis[1].cause AS cause,
    r.diagnosis[1].confidence AS confidence,
    r.diagnosis[1].`for` AS responsible,
    r.login.incident AS incident_id
FROM tds.lines
WHERE event = 'login';

CREATE TABLE IF NOT EXISTS tds.closes_here ON CLUSTER '{cluster}'
(
    start DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    ended DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    host LowCardinality(String),
    connection_id FixedString(16),
    vantage LowCardinality(String),
    partial Bool,
    client_address String,
    server_address LowCardinality(String),
    server_port UInt16,
    process LowCardinality(String),
    application LowCardinality(String),
    login_outcome LowCardinality(String),
    closed_by LowCardinality(String),
    how LowCardinality(String),
    class LowCardinality(String),
    phase LowCardinality(String),
    duration_ns UInt64 CODEC(T64, ZSTD),
    idle_ns Nullable(UInt64),
    keep_alive_probes UInt32,
    middlebox Bool,
    requests UInt64,
    requests_p99_ns Nullable(UInt64),
    bytes_client UInt64,
    bytes_server UInt64,
    retransmits_client UInt32,
    retransmits_server UInt32,
    INDEX by_connection connection_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplicatedReplacingMergeTree
PARTITION BY toDate(start)
ORDER BY (toStartOfHour(start), server_address, server_port, toStartOfMinute(start), connection_id, host)
TTL toDateTime(start) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS tds.closes ON CLUSTER '{cluster}' AS tds.closes_here
ENGINE = Distributed('{cluster}', tds, closes_here, cityHash64(connection_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.closes_of_lines ON CLUSTER '{cluster}' TO tds.closes AS
WITH JSONExtract(line, 'Tuple(
    timestamp String,
    host Tuple(name String),
    connection Tuple(id String, vantage String, start String, partial Bool),
    client Tuple(address String),
    server Tuple(address String, port UInt16),
    process Tuple(name String),
    tcp Tuple(bytes Tuple(client UInt64, server UInt64), retransmits Tuple(client UInt32, server UInt32)),
    login Tuple(outcome String, app_name String),
    requests Tuple(count UInt64, server_ns Tuple(p99 Nullable(UInt64))),
    close Tuple(`by` String, how String, class String, phase String, duration_ns UInt64, idle_ns Nullable(UInt64),
        keep_alive_probes UInt32, middlebox Bool))') AS r
SELECT
    parseDateTime64BestEffort(r.connection.start, 9, 'UTC') AS start,
    parseDateTime64BestEffort(r.timestamp, 9, 'UTC') AS ended,
    r.host.name AS host,
    r.connection.id AS connection_id,
    r.connection.vantage AS vantage,
    r.connection.partial AS partial,
    r.client.address AS client_address,
    r.server.address AS server_address,
    r.server.port AS server_port,
    r.process.name AS process,
    r.login.app_name AS application,
    r.login.outcome AS login_outcome,
    r.close.`by` AS closed_by,
    r.close.how AS how,
    r.close.class AS class,
    r.close.phase AS phase,
    r.close.duration_ns AS duration_ns,
    r.close.idle_ns AS idle_ns,
    r.close.keep_alive_probes AS keep_alive_probes,
    r.close.middlebox AS middlebox,
    r.requests.count AS requests,
    r.requests.server_ns.p99 AS requests_p99_ns,
    r.tcp.bytes.client AS bytes_client,
    r.tcp.bytes.server AS bytes_server,
    r.tcp.retransmits.client AS retransmits_client,
    r.tcp.retransmits.server AS retransmits_server
FROM tds.lines
WHERE event = 'close';

CREATE TABLE IF NOT EXISTS tds.attempts_here ON CLUSTER '{cluster}'
(
    start DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    host LowCardinality(String),
    attempt_id FixedString(16),
    client_address String,
    process LowCardinality(String),
    target_name LowCardinality(String),
    target_instance LowCardinality(String),
    target_port UInt16,
    outcome LowCardinality(String),
    duration_ns UInt64 CODEC(T64, ZSTD),
    unexplained_ns UInt64 CODEC(T64, ZSTD),
    connections UInt16,
    parts Nested
    (
        kind LowCardinality(String),
        start_ns UInt64,
        duration_ns UInt64,
        outcome LowCardinality(String),
        name String,
        connection_id String,
        loser Bool
    ),
    cause LowCardinality(String),
    confidence Float32,
    responsible LowCardinality(String)
)
ENGINE = ReplicatedReplacingMergeTree
PARTITION BY toDate(start)
ORDER BY (toStartOfHour(start), target_name, toStartOfMinute(start), attempt_id, host)
TTL toDateTime(start) + INTERVAL 30 DAY;

CREATE TABLE IF NOT EXISTS tds.attempts ON CLUSTER '{cluster}' AS tds.attempts_here
ENGINE = Distributed('{cluster}', tds, attempts_here, cityHash64(attempt_id));

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.attempts_of_lines ON CLUSTER '{cluster}' TO tds.attempts AS
WITH JSONExtract(line, 'Tuple(
    host Tuple(name String),
    client Tuple(address String),
    process Tuple(name String),
    attempt Tuple(id String, start String, duration_ns UInt64, outcome String, connections UInt16, unexplained_ns UInt64,
        target Tuple(name String, instance String, port UInt16),
        parts Array(Tuple(kind String, start_ns UInt64, duration_ns UInt64, outcome String, name String,
            connection_id String, loser Bool)),
        diagnosis Array(Tuple(cause String, confidence Float32, `for` String))))') AS r
SELECT
    parseDateTime64BestEffort(r.attempt.start, 9, 'UTC') AS start,
    r.host.name AS host,
    r.attempt.id AS attempt_id,
    r.client.address AS client_address,
    r.process.name AS process,
    r.attempt.target.name AS target_name,
    r.attempt.target.instance AS target_instance,
    r.attempt.target.port AS target_port,
    r.attempt.outcome AS outcome,
    r.attempt.duration_ns AS duration_ns,
    r.attempt.unexplained_ns AS unexplained_ns,
    r.attempt.connections AS connections,
    r.attempt.parts.kind AS `parts.kind`,
    r.attempt.parts.start_ns AS `parts.start_ns`,
    r.attempt.parts.duration_ns AS `parts.duration_ns`,
    r.attempt.parts.outcome AS `parts.outcome`,
    r.attempt.parts.name AS `parts.name`,
    r.attempt.parts.connection_id AS `parts.connection_id`,
    r.attempt.parts.loser AS `parts.loser`,
    r.attempt.diagnosis[1].cause AS cause,
    r.attempt.diagnosis[1].confidence AS confidence,
    r.attempt.diagnosis[1].`for` AS responsible
FROM tds.lines
WHERE event = 'attempt';

CREATE TABLE IF NOT EXISTS tds.incidents_here ON CLUSTER '{cluster}'
(
    told DateTime64(9, 'UTC'),
    host LowCardinality(String),
    incident_id String,
    action LowCardinality(String),
    outcome LowCardinality(String),
    scope LowCardinality(String),
    cause LowCardinality(String),
    confidence Float32,
    responsible LowCardinality(String),
    start DateTime64(9, 'UTC'),
    ended Nullable(DateTime64(9, 'UTC')),
    logins UInt64,
    of_logins UInt64,
    failed UInt64,
    slow UInt64,
    servers Array(Tuple(address String, port UInt16, logins UInt64)),
    clients UInt64,
    worst_connection_id String,
    worst_ns UInt64
)
ENGINE = ReplicatedReplacingMergeTree(told)
PARTITION BY toYYYYMM(start)
ORDER BY (host, incident_id)
TTL toDateTime(start) + INTERVAL 400 DAY;

CREATE TABLE IF NOT EXISTS tds.incidents ON CLUSTER '{cluster}' AS tds.incidents_here
ENGINE = Distributed('{cluster}', tds, incidents_here, cityHash64(host));

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.incidents_of_lines ON CLUSTER '{cluster}' TO tds.incidents AS
WITH JSONExtract(line, 'Tuple(
    timestamp String,
    host Tuple(name String),
    incident Tuple(id String, action String, outcome String, scope String, cause String, confidence Float32, `for` String,
        start String, end String, logins UInt64, of_logins UInt64, failed UInt64, slow UInt64,
        servers Tuple(top Array(Tuple(address String, port UInt16, logins UInt64))),
        clients Tuple(count UInt64),
        worst Tuple(connection_id String, duration_ns UInt64)))') AS r
SELECT
    parseDateTime64BestEffort(r.timestamp, 9, 'UTC') AS told,
    r.host.name AS host,
    r.incident.id AS incident_id,
    r.incident.action AS action,
    r.incident.outcome AS outcome,
    r.incident.scope AS scope,
    r.incident.cause AS cause,
    r.incident.confidence AS confidence,
    r.incident.`for` AS responsible,
    parseDateTime64BestEffort(r.incident.start, 9, 'UTC') AS start,
    parseDateTime64BestEffortOrNull(r.incident.end, 9, 'UTC') AS ended,
    r.incident.logins AS logins,
    r.incident.of_logins AS of_logins,
    r.incident.failed AS failed,
    r.incident.slow AS slow,
    r.incident.servers.top AS servers,
    r.incident.clients.count AS clients,
    r.incident.worst.connection_id AS worst_connection_id,
    r.incident.worst.duration_ns AS worst_ns
FROM tds.lines
WHERE event = 'incident';

CREATE TABLE IF NOT EXISTS tds.agents_here ON CLUSTER '{cluster}'
(
    told DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    host LowCardinality(String),
    run_id FixedString(16),
    line UInt64,
    action LowCardinality(String),
    version LowCardinality(String),
    reason LowCardinality(String),
    open_connections UInt64,
    logins UInt64,
    memory_bytes UInt64,
    loss_reason LowCardinality(String),
    lost UInt64
)
ENGINE = ReplicatedReplacingMergeTree
PARTITION BY toDate(told)
ORDER BY (toStartOfHour(told), host, told, run_id, line)
TTL toDateTime(told) + INTERVAL 90 DAY;

CREATE TABLE IF NOT EXISTS tds.agents ON CLUSTER '{cluster}' AS tds.agents_here
ENGINE = Distributed('{cluster}', tds, agents_here, cityHash64(host));

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.agents_of_lines ON CLUSTER '{cluster}' TO tds.agents AS
WITH JSONExtract(line, 'Tuple(
    timestamp String,
    host Tuple(name String),
    run_id String,
    line UInt64,
    event String,
    agent Tuple(action String, version String, reason String,
        status Tuple(open_connections UInt64, logins Map(String, UInt64), memory_bytes UInt64)),
    loss Tuple(reason String, count UInt64))') AS r
SELECT
    parseDateTime64BestEffort(r.timestamp, 9, 'UTC') AS told,
    r.host.name AS host,
    r.run_id AS run_id,
    r.line AS line,
    if(r.event = 'loss', 'loss', r.agent.action) AS action,
    r.agent.version AS version,
    r.agent.reason AS reason,
    r.agent.status.open_connections AS open_connections,
    arraySum(mapValues(r.agent.status.logins)) AS logins,
    r.agent.status.memory_bytes AS memory_bytes,
    r.loss.reason AS loss_reason,
    r.loss.count AS lost
FROM tds.lines
WHERE event IN ('agent', 'loss');

CREATE TABLE IF NOT EXISTS tds.arrivals_here ON CLUSTER '{cluster}'
(
    host LowCardinality(String),
    run_id FixedString(16),
    day Date,
    lines AggregateFunction(groupBitmap, UInt64),
    first SimpleAggregateFunction(min, UInt64),
    last SimpleAggregateFunction(max, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (host, run_id, day)
TTL day + INTERVAL 90 DAY;

CREATE TABLE IF NOT EXISTS tds.arrivals ON CLUSTER '{cluster}' AS tds.arrivals_here
ENGINE = Distributed('{cluster}', tds, arrivals_here, cityHash64(host));

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.arrivals_of_lines ON CLUSTER '{cluster}' TO tds.arrivals AS
SELECT
    JSONExtractString(line, 'host', 'name') AS host,
    JSONExtractString(line, 'run_id') AS run_id,
    toDate(parseDateTime64BestEffort(JSONExtractString(line, 'timestamp'), 9, 'UTC')) AS day,
    groupBitmapState(number) AS lines,
    min(number) AS first,
    max(number) AS last
FROM (SELECT line, JSONExtractUInt(line, 'line') AS number FROM tds.lines)
GROUP BY host, run_id, day;

CREATE TABLE IF NOT EXISTS tds.logins_by_minute_here ON CLUSTER '{cluster}'
(
    minute DateTime('UTC') CODEC(Delta, ZSTD),
    server_address LowCardinality(String),
    server_port UInt16,
    outcome LowCardinality(String),
    auth LowCardinality(String),
    encryption LowCardinality(String),
    logins UInt64,
    slow UInt64,
    duration AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), UInt64),
    handshake AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(UInt64)),
    prelogin AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(UInt64)),
    tls AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(UInt64)),
    login AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(UInt64)),
    authentication AggregateFunction(quantilesTDigest(0.5, 0.9, 0.99), Nullable(UInt64)),
    counted DateTime
)
ENGINE = ReplicatedReplacingMergeTree(counted)
PARTITION BY toYYYYMM(minute)
ORDER BY (toStartOfHour(minute), server_address, server_port, minute, outcome, auth, encryption)
TTL minute + INTERVAL 400 DAY;

CREATE TABLE IF NOT EXISTS tds.logins_by_minute ON CLUSTER '{cluster}' AS tds.logins_by_minute_here
ENGINE = Distributed('{cluster}', tds, logins_by_minute_here, rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS tds.logins_are_counted ON CLUSTER '{cluster}'
REFRESH EVERY 1 MINUTE APPEND TO tds.logins_by_minute_here AS
SELECT
    toStartOfMinute(first) AS minute,
    server_address,
    server_port,
    outcome,
    auth,
    encryption,
    count() AS logins,
    countIf(severity = 'warn') AS slow,
    quantilesTDigestState(0.5, 0.9, 0.99)(duration_ns) AS duration,
    quantilesTDigestState(0.5, 0.9, 0.99)(handshake_ns) AS handshake,
    quantilesTDigestState(0.5, 0.9, 0.99)(prelogin_ns) AS prelogin,
    quantilesTDigestState(0.5, 0.9, 0.99)(tls_ns) AS tls,
    quantilesTDigestState(0.5, 0.9, 0.99)(login_ns) AS login,
    quantilesTDigestState(0.5, 0.9, 0.99)(auth_ns) AS authentication,
    now() AS counted
FROM
(
    SELECT *, toDateTime(start) AS first
    FROM tds.logins_here FINAL
    WHERE NOT loser
      AND toStartOfMinute(start) IN
          (SELECT DISTINCT toStartOfMinute(start) FROM tds.logins_here WHERE arrived > now() - INTERVAL 3 MINUTE)
    ORDER BY vantage != 'client'
    LIMIT 1 BY connection_id
)
GROUP BY minute, server_address, server_port, outcome, auth, encryption;
