//! What came of a login: by whom it was decided, or why by nobody.

mod decided;
mod undecided;
