//! What a connection is used for after its login: requests and MARS sessions.

mod mars;
mod quantiles;
mod requests;

pub(super) use mars::{Ended, Mars, headers};
pub(super) use requests::{Boundary, Done, Requests};
