//! Where output goes that can't be written, or is no plain file: full and closed streams, full disks, links, pipes and names
//! that are not UTF-8.

// Tests may panic: that is how they fail. clippy.toml knows test functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A short measurement.
const RUN: &str = "run --network squeezenet1.1 --device cpu --seconds 0.1";

fn wattscope(line: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
    command.args(line.split_whitespace()).current_dir(folder).env("XDG_STATE_HOME", folder.join("state"));
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe whose reader has left.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A recording of the first edition.
fn recording() -> PathBuf {
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")).unwrap();
    let mut files: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".jsonl.zst"));
    files.sort();
    files.remove(0)
}

#[test]
fn results_that_cannot_be_printed_are_a_failure_that_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["networks", "completions zsh", "--help", "man"] {
        let output = wattscope(line, folder.path()).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        let said = stderr(&output);
        assert!(said.starts_with("error: ") && said.contains("No space left") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_reader_that_has_left_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let export = |stdout: Stdio| {
        let mut command = wattscope("export --table samples", folder.path());
        command.arg(recording()).stdout(stdout).output().unwrap()
    };
    let output = export(closed());
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(export(full().into()).status.code(), Some(1));
}

#[test]
fn a_measurement_goes_on_whatever_becomes_of_its_streams() {
    let folder = tempfile::tempdir().unwrap();
    // One of the batches does not fit, which is said on the way.
    let line = format!("{RUN} --batch 4000,1 --memory-limit 1GiB --json --record");
    for (number, (stdout, stderr, code)) in
        [(closed(), Stdio::from(full()), 1), (closed(), closed(), 1), (Stdio::from(full()), closed(), 1)]
            .into_iter()
            .enumerate()
    {
        let file = format!("r{number}.jsonl");
        let status = wattscope(&line, folder.path()).arg(&file).stdout(stdout).stderr(stderr).status().unwrap();
        assert_eq!(status.code(), Some(code), "no signal, and no panic");
        let recorded = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(recorded.contains("\"phase\":\"steady\"") || recorded.contains("steady"), "the second was measured");
    }
    let status = wattscope(RUN, folder.path()).stdout(closed()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0), "all was measured, and nobody wanted to see it");
    let status = wattscope("run --network nonsense", folder.path()).stdout(closed()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_table_goes_through_a_link_and_into_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let export = |to: &Path| {
        let output = wattscope("export --format csv -o", folder.path()).arg(to).arg(recording()).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::create_dir(at("elsewhere")).unwrap();
    fs::write(at("elsewhere/there.csv"), "old").unwrap();
    fs::write(at("elsewhere/there.csv.part"), "somebody else's").unwrap();
    symlink("elsewhere/there.csv", at("link.csv")).unwrap();
    export(&at("link.csv"));
    assert!(fs::symlink_metadata(at("link.csv")).unwrap().is_symlink());
    let table = fs::read_to_string(at("elsewhere/there.csv")).unwrap();
    assert!(table.lines().count() > 1 && table.starts_with("run"), "{table}");
    assert_eq!(fs::read_to_string(at("elsewhere/there.csv.part")).unwrap(), "somebody else's");
    assert_eq!(export(Path::new("/dev/stdout")), table);

    let fifo = at("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || {
            let mut text = String::new();
            File::open(fifo).unwrap().read_to_string(&mut text).unwrap();
            text
        }
    });
    export(&fifo);
    assert_eq!(reader.join().unwrap(), table);

    // What comes before and after in the same file stays.
    let mut all = File::create(at("all.csv")).unwrap();
    std::io::Write::write_all(&mut all, b"before\n").unwrap();
    let mut command = wattscope("export --format csv -o /dev/stdout", folder.path());
    assert!(command.arg(recording()).stdout(all).status().unwrap().success());
    assert_eq!(fs::read_to_string(at("all.csv")).unwrap(), format!("before\n{table}"));
}

