//! Prints the JSON Schema of the event stream, as the types of its records give it.

fn main() {
    print!("{}", tracer::record::schema_text());
}
