//! Which packets of watched connections this kernel threw away, and which of them it reset, and why: an object of its own,
//! for a kernel that says so (Linux 5.17; of resets 6.10) and shows its own types (BTF), since what is read lies elsewhere in
//! each.

mod btf;
mod resets;

use std::{fs, net::IpAddr};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, MapData},
    programs::RawTracePoint,
};
use tracer_ebpf::dropped::{Direction, Dropped, REASONS};

use self::btf::Types;
use super::{
    load::{self, chain},
    memory,
    object::Object,
};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tds-drops"));

/// Where the kernel shows its types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
const PROGRAM: &str = "tds_dropped";
const EVENT: &str = "kfree_skb";
/// What the kernel's names for reasons begin with.
const PREFIX: &str = "SKB_DROP_REASON_";

/// Reasons for which packets are dropped that should have come through, by the kernel's names without what they
/// begin with. Copies and what is out of order are dropped by every healthy host; that nobody has an address is no
/// doing of the host that notices it.
const WANTED: [&str; 44] = [
    "SOCKET_FILTER",
    "SOCKET_RCVBUFF",
    "TCP_CSUM",
    "NETFILTER_DROP",
    "IP_CSUM",
    "IP_INHDR",
    "IP_RPFILTER",
    "XFRM_POLICY",
    "PROTO_MEM",
    "TCP_AUTH_HDR",
    "TCP_MD5NOTFOUND",
    "TCP_MD5UNEXPECTED",
    "TCP_MD5FAILURE",
    "TCP_AONOTFOUND",
    "TCP_AOUNEXPECTED",
    "TCP_AOKEYNOTFOUND",
    "TCP_AOFAILURE",
    "SOCKET_BACKLOG",
    "TCP_RFC7323_PAWS",
    "TCP_LISTEN_OVERFLOW",
    "IP_OUTNOROUTES",
    "BPF_CGROUP_EGRESS",
    "NEIGH_CREATEFAIL",
    "NEIGH_QUEUEFULL",
    "NEIGH_HH_FILLFAIL",
    "TC_EGRESS",
    "SECURITY_HOOK",
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "QDISC_CONGESTED",
    "CAKE_FLOOD",
    "FQ_BAND_LIMIT",
    "FQ_HORIZON_LIMIT",
    "FQ_FLOW_LIMIT",
    "CPU_BACKLOG",
    "XDP",
    "TC_INGRESS",
    "SKB_CSUM",
    "FULL_RING",
    "NOMEM",
    "IP_INNOROUTES",
    "IP_LOCAL_SOURCE",
    "PKT_TOO_BIG",
    "TCP_MINTTL",
];

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Key(Direction);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value(Dropped);

// SAFETY: it consists of integers, laid out as the program has it, without room between them.
unsafe impl Pod for Key {}
// SAFETY: the same.
unsafe impl Pod for Value {}

/// Packets of one direction that were thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many there were.
    pub count: u32,
    /// Why the last one was, as the kernel calls it, without what all its names begin with.
    pub reason: String,
}

/// What a program has seen, by the kernel's reasons.
struct Seen {
    map: HashMap<MapData, Key, Value>,
    /// The names of reasons, by their numbers.
    reasons: Vec<(u32, String)>,
}

impl Seen {
    fn of_map(ebpf: &mut Ebpf, name: &str, reasons: Vec<(u32, String)>) -> Result<Self, String> {
        let map = load::map(ebpf, name).map_err(|error| error.to_string())?;
        let map = HashMap::try_from(map).map_err(|error| error.to_string())?;
        Ok(Self { map, reasons })
    }

    /// Of one direction, since then, and why the last one was.
    fn of(&self, from: (IpAddr, u16), to: (IpAddr, u16), since: u64) -> Option<(Dropped, &str)> {
        let key = Key(Direction {
            source: words(from.0),
            destination: words(to.0),
            source_port: from.1,
            destination_port: to.1,
        });
        let Value(seen) = self.map.get(&key, 0).ok()?;
        // Of an earlier connection of the same ports all or nothing is counted.
        if seen.last < since {
            return None;
        }
        let (_, name) = self.reasons.iter().find(|(of, _)| *of == seen.reason)?;
        Some((seen, name))
    }
}

/// The programs, and what they have seen.
pub struct Drops {
    ports: Array<MapData, [u64; 1024]>,
    thrown_away: Seen,
    /// Where the kernel says why it resets a connection.
    resets: Option<Seen>,
    /// Keeps them attached.
    _ebpf: Ebpf,
}

impl Drops {
    /// Loads and attaches it for these ports.
    ///
    /// # Errors
    /// Why not, in a line, where the kernel lacks what it takes, or does not let it be used.
    pub fn watch(ports: &[u16]) -> Result<Self, String> {
        let drops = Self::load(ports);
        memory::give_back();
        drops
    }

