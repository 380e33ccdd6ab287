//! What came of a login, and how surely that is known.

mod farewells;
mod given_up;
mod patience;
mod redirects;
mod reply;
mod silence;
