//! Why the kernel refuses a program.

use aya::programs::ProgramError;

use super::StartError;
use crate::host::missing_capabilities;

/// The reason why a program was refused.
pub(super) fn refused(name: &str, error: &ProgramError) -> StartError {
    let reason = match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            tracing::debug!(%verifier_log, "the verifier's words");
            // The verifier, too, allows less without one of them.
            let missing = missing_capabilities();
            if is_permission(io_error) && !missing.is_empty() {
                return StartError::NoPrivilege(missing.join(", "));
            }
            io_error.to_string()
        }
        error => error.to_string(),
    };
    StartError::Refused {
        name: name.to_owned(),
        reason,
    }
}

pub(super) fn is_permission(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}
