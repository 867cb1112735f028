//! The key files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use payby_checkout::gateway::signature::{SigningKey, VerifyingKey};
use payby_sim::keys::Keys;

use crate::support::key_file;

const FILES: [(&str, u32); 4] = [
    ("merchant_private.pem", 0o600),
    ("merchant_public.pem", 0o644),
    ("payby_private.pem", 0o600),
    ("payby_public.pem", 0o644),
];

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(directory: &Path, files: &[&str]) {
    for name in files {
        std::fs::write(directory.join(name), key_file(name)).unwrap();
    }
}

#[test]
fn missing_files_are_made_private_ones_for_their_owner_only_and_are_then_kept() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("new/keys");
    Keys::open(&directory).unwrap();
    assert_eq!(names(&directory), FILES.map(|(name, _)| name));
    let read = || FILES.map(|(name, _)| std::fs::read(directory.join(name)).unwrap());
    for (name, mode) in FILES {
        let found = std::fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found & !mode, 0, "{name} is {found:o}");
    }
    let made = read();
    Keys::open(&directory).unwrap();
    assert_eq!(read(), made);
}

#[test]
fn several_simulators_that_start_at_once_agree_on_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Keys::open(directory.path()).unwrap());
        }
    });
    assert_eq!(names(directory.path()), FILES.map(|(name, _)| name));
}

#[test]
fn the_merchants_public_key_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    copy(directory.path(), &["merchant_public.pem"]);
    Keys::open(directory.path()).unwrap();
    assert_eq!(names(directory.path()), ["merchant_public.pem", "payby_private.pem", "payby_public.pem"]);
}

#[test]
fn a_public_key_is_taken_from_its_private_one() {
    let directory = tempfile::tempdir().unwrap();
    copy(directory.path(), &["merchant_private.pem", "payby_private.pem"]);
    Keys::open(directory.path()).unwrap();
    for (name, _) in FILES {
        assert_eq!(std::fs::read_to_string(directory.path().join(name)).unwrap(), key_file(name), "{name}");
    }
}

#[test]
fn what_is_wrong_is_said_with_the_files_name() {
    let (_, other_public) = SigningKey::generate_pem().unwrap();
    VerifyingKey::from_pem(&other_public).unwrap();
    for (files, name, text, said) in [
        (
            &["merchant_private.pem"][..],
            "merchant_public.pem",
            other_public.clone(),
            "merchant_public.pem is not the public key of ",
        ),
        (
            &["payby_private.pem"],
            "payby_public.pem",
            other_public.clone(),
            "payby_public.pem is not the public key of ",
        ),
        (&[], "payby_public.pem", other_public.clone(), "payby_private.pem is missing beside payby_public.pem"),
        (&[], "merchant_public.pem", "hello".to_owned(), "merchant_public.pem: not a PEM file"),
        (&[], "payby_private.pem", other_public, "payby_private.pem: the PEM file holds \"PUBLIC KEY\""),
    ] {
        let directory = tempfile::tempdir().unwrap();
        copy(directory.path(), files);
        std::fs::write(directory.path().join(name), text).unwrap();
        let error = format!("{:#}", Keys::open(directory.path()).unwrap_err());
        assert!(error.contains(said), "{error}");
    }
}
