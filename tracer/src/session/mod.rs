//! Connections, rebuilt from events: phases, who was waited for, outcome and close. Sans-IO.
