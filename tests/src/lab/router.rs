//! What the router does to packets, once a server's address is in the set of that name.

use std::net::Ipv4Addr;

/// Packets of a direction that can be told by their number. The client's first one is its SYN, its
/// second one the handshake's ACK; the server's first one is its SYN-ACK.
pub(crate) const PACKETS: std::ops::RangeInclusive<u32> = 1..=9;

/// Neither direction gets through.
pub(crate) const BLACK: &str = "black";
/// No SYN gets through.
pub(crate) const SYNS: &str = "syns";
/// The router answers whatever is sent by a reset.
pub(crate) const RESET: &str = "cut1";
/// What is longer than 1300 bytes vanishes on its way to the client.
pub(crate) const NARROW_DOWN: &str = "narrow_down";
/// What is longer than 1300 bytes vanishes on its way to the server.
pub(crate) const NARROW_UP: &str = "narrow_up";
/// One of six packets is lost.
pub(crate) const LOSSY: &str = "lossy";

/// The server's window is shut, whatever it says, once its SYN-ACK has passed.
pub(crate) const SHUT: &str = "shut";
/// Every packet comes twice.
pub(crate) const TWICE: &str = "twice";

/// From the client's packet of this number on, the router answers by a reset.
pub(crate) fn cut(packet: u32) -> String {
    format!("cut{packet}")
}

/// From the client's packet of this number on, four are lost, whichever they are.
pub(crate) fn lose_up(packet: u32) -> String {
    format!("lose_up{packet}")
}

/// The same of the server's.
pub(crate) fn lose_down(packet: u32) -> String {
    format!("lose_down{packet}")
}

/// The rules, in the words of `nft`, of a router that reaches clients and servers by these hosts.
pub(crate) fn rules(clients: Ipv4Addr, servers: Ipv4Addr) -> String {
    let mut sets = Vec::new();
    let mut rules = Vec::new();
    let mut add = |set: &str, lines: &[String]| {
        sets.push(format!("set {set} {{ type ipv4_addr; }}\n"));
        rules.extend(lines.iter().map(|line| format!("{line}\n")));
    };
    let both =
        |set: &str, what: &str| ["saddr", "daddr"].map(|way| format!("ip {way} @{set} {what}"));
    add(BLACK, &both(BLACK, "drop"));
    add(
        SYNS,
        &[format!(
            "ip daddr @{SYNS} tcp flags & (syn | ack) == syn drop"
        )],
    );
    let long = |set: &str, way: &str| format!("ip {way} @{set} meta length > 1300 drop");
    add(NARROW_DOWN, &[long(NARROW_DOWN, "saddr")]);
    add(NARROW_UP, &[long(NARROW_UP, "daddr")]);
    add(LOSSY, &both(LOSSY, "numgen random mod 6 == 0 drop"));
    add(
        SHUT,
        &[format!(
            "ip saddr @{SHUT} tcp flags & (syn | rst | fin) == 0 tcp window set 0"
        )],
    );
    let twice = [("daddr", servers), ("saddr", clients)];
    add(
        TWICE,
        &twice.map(|(way, by)| format!("ip {way} @{TWICE} dup to {by}")),
    );
    for packet in PACKETS {
        let [set, up, down] = [cut(packet), lose_up(packet), lose_down(packet)];
        let last = packet + 3;
        add(
            &set,
            &[format!(
                "ip daddr @{set} ct original packets >= {packet} reject with tcp reset"
            )],
        );
        add(
            &up,
            &[format!(
                "ip daddr @{up} ct original packets {packet}-{last} drop"
            )],
        );
        add(
            &down,
            &[format!(
                "ip saddr @{down} ct reply packets {packet}-{last} drop"
            )],
        );
    }
    let (sets, rules) = (sets.concat(), rules.concat());
    format!(
        "table ip lab {{\n{sets}chain forward {{\n\
         type filter hook forward priority filter; policy accept;\n{rules}}}\n}}\n"
    )
}
