//! The agent on real traffic: real clients and servers on two hosts of their own. Each file is named
//! for what is promised. Of each connection the agent's lines are checked against a packet capture of
//! the same run, and against what replay says of that capture.

mod attempts;
mod authentication;
mod close;
mod configuration;
mod floods;
mod hardships;
mod here;
mod host;
mod life;
mod lookups;
mod loss;
mod mars;
mod metrics;
mod mixed;
mod outcomes;
mod output;
mod paths;
mod phases;
mod ports;
mod processes;
mod recorder;
mod requests;
mod resets;
mod resolutions;
mod rewritten;
mod run;
mod said;
mod secrets;
mod service;
mod services;
mod sinks;
mod sockets;
mod tls;
mod top;
mod transit;
mod untried;
mod waits;
