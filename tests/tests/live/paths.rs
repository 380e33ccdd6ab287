//! Packets as networks make them: tagged, switched, without link header, with headers in between.

use std::time::Duration;

use harness::agent::of;
use harness::drivers::{Driver, Encrypt, Login};
use harness::expect::Shape;
use harness::middle::{Middle, PORT_OF_CLIENT, redirect, tunnel};
use harness::net::{INTERFACE, Network};
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Place, Run, Server, alone, observe_at};

/// A login without encryption, all of whose segments fit into one packet each.
fn login(path: Path, place: &Place<'_>, middle: Option<&Middle>) -> Run {
    let server = Server::Scenario(&["--encrypt", "not-sup"]);
    let limit = Duration::from_secs(20);
    let login = Login::to(path.address(), crate::run::PORT, Encrypt::Off);
    observe_at(path, place, &server, limit, |host| {
        let fared = Driver::Tsql.run(Some(host), &login).unwrap();
        let complaints = middle.map(Middle::complaints).unwrap_or_default();
        assert!(fared.ok, "{}\n{complaints}", fared.output);
        fared
    })
}

/// Where the server's host sees what a relay has changed.
fn at_the_server(network: &Network) -> Place<'_> {
    Place {
        network,
        observer: &network.server,
        interface: INTERFACE,
        veiled: true,
    }
}

/// Where a switch sees every packet come and go.
fn at_the_switch<'a>(network: &'a Network, middle: &'a Middle) -> Place<'a> {
    Place {
        network,
        observer: &middle.host,
        interface: PORT_OF_CLIENT,
        veiled: true,
    }
}

/// The login is told as any other is, and every packet of it counts once.
fn assert_told(run: &Run) {
    run.assert_outcome("success", Some("none"));
    run.assert_phases(&["handshake", "prelogin", "login"], true);
    run.assert_captured(Shape::Clear);
    run.assert_close("client", "fin", "normal");
    run.assert_eq("/process/name", "tsql");
    for (side, from_client) in [("client", true), ("server", false)] {
        let sent = run
            .segments
            .iter()
            .filter(|segment| segment.from_client == from_client);
        let bytes: usize = sent.clone().map(|segment| segment.payload.len()).sum();
        let tcp = &run.close["tcp"];
        assert_eq!(tcp["packets"][side], sent.count(), "{side}: {tcp:#}");
        assert_eq!(tcp["bytes"][side], bytes, "{side}: {tcp:#}");
    }
}

#[test]
fn a_login_over_devices_without_link_header() {
    root_or_skip!("a login over devices without link header");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    for path in [Path::Server, Path::ServerV6] {
        let (network, middle) = Middle::tun().unwrap();
        let run = login(path, &at_the_server(&network), Some(&middle));
        assert_told(&run);
    }
}

#[test]
fn a_login_that_a_switch_hands_on_counts_once() {
    root_or_skip!("a login that a switch hands on counts once");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let (network, middle) = Middle::switch(None).unwrap();
    let run = login(
        Path::Server,
        &at_the_switch(&network, &middle),
        Some(&middle),
    );
    assert_told(&run);
}

#[test]
fn a_login_inside_a_tunnel_counts_once() {
    root_or_skip!("a login inside a tunnel counts once");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let network = tunnel().unwrap();
    let run = login(Path::Server, &at_the_server(&network), None);
    assert_told(&run);
    run.assert_eq("/connection/interface", INTERFACE);
}

#[test]
fn a_login_that_comes_in_by_way_of_another_device_counts_once() {
    root_or_skip!("a login that comes in by way of another device counts once");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let network = Network::new().unwrap();
    redirect(&network.server).unwrap();
    let run = login(Path::Server, &at_the_server(&network), None);
    assert_told(&run);
}

#[test]
fn a_login_behind_one_vlan_tag_and_behind_two() {
    root_or_skip!("a login behind one VLAN tag and behind two");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    for tag in ["tag", "two-tags"] {
        for path in [Path::Server, Path::ServerV6] {
            let (network, middle) = Middle::switch(Some(tag)).unwrap();
            let run = login(path, &at_the_switch(&network, &middle), Some(&middle));
            assert_told(&run);
        }
    }
}

#[test]
fn a_login_with_options_of_ipv4() {
    root_or_skip!("a login with options of IPv4");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let (network, middle) = Middle::relay("options").unwrap();
    let run = login(Path::Server, &at_the_server(&network), Some(&middle));
    assert_told(&run);
}

#[test]
fn a_login_with_extension_headers_of_ipv6() {
    root_or_skip!("a login with extension headers of IPv6");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let (network, middle) = Middle::relay("extensions").unwrap();
    let run = login(Path::ServerV6, &at_the_server(&network), Some(&middle));
    assert_told(&run);
}

#[test]
fn a_login_whose_packet_is_cut_into_fragments_is_partial_and_says_why() {
    root_or_skip!("a login whose packet is cut into fragments is partial and says why");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let (network, middle) = Middle::relay("fragments").unwrap();
    let run = login(Path::Server, &at_the_server(&network), Some(&middle));
    run.assert_eq("/login/outcome", "success");
    run.assert_eq("/connection/partial_reasons", vec!["gap"]);
    run.assert_captured(Shape::Clear);
    // Only its login packet is longer than the relay lets through whole.
    let losses = of(&run.events, "loss");
    assert_eq!(losses.len(), 1, "{losses:#?}");
    assert_eq!(losses[0]["loss"]["reason"], "fragment", "{losses:#?}");
    assert_eq!(losses[0]["loss"]["count"], 1, "{losses:#?}");
}
