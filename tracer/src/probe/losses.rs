//! What the programs could not tell, from their per-CPU counters.

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};
use tracer_ebpf::loss::LossReason;

use super::{StartError, load};

/// The counters, and what they said last.
pub(super) struct Losses {
    counters: PerCpuArray<MapData, u64>,
    last: [u64; LossReason::COUNT as usize],
    /// What they said of SYNs that are held back.
    held: u64,
}

impl Losses {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        Ok(Self {
            counters: load::map(ebpf, "LOSSES")?
                .try_into()
                .map_err(StartError::map)?,
            last: [0; LossReason::COUNT as usize],
            held: 0,
        })
    }

    /// What was added since the last call, reason by reason.
    pub(super) fn since(&mut self) -> Vec<(LossReason, u64)> {
        let mut lost = Vec::new();
        for (reason, last) in LossReason::ALL.into_iter().zip(&mut self.last) {
            let counted = self.counters.get(&(reason as u32), 0);
            let each = counted.iter().flat_map(|each| each.iter());
            let mut total = each.fold(0_u64, |sum, each| sum.wrapping_add(*each));
            if reason == LossReason::SynHeld {
                // It may yet be told: it is lost once it was held back at the call before.
                total = total
                    .min(std::mem::replace(&mut self.held, total))
                    .max(*last);
            }
            if total > *last {
                lost.push((reason, total - *last));
            }
            *last = total;
        }
        lost
    }
}
