//! Where records go: JSON lines, or a timeline for a person.
