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

/// The server's window is shut, whatever it says, once its SYN-ACK has passed.
pub(crate) const SHUT: &str = "shut";
/// Every packet comes twice.
pub(crate) const TWICE: &str = "twice";

/// What is longer than 390 bytes vanishes on its way to the server.
pub(crate) const NARROWER_UP: &str = "narrower_up";

/// What does not begin as a TDS packet of the client's vanishes on its way to the server: of a hello in two segments
/// the second one.
pub(crate) const LATER_UP: &str = "later_up";

/// The clients' own host, whose firewall keeps some from answering.
pub(crate) const OWN_FIREWALL: &str = "table ip own {\nset shut_out { type ipv4_addr; }\n\
    chain input {\ntype filter hook input priority filter; policy accept;\nip saddr @shut_out drop\n}\n}\n";

/// From the client's packet of this number on, the router answers by a reset.
pub(crate) fn cut(packet: u32) -> String {
    format!("cut{packet}")
}

/// From the client's packet of this number on, five are lost, whichever they are.
pub(crate) fn lose_up(packet: u32) -> String {
    format!("lose_up{packet}")
}

/// The same of the server's.
pub(crate) fn lose_down(packet: u32) -> String {
    format!("lose_down{packet}")
}

/// The device into which goes what is to vanish, whose other end takes nothing that is not for it. What a filter drops this host's kernel tells of, and the agent, which is on
/// another host to all that it is to know, would hear of it.
pub(crate) const NOWHERE: &str = "nowhere0";
/// Packets with this mark go there.
pub(crate) const MARK: u32 = 1;

/// The rules, in the words of `nft`, of a router that reaches clients and servers by these hosts.
pub(crate) fn rules(clients: Ipv4Addr, servers: Ipv4Addr) -> String {
    let mut sets = Vec::new();
    let mut rules = [Vec::new(), Vec::new()];
    let mut add = |set: &str, chain: usize, lines: &[String]| {
        sets.push(format!("set {set} {{ type ipv4_addr; }}\n"));
        rules[chain].extend(lines.iter().map(|line| format!("{line}\n")));
    };
    let (vanishing, passing) = (0, 1);
    let vanish = format!("meta mark set {MARK}");
    let black = ["saddr", "daddr"].map(|way| format!("ip {way} @{BLACK} {vanish}"));
    add(BLACK, vanishing, &black);
    let syn = format!("ip daddr @{SYNS} tcp flags & (syn | ack) == syn {vanish}");
    add(SYNS, vanishing, &[syn]);
    for (set, way, most) in [
        (NARROW_DOWN, "saddr", 1300),
        (NARROW_UP, "daddr", 1300),
        (NARROWER_UP, "daddr", 390),
    ] {
        let long = format!("ip {way} @{set} meta length > {most} {vanish}");
        add(set, vanishing, &[long]);
    }
    // Behind a header of 32 bytes, with time stamps, the first byte of the payload; 52 bytes have none.
    let later =
        format!("ip daddr @{LATER_UP} tcp doff 8 meta length > 52 @th,256,8 != 0x12 {vanish}");
    add(LATER_UP, vanishing, &[later]);
    let shut = format!("ip saddr @{SHUT} tcp flags & (syn | rst | fin) == 0 tcp window set 0");
    add(SHUT, passing, &[shut]);
    let twice = [("daddr", servers), ("saddr", clients)];
    add(
        TWICE,
        passing,
        &twice.map(|(way, by)| format!("ip {way} @{TWICE} dup to {by}")),
    );
    for packet in PACKETS {
        let [set, up, down] = [cut(packet), lose_up(packet), lose_down(packet)];
        let until = packet + 4;
        let reset =
            format!("ip daddr @{set} ct original packets >= {packet} reject with tcp reset");
        add(&set, passing, &[reset]);
        let lost = format!("ip daddr @{up} ct original packets {packet}-{until} {vanish}");
        add(&up, vanishing, &[lost]);
        let lost = format!("ip saddr @{down} ct reply packets {packet}-{until} {vanish}");
        add(&down, vanishing, &[lost]);
    }
    let sets = sets.concat();
    let [vanishing, passing] = rules.map(|rules| rules.concat());
    format!(
        "table ip lab {{\n{sets}chain arrives {{\n\
         type filter hook prerouting priority mangle; policy accept;\n{vanishing}}}\n\
         chain forward {{\n\
         type filter hook forward priority filter; policy accept;\n{passing}}}\n}}\n"
    )
}
