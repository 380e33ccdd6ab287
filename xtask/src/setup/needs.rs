//! The programs of the system that the commands use, how to see that one is there, and the Debian
//! packages that bring it.

use crate::{
    host::find_program,
    process::{command, succeeds},
    setup::For,
};

/// How to see that something is there.
enum Probe {
    /// A program by its name.
    Program(&'static str),
    /// A command that succeeds.
    Works(&'static str, &'static [&'static str]),
}

/// One thing, who needs it, and where it comes from.
pub(crate) struct Need {
    probe: Probe,
    packages: &'static [&'static str],
    purposes: &'static [For],
}

const EVERY: &[For] = &[
    For::Build,
    For::Ebpf,
    For::Demo,
    For::Dist,
    For::Vm,
    For::Arm64,
    For::Test,
];
const NET: &[For] = &[For::Demo, For::Vm, For::Test];
/// Those that build one peer at least.
const PEERS: &[For] = &[For::Demo, For::Test];
const VM: &[For] = &[For::Vm, For::Test];
const TEST: &[For] = &[For::Test];
const EYES: &[For] = &[For::Eyes, For::Test];
/// Those that install packages somewhere.
const PACKAGES: &[For] = &[For::Dist, For::Vm, For::Test];
const ARM64: &[For] = &[For::Arm64];
/// Those that take programs apart.
const BINARIES: &[For] = &[For::Dist, For::Vm, For::Test];

/// The library that reads C headers for the bindings to MIT's Kerberos.
const LIBCLANG: &str = "for file in /usr/lib/llvm-*/lib/libclang.so /usr/lib*/libclang.so; do \
                        [ -e $file ] && exit 0; done; exit 1";

/// A driver that only a driver manager loads.
const FREETDS_ODBC: &str = "[ -e /usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so ]";

/// All of it.
pub(crate) const ALL: &[Need] = &[
    Need::program("cc", &["gcc", "libc6-dev"], EVERY),
    Need {
        probe: Probe::Works("pkg-config", &["--exists", "openssl"]),
        packages: &["pkg-config", "libssl-dev"],
        purposes: PEERS,
    },
    Need::program("ip", &["iproute2"], NET),
    Need::program("nsenter", &["util-linux"], NET),
    Need::program("nft", &["nftables"], TEST),
    Need::program("tsql", &["freetds-bin"], PEERS),
    Need {
        probe: Probe::Works("pkg-config", &["--exists", "mit-krb5-gssapi"]),
        packages: &["pkg-config", "libkrb5-dev"],
        purposes: TEST,
    },
    Need {
        probe: Probe::Works("sh", &["-c", LIBCLANG]),
        packages: &["libclang-14-dev"],
        purposes: TEST,
    },
    Need {
        probe: Probe::Works("sh", &["-c", FREETDS_ODBC]),
        packages: &["tdsodbc"],
        purposes: TEST,
    },
    Need::program("krb5kdc", &["krb5-kdc"], TEST),
    Need::program("kadmin.local", &["krb5-admin-server"], TEST),
    Need::program("kinit", &["krb5-user"], TEST),
    Need::program("promtool", &["prometheus"], TEST),
    Need::program("victoria-metrics", &["victoria-metrics"], TEST),
    Need::program("curl", &["curl"], TEST),
    Need::program("crun", &["crun"], TEST),
    Need::program("containerd", &["containerd", "runc"], TEST),
    Need::program("tmux", &["tmux"], EYES),
    Need::program("dnsmasq", &["dnsmasq-base"], TEST),
    Need::program("rsyslogd", &["rsyslog"], TEST),
    Need {
        probe: Probe::Works("sh", &["-c", "ls /usr/lib/*/rsyslog/lmnsd_ossl.so"]),
        packages: &["rsyslog-openssl"],
        purposes: TEST,
    },
    Need::program("chromium", &["chromium"], EYES),
    Need::program("npm", &["npm"], EYES),
    Need::program("socat", &["socat"], TEST),
    Need::program("tinyproxy", &["tinyproxy-bin"], TEST),
    Need::program("tcpdump", &["tcpdump"], TEST),
    Need::program("tshark", &["tshark"], TEST),
    Need::program("editcap", &["wireshark-common"], TEST),
    Need::program("zstd", &["zstd"], TEST),
    Need::program("rpmbuild", &["rpm"], PACKAGES),
    Need::program("debootstrap", &["debootstrap"], PACKAGES),
    Need::program("mkfs.ext4", &["e2fsprogs"], PACKAGES),
    Need::program(
        "aarch64-linux-gnu-gcc",
        &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        ARM64,
    ),
    Need::program("qemu-aarch64", &["qemu-user"], ARM64),
    Need::program("qemu-system-aarch64", &["qemu-system-arm"], ARM64),
    Need::program("time", &["time"], TEST),
    Need::program("bpftool", &["bpftool"], VM),
    Need::program("qemu-system-x86_64", &["qemu-system-x86"], VM),
    Need::program("busybox", &["busybox-static"], VM),
    Need::program("cpio", &["cpio"], VM),
    Need::program("depmod", &["kmod"], VM),
    Need::program("strip", &["binutils"], BINARIES),
    Need::program("xz", &["xz-utils"], VM),
    Need {
        probe: Probe::Works("python3", &["-c", "import venv, ensurepip"]),
        packages: &["python3", "python3-venv"],
        purposes: TEST,
    },
    Need::program("node", &["nodejs"], TEST),
    Need::program("npm", &["npm"], TEST),
];

impl Need {
    const fn program(
        name: &'static str,
        packages: &'static [&'static str],
        purposes: &'static [For],
    ) -> Self {
        Self {
            probe: Probe::Program(name),
            packages,
            purposes,
        }
    }

    pub(crate) fn wanted_for(&self, purpose: For) -> bool {
        self.purposes.contains(&purpose)
    }

    pub(crate) fn is_there(&self) -> bool {
        match self.probe {
            Probe::Program(name) => find_program(name).is_some(),
            Probe::Works(program, args) => succeeds(&mut command(program, args)),
        }
    }

    pub(crate) fn packages(&self) -> &'static [&'static str] {
        self.packages
    }
}
