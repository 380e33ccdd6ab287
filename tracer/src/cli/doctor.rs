//! `tds-tracer doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::doctor::{DoctorFormat, DoctorOptions};

/// Options of `doctor`, as typed.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// For a person, or for a program
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    format: DoctorFormat,

    /// As for `run`: the control group whose processes are to be told
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,

    /// As for `run`: where this host's own files are mounted
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = "/",
        env = "TDS_TRACER_HOST_ROOT",
        hide_env = true
    )]
    host_root: PathBuf,

    /// As for `run`: the container runtime's socket, at which its version is asked for
    #[arg(
        long,
        value_name = "SOCKET",
        env = "TDS_TRACER_CRI_SOCKET",
        hide_env = true
    )]
    cri_socket: Option<PathBuf>,
}

impl DoctorArgs {
    pub(super) fn meant(self) -> DoctorOptions {
        let Self {
            format,
            cgroup,
            host_root,
            cri_socket,
        } = self;
        DoctorOptions {
            format,
            cgroup,
            host_root,
            cri_socket,
        }
    }
}