    fn load(ports: &[u16]) -> Result<Self, String> {
        let object = Object::unpacked(OBJECT).map_err(|error| error.to_string())?;
        let bytes = fs::read(TYPES).map_err(|error| format!("{TYPES}: {error}"))?;
        let types = Types::of(&bytes).ok_or_else(|| format!("{TYPES}: it can not be read"))?;
        let place = |field| {
            let place = types.field("sk_buff", field);
            place.ok_or_else(|| format!("the kernel's packets have no {field}"))
        };
        let layout = [place("head")?, place("network_header")?, place("protocol")?];
        let reasons = reasons(&types);
        if reasons.is_empty() {
            return Err("the kernel does not say why it drops a packet (Linux 5.17 does)".into());
        }
        let mut wanted = [0_u64; (REASONS / 64) as usize];
        for (number, _) in &reasons {
            wanted[(number / 64) as usize] |= 1 << (number & 63);
        }
        let socket = resets::layout(&types);
        let told = |error: &dyn std::error::Error| error.to_string();
        let mut ebpf = EbpfLoader::new()
            .override_global("LAYOUT", &layout, true)
            .override_global("WANTED", &wanted, true)
            .override_global("SOCKET", &socket.unwrap_or_default(), true)
            .load(&object)
            .map_err(|error| chain(&error))?;
        let mut own: Array<_, _> =
            load::array(&mut ebpf, "DROP_PORTS").map_err(|error| told(&error))?;
        own.set(0, load::bits(ports), 0)
            .map_err(|error| told(&error))?;
        let thrown_away = Seen::of_map(&mut ebpf, "DROPS", reasons)?;
        attach(&mut ebpf, PROGRAM, EVENT)?;
        let resets = socket
            .ok_or_else(|| "the kernel's sockets are not as they are known".to_owned())
            .and_then(|_| resets::watch(&mut ebpf, &types));
        let resets = resets
            .inspect_err(|reason| tracing::debug!("why resets are sent is not seen: {reason}"))
            .ok();
        Ok(Self {
            ports: own,
            thrown_away,
            resets,
            _ebpf: ebpf,
        })
    }

    /// Watches these ports from now on, and no others.
    pub fn set_ports(&mut self, ports: &[u16]) {
        if let Err(error) = self.ports.set(0, load::bits(ports), 0) {
            tracing::debug!(%error, "ports could not be handed to what sees drops");
        }
    }

    /// What was thrown away, since then, of what one end sent to the other; moments are nanoseconds of
    /// `CLOCK_BOOTTIME`.
    pub fn of(&self, from: (IpAddr, u16), to: (IpAddr, u16), since: u64) -> Option<Loss> {
        let (dropped, reason) = self.thrown_away.of(from, to, since)?;
        Some(Loss {
            count: if dropped.first < since {
                1
            } else {
                dropped.count
            },
            reason: reason.to_owned(),
        })
    }

    /// Why this host's kernel has reset a connection, since then, that the one end has with the other; see [`Self::of`].
    pub fn reset(&self, from: (IpAddr, u16), to: (IpAddr, u16), since: u64) -> Option<&str> {
        let (_, reason) = self.resets.as_ref()?.of(from, to, since)?;
        Some(reason)
    }

    /// Whether [`Self::reset`] can say anything: Linux 6.10.
    pub const fn says_why_it_resets(&self) -> bool {
        self.resets.is_some()
    }

    /// What it is attached to, by the kernel's names.
    pub fn hooks(&self) -> impl Iterator<Item = &'static str> {
        [EVENT]
            .into_iter()
            .chain(self.resets.as_ref().map(|_| resets::EVENT))
    }
}

/// Loads a program, and attaches it to an event of the kernel.
fn attach(ebpf: &mut Ebpf, name: &str, event: &str) -> Result<(), String> {
    let program = ebpf.program_mut(name);
    let program: &mut RawTracePoint = program
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| format!("{name} is not in the object"))?;
    let attached = program.load().and_then(|()| program.attach(event));
    attached
        .map(drop)
        .map_err(|error| format!("{event}: {}", chain(&error)))
}

/// The reasons that are wanted, as far as this kernel has them.
fn reasons(types: &Types<'_>) -> Vec<(u32, String)> {
    let all = types.values("skb_drop_reason").into_iter();
    let all = all.filter_map(|(number, name)| {
        let name = name.strip_prefix(PREFIX)?;
        let is_wanted = number < REASONS && WANTED.contains(&name);
        is_wanted.then(|| (number, name.to_owned()))
    });
    all.collect()
}

/// An address as the program has it.
fn words(address: IpAddr) -> [u32; 4] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let octets = address.octets();
    let (words, _) = octets.as_chunks();
    std::array::from_fn(|place| u32::from_ne_bytes(words[place]))
}
