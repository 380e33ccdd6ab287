//! Each kind of connection that was once said wrongly, in every variant that matters: captures of
//! real clients, changed in ways whose effect is known. What must be said follows from the event
//! contract.

mod farewells;
mod federated;
mod judge;
mod ntlm;
mod script;
mod encryption;
mod patience;
mod tickets;
mod copies;
mod foreign;
mod redirects;
mod table;
mod holes;
mod ends;
mod joined;
