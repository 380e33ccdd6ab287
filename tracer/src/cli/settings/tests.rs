use std::ffi::OsString;

use super::*;
use crate::cli::typed::{Typed, typed};

/// A folder with a configuration, gone with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let name = format!("tds-tracer-config-{name}-{}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(path.join("conf.d")).expect("a folder");
        for (name, text) in files {
            fs::write(path.join(name), text).expect("a file");
        }
        Self(path)
    }

    fn typed(&self, options: &[&str]) -> Result<Typed, String> {
        let config = format!("--config={}/config.toml", self.0.display());
        let line = ["tds-tracer", "run", &config].into_iter();
        typed(line.chain(options.iter().copied()).map(OsString::from))
            .map_err(|error| error.to_string().replace(&*self.0.to_string_lossy(), ""))
    }

    /// An option's values, and who says so.
    fn option(&self, options: &[&str], name: &str) -> (String, String) {
        let typed = self.typed(options).expect("right");
        let all = effective(&typed.options, typed.of_options(), &typed.settings);
        let option = all.into_iter().find(|option| option.name == name);
        let option = option.expect("an option");
        let values: Vec<_> = option.values.iter().map(|v| v.to_string_lossy()).collect();
        let source = option.source.replace(&*self.0.to_string_lossy(), "");
        (values.join(" "), source)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn the_command_line_goes_before_the_later_file_before_the_earlier_before_what_is_built_in() {
    let files = Files::new(
        "order",
        &[
            (
                "config.toml",
                "# ports\nport = [1433, \"11000-11999\"]\nslow = \"250ms\"\npending = \"1m\"\n",
            ),
            ("conf.d/10-slow.toml", "slow = 300\nring-bytes = '4M'\n"),
            (
                "conf.d/20-slow.toml",
                "\n\nslow = '2s'\nevents = ['+phase', '-close']\n",
            ),
            ("conf.d/30.toml.old", "slow = 'nothing reads this'"),
        ],
    );
    let is = |values: &str, source: &str| (values.to_owned(), source.to_owned());
    assert_eq!(
        files.option(&[], "slow"),
        is("2s", "/conf.d/20-slow.toml:3")
    );
    assert_eq!(files.option(&["--slow=1s"], "slow"), is("1s", "--slow"));
    assert_eq!(
        files.option(&[], "port"),
        is("1433 11000-11999", "/config.toml:2")
    );
    assert_eq!(files.option(&["--port", "5"], "port"), is("5", "--port"));
    assert_eq!(
        files.option(&[], "events"),
        is("+phase,-close", "/conf.d/20-slow.toml:4")
    );
    assert_eq!(
        files.option(&[], "ring-bytes"),
        is("4M", "/conf.d/10-slow.toml:2")
    );
    assert_eq!(files.option(&[], "login-bytes"), is("16384", "default"));
    assert_eq!(files.option(&[], "output"), is("", "not set"));
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line_and_the_mend() {
    for (text, complaint) in [
        (
            "\nmax-flow = 100\n",
            "/config.toml:2: there is no `max-flow`; did you mean `max-flows`?",
        ),
        (
            "zebra = 1",
            "/config.toml:1: there is no `zebra`: `tds-tracer config show` has all names",
        ),
        ("run-id = 'ab'", "/config.toml:1: there is no `run-id`"),
        ("config = 'x'", "/config.toml:1: there is no `config`"),
        (
            "slow = 'soon'",
            "/config.toml:1: invalid value 'soon' for '--slow <TIME>': give a time such as 250ms or 2s",
        ),
        (
            "schema = 'xml'",
            "/config.toml:1: invalid value 'xml' for '--schema <SCHEMA>'",
        ),
        ("port = [1433, 0]", "/config.toml:1: invalid value '0'"),
        (
            "[run]\nport = 1433",
            "/config.toml:1: `run` is a table: give a text, a number, true, false, or a list of these",
        ),
        ("slow = 1\nslow = 2", "/config.toml:2: duplicate key"),
        ("slow = ", "/config.toml:1: "),
    ] {
        let files = Files::new("wrong", &[("config.toml", text)]);
        let told = files.typed(&[]).map(|_| ()).expect_err(text);
        assert!(told.starts_with(complaint), "{text}: {told}");
    }
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let files = Files::new("absent", &[]);
    assert!(
        files
            .typed(&[])
            .is_err_and(|told| told.starts_with("/config.toml: No such file"))
    );
}

#[test]
fn the_checked_in_schema_is_that_of_the_options() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json");
    let checked_in = fs::read_to_string(path).unwrap_or_default();
    let options = crate::cli::typed::run_of(&<crate::cli::Cli as clap::CommandFactory>::command());
    assert!(
        checked_in == schema(&options),
        "run `cargo xtask config-schema --write`"
    );
}

#[test]
fn the_template_is_right_whatever_of_it_is_set() {
    let options = crate::cli::typed::run_of(&<crate::cli::Cli as clap::CommandFactory>::command());
    let text = template(&options);
    let set = |line: &str| match line.strip_prefix('#') {
        Some(line) if line.starts_with(char::is_alphabetic) && !line.ends_with("...") => {
            line.to_owned()
        }
        _ => line.to_owned(),
    };
    let all: Vec<String> = text.lines().map(set).collect();
    let files = Files::new("template", &[("config.toml", &all.join("\n"))]);
    files.typed(&[]).map(drop).expect("right");
    assert!(
        all.iter().any(|line| line == "login-bytes = 16384"),
        "{text}"
    );
}
