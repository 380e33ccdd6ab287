//! Of what was not seen less is said, nothing that is not so, and that something is missing.

mod budget;
mod holes;
mod joined;
mod records;
mod short;
mod table;
