//! The program: its line on standard output, and its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::KEYS;

#[test]
fn it_says_where_it_listens_in_one_line_and_stops_when_told() {
    for signal in ["-TERM", "-INT"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_payby-sim"))
            .args(["--listen", "127.0.0.1:0", "--log-format", "json", "--public-url", "https://pay.example/sim/"])
            .arg("--keys")
            .arg(KEYS.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(program.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.strip_prefix("payby-sim is listening on http://127.0.0.1:").unwrap().trim_end();
        assert_ne!(port.parse::<u16>().unwrap(), 0);

        let told = Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", signal, &program.id().to_string()]).status();
        assert!(told.unwrap().success());
        assert!(program.wait().unwrap().success(), "{signal}");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line is all");
    }
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (option, value, said) in [
        ("--public-url", "pay.example", "the public URL \"pay.example\" is not a URL"),
        ("--public-url", "ftp://pay.example", "should be like https://payby.example"),
        ("--keys", "/dev/null/keys", "cannot make the directory /dev/null/keys"),
        ("--listen", &taken, "cannot listen on 127.0.0.1:"),
        ("--faults", "/dev/null/faults", "cannot read /dev/null/faults"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payby-sim"));
        if option != "--keys" {
            command.arg("--keys").arg(KEYS.path());
        }
        if option != "--listen" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args([option, value]).output().unwrap();
        assert!(!output.status.success());
        assert_eq!(output.stdout, b"");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{error}");
    }
}

/// Runs `certify` against a merchant that is not there, with more options.
fn certify(options: &[&str], api_key: Option<&str>) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_payby-sim"));
    command.args(["certify", "--listen", "127.0.0.1:0", "--merchant", "http://127.0.0.1:1", "--keys"]).arg(KEYS.path());
    command.args(options).env_remove("PAYBY_SIM_API_KEY");
    if let Some(key) = api_key {
        command.env("PAYBY_SIM_API_KEY", key);
    }
    command.output().unwrap()
}

#[test]
fn certify_ends_with_its_report_and_a_status_by_the_result() {
    let output = certify(&["--only", "001,009", "--json", "--wait", "0"], Some("hush"));
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["passed"], report["cases"].as_array().unwrap().len()), (&false.into(), 2));
    let seen = report["cases"][1]["trials"][0]["findings"][0]["seen"].as_str().unwrap();
    assert!(seen.starts_with("the merchant did not answer"), "{seen}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hush"));

    let output = certify(&["--only", "009", "--wait", "0s"], Some("hush"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("009 ") && table.ends_with("\n0 of 1 cases passed\n"), "{table}");
}

#[test]
fn what_keeps_certify_from_running_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trigger.toml");
    std::fs::write(&file, "[all]\n").unwrap();
    for (options, code, said) in [
        (&[][..], 2, "--api-key <KEY>"),
        (&["--only", "010", "--api-key", "x"], 2, "there is no case \"010\""),
        (&["--wait", "soon", "--api-key", "x"], 2, "a time is like 30s or 2m"),
        (&["--wait", "1s", "--api-key", "x"], 1, "cannot be reached at http://127.0.0.1:1 within 1 s: "),
        (&["--trigger", "/dev/null/trigger"], 1, "cannot read /dev/null/trigger"),
        (&["--trigger", file.to_str().unwrap()], 1, "missing field `url`"),
    ] {
        let output = certify(options, None);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && error.contains(said), "{options:?} {error}");
        assert!(output.stdout.is_empty(), "there is no report");
    }
}
