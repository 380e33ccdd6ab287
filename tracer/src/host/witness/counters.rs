//! What a network namespace counts, as `/proc` shows it.

use std::io::Read as _;

use procfs::process::Process;

use crate::session::{Conntrack, NetFacts};

/// A file of `/proc` that is larger is not read to its end.
const MOST: u64 = 64 * 1024;
/// Place of the columns in `nf_conntrack`'s statistics that matter.
const INSERT_FAILED: &str = "insert_failed";
const DROP: &str = "drop";

/// What there was at one moment: totals, `None` where the kernel does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    totals: NetFacts,
}

impl Counters {
    /// Those of the network namespace that a process is in.
    pub(super) fn of(process: &Process) -> Self {
        let read = |file: &str| text(process, file).unwrap_or_default();
        let netstat = read("net/netstat");
        let counted = |name| value(&netstat, "TcpExt", name);
        let sockstat = read("net/sockstat");
        Self {
            totals: NetFacts {
                listen_overflows: counted("ListenOverflows"),
                listen_drops: counted("ListenDrops"),
                handshakes_full: counted("TCPReqQFullDrop"),
                cookies: counted("SyncookiesSent"),
                reverse_path: counted("IPReversePathFilter"),
                out_of_memory: counted("TCPAbortOnMemory"),
                in_use: sockets(&sockstat, "inuse"),
                time_wait: sockets(&sockstat, "tw"),
                ports: None,
                conntrack: conntrack(&read("net/stat/nf_conntrack")),
            },
        }
    }

    /// What came to them since an earlier moment.
    pub(super) fn since(&self, earlier: &Self) -> NetFacts {
        let (now, then) = (&self.totals, &earlier.totals);
        let more = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        NetFacts {
            listen_overflows: more(now.listen_overflows, then.listen_overflows),
            listen_drops: more(now.listen_drops, then.listen_drops),
            handshakes_full: more(now.handshakes_full, then.handshakes_full),
            cookies: more(now.cookies, then.cookies),
            reverse_path: more(now.reverse_path, then.reverse_path),
            out_of_memory: more(now.out_of_memory, then.out_of_memory),
            in_use: now.in_use,
            time_wait: now.time_wait,
            ports: now.ports,
            conntrack: now.conntrack.map(|now| {
                let then = then.conntrack.unwrap_or(now);
                Conntrack {
                    dropped: now.dropped.saturating_sub(then.dropped),
                    insert_failed: now.insert_failed.saturating_sub(then.insert_failed),
                    ..now
                }
            }),
        }
    }
}

/// A file of a process's directory, as far as it is read.
pub(super) fn text(process: &Process, file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let file = process.open_relative(file).ok()?;
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A value of `/proc/net/netstat` or `snmp`: a line of names, and one of values.
fn value(text: &str, section: &str, name: &str) -> Option<u64> {
    let of_section = |line: &&str| line.split_once(':').is_some_and(|(own, _)| own == section);
    let mut lines = text.lines().filter(of_section);
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|own| own == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

/// How many TCP sockets there are of a kind.
fn sockets(sockstat: &str, kind: &str) -> Option<u64> {
    let tcp = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = tcp.split_whitespace();
    words.find(|word| *word == kind)?;
    words.next()?.parse().ok()
}

/// A line of names, and one of values for each processor, hexadecimal; entries are the same in each.
fn conntrack(statistics: &str) -> Option<Conntrack> {
    let mut lines = statistics.lines();
    let names: Vec<_> = lines.next()?.split_whitespace().collect();
    let place = |name| names.iter().position(|own| *own == name);
    let (failed, drop) = (place(INSERT_FAILED)?, place(DROP)?);
    let mut all = Conntrack::default();
    for line in lines {
        let values: Vec<_> = line.split_whitespace().collect();
        let value = |place: usize| u64::from_str_radix(values.get(place)?, 16).ok();
        all.entries = value(0)?;
        all.insert_failed += value(failed)?;
        all.dropped += value(drop)?;
    }
    all.most = number("/proc/sys/net/netfilter/nf_conntrack_max")?;
    Some(all)
}

fn number(file: &str) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETSTAT: &str = "\
TcpExt: SyncookiesSent ListenOverflows ListenDrops
TcpExt: 1 22 333
IpExt: InNoRoutes ListenDrops
IpExt: 4 5
";

    #[test]
    fn a_counter_is_found_by_its_section_and_name() {
        assert_eq!(value(NETSTAT, "TcpExt", "ListenOverflows"), Some(22));
        assert_eq!(value(NETSTAT, "TcpExt", "ListenDrops"), Some(333));
        assert_eq!(value(NETSTAT, "IpExt", "ListenDrops"), Some(5));
        assert_eq!(value(NETSTAT, "TcpExt", "TCPReqQFullDrop"), None);
        assert_eq!(value("", "TcpExt", "ListenDrops"), None);
        assert_eq!(value("TcpExt: ListenDrops", "TcpExt", "ListenDrops"), None);
    }

    #[test]
    fn connections_that_keep_their_port_are_counted() {
        let sockstat =
            "sockets: used 18\nTCP: inuse 1 orphan 0 tw 17 alloc 1 mem 198\nUDP: inuse 0\n";
        assert_eq!(sockets(sockstat, "tw"), Some(17));
        assert_eq!(sockets("UDP: inuse 0", "tw"), None);
    }

    #[test]
    fn drops_of_all_processors_add_up() {
        let statistics = "\
entries  clashres insert insert_failed drop early_drop
0000000f 00000000 00000000 00000001 00000010 00000000
0000000f 00000000 00000000 00000002 00000020 00000000
";
        // Where this host follows no connections nobody says how many there may be.
        if let Some(all) = conntrack(statistics) {
            assert_eq!((all.entries, all.insert_failed, all.dropped), (15, 3, 48));
        }
        assert_eq!(conntrack(""), None);
    }

    #[test]
    fn what_came_since_is_told_and_what_is_not_known_then_is_left_out() {
        let at = |listen_drops, time_wait| Counters {
            totals: NetFacts {
                listen_drops,
                time_wait,
                ..NetFacts::default()
            },
        };
        let since = at(Some(9), Some(4)).since(&at(Some(7), Some(1)));
        assert_eq!((since.listen_drops, since.time_wait), (Some(2), Some(4)));
        assert_eq!(at(Some(9), None).since(&at(None, None)).listen_drops, None);
    }

    #[test]
    fn this_hosts_own_counters_are_read() {
        let counters = Counters::of(&Process::myself().unwrap());
        assert!(counters.totals.listen_drops.is_some(), "{counters:?}");
    }
}
