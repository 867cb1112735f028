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
