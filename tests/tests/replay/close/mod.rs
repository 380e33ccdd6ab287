//! How connections end, by whom, and whether it did harm.

mod classes;
mod ends;
mod late;
