//! Each kind of connection that was once said wrongly, in every variant that matters: captures of
//! real clients, changed in ways whose effect is known. What must be said follows from the event
//! contract.

mod cases;
mod copies;
mod encryption;
mod ends;
mod farewells;
mod federated;
mod foreign;
mod hear;
mod holes;
mod joined;
mod judge;
mod ntlm;
mod patience;
mod redirects;
mod rewritten;
mod script;
mod table;
mod tickets;