#[test]
fn tables_are_compressed_as_their_names_say_and_unknown_endings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let export = |name: &str| wattscope("export -o", folder.path()).arg(name).arg(recording()).output().unwrap();
    for name in ["plain.csv", "x.csv.gz", "x.csv.zst"] {
        assert!(export(name).status.success(), "{name}");
    }
    let plain = fs::read_to_string(folder.path().join("plain.csv")).unwrap();
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&bytes("x.csv.gz")[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert_eq!(zstd::decode_all(&bytes("x.csv.zst")[..]).unwrap(), plain.as_bytes());
    for name in ["x.xlsx", "x.csv.xz", "x.gz", "x.parquet.gz"] {
        let output = export(name);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(".csv, .json, .parquet, .csv.gz"), "{}", stderr(&output));
        assert!(!folder.path().join(name).exists());
    }
}

#[test]
fn a_sweep_that_begins_anew_keeps_the_link_to_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("there.jsonl"), "something else").unwrap();
    symlink("there.jsonl", at("link.jsonl")).unwrap();
    let line =
        "sweep --networks squeezenet1.1 --batches 1 --repeat 1 --seconds 0.1 --cooldown 0 --device cpu -o link.jsonl";
    assert_eq!(wattscope(line, folder.path()).output().unwrap().status.code(), Some(2));
    let output = wattscope(&format!("{line} --force"), folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::symlink_metadata(at("link.jsonl")).unwrap().is_symlink());
    assert!(fs::read_to_string(at("there.jsonl")).unwrap().contains("squeezenet1.1"));
}

#[test]
fn any_name_of_a_file_works() {
    let folder = tempfile::tempdir().unwrap();
    let name = |bytes: &[u8]| folder.path().join(OsStr::from_bytes(bytes));
    let output = wattscope(RUN, folder.path()).arg("--record").arg(name(b"r\xff.jsonl")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let mut command = wattscope("export -o", folder.path());
    let output = command.arg(name(b"t\xff.csv")).arg(name(b"r\xff.jsonl")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::read_to_string(name(b"t\xff.csv")).unwrap().contains("squeezenet1.1"));
    let photograph = name(b"cat\xff.jpg");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/chelsea.jpg"), &photograph).unwrap();
    let mut command = wattscope("infer squeezenet1.1 --device cpu --logits", folder.path());
    let output = command.arg(name(b"l\xff.safetensors")).arg("--image").arg(photograph).output().unwrap();
    assert!(output.status.success() && name(b"l\xff.safetensors").exists(), "{}", stderr(&output));
}

/// Runs a shell script with a file system of 64 kB at `./small`, which only root can mount; none where that is not allowed.
fn with_a_small_disk(script: &str, folder: &Path) -> Option<Output> {
    fs::create_dir_all(folder.join("small")).unwrap();
    let mount = "mount -t tmpfs -o size=64k small small";
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).current_dir(folder);
        command.env("XDG_STATE_HOME", folder.join("state")).env("WATTSCOPE", env!("CARGO_BIN_EXE_wattscope"));
        command.env_remove("RUST_BACKTRACE").output()
    };
    match shell(mount) {
        Ok(output) if output.status.success() => Some(shell(&format!("{mount} && {script}")).unwrap()),
        _ => {
            eprintln!("NOT TESTED: a full disk, which needs root, to mount one");
            None
        }
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "\"$WATTSCOPE\" run --network squeezenet1.1 --device cpu --batch 1,2 --seconds 3 --record small/r.jsonl";
    let Some(output) = with_a_small_disk(script, folder.path()) else { return };
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = table.lines().filter(|line| line.starts_with("squeezenet1.1 ") && line.contains("cpu")).count();
    assert_eq!(rows, 2, "{table}\n{}", stderr(&output));
    assert!(stderr(&output).trim_end().ends_with("what was recorded until then is in it"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_full_disk_is_left_without_half_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/chelsea.jpg");
    let images = format!("{0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0} {0}", image.display());
    let line = format!("\"$WATTSCOPE\" infer squeezenet1.1 --device cpu --logits small/l.safetensors --image {images}");
    let script = format!("echo old > small/l.safetensors; {line}; code=$?; ls -A small; cat small/*; exit $code");
    let Some(output) = with_a_small_disk(&script, folder.path()) else { return };
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("l.safetensors\nold\n"));
}
