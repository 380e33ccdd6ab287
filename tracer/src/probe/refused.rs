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
            let words = verifier_log.to_string();
            of_kernel(&words).map_or_else(|| io_error.to_string(), str::to_owned)
        }
        error => error.to_string(),
    };
    StartError::Refused {
        name: name.to_owned(),
        reason,
    }
}

/// What the verifier's words mean where the kernel lacks something, whatever the program.
fn of_kernel(words: &str) -> Option<&'static str> {
    // `check_map_func_compatibility` of `kernel/bpf/verifier.c`.
    words.contains("tail_calls are not allowed in").then_some(
        "on this processor Linux takes no program with both subprograms and tail calls before 6.0",
    )
}

pub(super) fn is_permission(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::of_kernel;

    #[test]
    fn a_kernel_without_tail_calls_beside_subprograms_is_told_from_a_program_that_is_wrong() {
        let words = "0: (bf) r6 = r1\ntail_calls are not allowed in non-JITed programs with bpf-to-bpf calls\n";
        assert!(of_kernel(words).is_some_and(|reason| reason.ends_with("before 6.0")));
        assert_eq!(of_kernel("invalid access to map value"), None);
    }
}
