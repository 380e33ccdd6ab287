//! By what a login is found elsewhere: in Wireshark, in SQL Server, in an agent's lines.

use std::net::IpAddr;

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{line::Facts, text::shown};

/// See the module. Only figures, addresses and identifiers of a form that is known get into a query.
#[skip_serializing_none]
#[derive(Debug, Default, Serialize)]
pub(super) struct Keys {
    pub(super) connection_id: Option<String>,
    pub(super) community_id: Option<String>,
    pub(super) connection_guid: Option<String>,
    pub(super) spid: Option<u16>,
    /// A display filter.
    pub(super) wireshark: Option<String>,
    /// Where SQL Server has it.
    pub(super) sql: Option<String>,
}

impl Keys {
    pub(super) fn new(facts: &Facts) -> Self {
        let connection = facts.connection.as_ref();
        let tds = facts.tds.as_ref();
        let guid = tds.and_then(|tds| tds.connection_guid.as_deref());
        let guid = guid.filter(|guid| {
            guid.len() == 36 && guid.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        });
        let end = |end: Option<&super::line::End>| {
            let end = end?;
            Some((end.address.parse::<IpAddr>().ok()?, end.port?))
        };
        let client = end(facts.client.as_ref());
        let ends = client.zip(end(facts.server.as_ref()));
        Self {
            connection_id: connection.map(|connection| shown(&connection.id)),
            community_id: connection.and_then(|connection| connection.community_id.as_deref()).map(shown),
            connection_guid: guid.map(str::to_owned),
            spid: tds.and_then(|tds| tds.spid),
            wireshark: ends.map(|((client, client_port), (server, server_port))| {
                let ip = if client.is_ipv4() { "ip" } else { "ipv6" };
                format!(
                    "{ip}.addr == {client} && {ip}.addr == {server} && tcp.port == {client_port} && tcp.port == {server_port}"
                )
            }),
            sql: client.map(|(client, port)| sql(client, port, guid)),
        }
    }
}

fn sql(client: IpAddr, port: u16, guid: Option<&str>) -> String {
    let live = format!(
        "-- while it is open\n\
         SELECT s.session_id, s.login_time, s.program_name, c.connection_id\n\
         FROM sys.dm_exec_connections AS c JOIN sys.dm_exec_sessions AS s ON s.session_id = c.session_id\n\
         WHERE c.client_net_address = '{client}' AND c.client_tcp_port = {port};\n\
         -- afterwards, while the ring buffer has it\n\
         SELECT CAST(record AS xml) FROM sys.dm_os_ring_buffers\n\
         WHERE ring_buffer_type = N'RING_BUFFER_CONNECTIVITY' AND record LIKE N'%<RemotePort>{port}</RemotePort>%';\n"
    );
    let kept = guid.map(|guid| {
        format!(
            "-- in the files of an XEvent session with process_login_finish\n\
             SELECT CAST(event_data AS xml) FROM sys.fn_xe_file_target_read_file(N'logins*.xel', NULL, NULL, NULL)\n\
             WHERE event_data LIKE N'%{}%';\n",
            guid.to_ascii_uppercase()
        )
    });
    live + &kept.unwrap_or_default()
}
