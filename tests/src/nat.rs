//! A host that rewrites addresses, as those do that run containers: two of them inside, another host
//! outside.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::net::{Namespace, cable};
use crate::process::run;

/// The host's address outside, by which it publishes the first container's port.
pub const PUBLISHED: &str = "198.51.100.1";
/// The host outside.
pub const OUTSIDE: &str = "198.51.100.2";
/// A service's address, behind which the second container is.
pub const SERVICE: &str = "10.96.0.1";
/// The containers.
pub const CONTAINERS: [&str; 2] = ["10.77.1.2", "10.77.2.2"];
/// The host's addresses towards them.
pub const GATEWAYS: [&str; 2] = ["10.77.1.1", "10.77.2.1"];

/// What Docker and kube-proxy ask of the kernel, each in so many words.
const RULES: &str = "
table ip rewritten {
    chain before {
        type nat hook prerouting priority dstnat;
        ip daddr 198.51.100.1 tcp dport 1433 dnat to 10.77.1.2:1433
        ip daddr 10.96.0.1 tcp dport 1433 dnat to 10.77.2.2:1433
    }
    chain out {
        type nat hook output priority -100;
        ip daddr 10.96.0.1 tcp dport 1433 dnat to 10.77.2.2:1433
    }
    chain after {
        type nat hook postrouting priority srcnat;
        oifname \"outside0\" ip saddr 10.77.0.0/16 masquerade
    }
}
";

/// The hosts.
pub struct Rewriting {
    /// Who rewrites.
    pub host: Namespace,
    /// Who sees what others see.
    pub outside: Namespace,
    /// Who is behind it.
    pub containers: [Namespace; 2],
}

impl Rewriting {
    /// Makes them.
    pub fn new() -> Result<Self> {
        let [host, outside] = [Namespace::new("h")?, Namespace::new("x")?];
        let containers = [Namespace::new("p")?, Namespace::new("q")?];
        join((&host, "outside0", PUBLISHED), (&outside, "eth0", OUTSIDE))?;
        let inside = ["inside1", "inside2"];
        for ((container, address), (end, gateway)) in containers
            .iter()
            .zip(CONTAINERS)
            .zip(inside.into_iter().zip(GATEWAYS))
        {
            join((&host, end, gateway), (container, "eth0", address))?;
            container.ip(&["route", "add", "default", "via", gateway])?;
        }
        outside.ip(&["route", "add", "10.77.0.0/16", "via", PUBLISHED])?;
        host.ip(&["route", "add", SERVICE, "via", CONTAINERS[1]])?;
        // What the host itself sends out has an address of the inside, which is rewritten too.
        let from = ["dev", "outside0", "src", GATEWAYS[0]];
        host.ip(&[&["route", "add", OUTSIDE][..], &from].concat())?;
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        for (program, arguments, input) in
            [("sh", ["-c", forward], ""), ("nft", ["-f", "-"], RULES)]
        {
            let mut command = host.command(program);
            let (status, output) = run(command.args(arguments), input, Duration::from_secs(20))?;
            if !status.success() {
                bail!("{program}: {output}");
            }
        }
        Ok(Self {
            host,
            outside,
            containers,
        })
    }
}

fn join(one: (&Namespace, &str, &str), other: (&Namespace, &str, &str)) -> Result<()> {
    cable((one.0.name(), one.1), (other.0.name(), other.1))?;
    for (host, device, address) in [one, other] {
        host.ip(&["addr", "add", &format!("{address}/24"), "dev", device])?;
        host.ip(&["link", "set", device, "up"])?;
    }
    Ok(())
}
