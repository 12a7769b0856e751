//! The report as a reader gets it.

use super::{
    contents,
    document::{Block, Document, Judgement},
    html, markdown,
    source::Source,
    write::{ReportError, report},
};
use crate::{
    event::{Body, Event, Graph, Level},
    session::State,
    testing::demo::{self, Script},
};
use proptest::prelude::*;
use std::fs;

fn source(name: &str, events: &[Event]) -> Source {
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    Source::of(&std::path::PathBuf::from(format!("{name}.jsonl.zst")), state.into(), None).remove(0)
}

fn of(scripts: &[(&str, Script)]) -> Document {
    let sources: Vec<Source> = scripts.iter().map(|(name, script)| source(name, &script.events)).collect();
    contents::document(&sources)
}

/// Whether text is well-formed mark-up: every tag closed in its turn, attributes quoted, nothing bare that must not be.
/// Gives back the names of its elements.
fn well_formed(text: &str) -> Result<Vec<String>, String> {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let (mut open, mut names, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some(at) = rest.find('<') {
        let before = &rest[..at];
        if before.contains('>') && open.last().is_none_or(|last| last != "style") {
            return Err(format!("a bare > in {:.60}", before));
        }
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").ok_or("an open comment")?.1;
            continue;
        }
        let end = tag_end(rest)?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default().to_owned();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
            return Err(format!("no tag: <{tag:.40}>"));
        }
        if tag.starts_with('/') {
            let last = open.pop();
            if last.as_ref() != Some(&name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
        } else {
            names.push(name.clone());
            if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        }
    }
    if rest.contains('>') {
        return Err(format!("a bare > in {rest:.60}"));
    }
    if open.is_empty() { Ok(names) } else { Err(format!("left open: {open:?}")) }
}

/// Where a tag ends: at the first > outside of quotes.
fn tag_end(text: &str) -> Result<usize, String> {
    let mut quoted = false;
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return Ok(i),
            '<' => return Err(format!("a < in a tag: {:.60}", text)),
            _ => {}
        }
    }
    Err("an open tag".to_owned())
}

#[test]
fn what_is_not_well_formed_is_found() {
    for bad in ["<a><b></a></b>", "<a>", "a > b", "<a b=\"<\">", "< 3", "<a/></a>"] {
        assert!(well_formed(bad).is_err(), "{bad}");
    }
    assert_eq!(well_formed("<!DOCTYPE html><a b=\"x\"><!-- < --><c/>&lt;</a>").unwrap(), ["!DOCTYPE", "a", "c"]);
}

#[test]
fn the_report_of_a_session() {
    let document = of(&[("demo", demo::zoo())]);
    insta::assert_snapshot!(markdown::render(&document));
    let numbers: Vec<u8> = document.figures().map(|f| f.number).collect();
    assert_eq!(numbers[..10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for figure in document.figures() {
        let svg = figure.panels[0].drawing.as_ref().unwrap();
        let names = well_formed(svg).unwrap();
        assert!(names.iter().filter(|n| ["circle", "rect"].contains(&n.as_str())).count() >= 6, "{}", figure.number);
    }
    assert!(well_formed(&html::render(&document)).unwrap().contains(&"figcaption".to_owned()));
}

#[test]
fn without_power_the_figures_of_power_say_why_in_their_place() {
    let document = of(&[("demo", demo::no_power())]);
    let undrawn: Vec<(u8, String)> =
        document.figures().filter_map(|f| Some((f.number, f.panels[0].drawing.clone().err()?))).collect();
    assert_eq!(undrawn.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [4, 8], "{undrawn:?}");
    assert!(undrawn.iter().all(|(_, why)| why.contains("root only since CVE-2020-8694")), "{undrawn:?}");
    let page = html::render(&document);
    assert!(page.contains("Not drawn: no power sensor") && well_formed(&page).is_ok());
}

#[test]
fn two_sessions_stand_side_by_side() {
    let slower = {
        let mut script = Script::gpu(3.0);
        script.facts();
        let profile = demo::Profile { ms: 10.0, watts: 300.0, percent: 80.0 };
        script.measure(&demo::f16("resnet50", 32), profile, 3.0);
        script
    };
    let document = of(&[("fast", demo::zoo()), ("slow", slower)]);
    let text = markdown::render(&document);
    assert!(text.contains("A: fast: NVIDIA H100 80GB HBM3, f16; B: slow: NVIDIA H100 80GB HBM3, f16"), "{text}");
    assert!(text.contains("(median of 1 shared configuration"), "{text}");
    let time = document.figures().find(|f| f.number == 3).unwrap();
    assert_eq!((time.panels.len(), time.file(1).as_str()), (2, "figure-03b.svg"));
    assert!(text.contains("![Inference time an image against batch size](figures/figure-03b.svg)"));
}

#[test]
fn whether_graphs_were_replayed_is_a_column_where_there_are_any() {
    let mut script = Script::gpu(3.0);
    script.facts();
    for (run, used, why) in [(1, true, "exact, 1.8 times as fast"), (2, false, "not faster")] {
        let profile = demo::Profile { ms: 10.0, watts: 300.0, percent: 80.0 };
        script.measure(&demo::f16("resnet50", 1 << run), profile, 3.0);
        script.say(Body::Graph(Graph { run, used, why: why.to_owned(), eager_ns: None, replay_ns: None }));
    }
    let text = markdown::render(&of(&[("graphs", script)]));
    for part in ["| graph |", "| replayed |", "| no \\[", "not faster"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!markdown::render(&of(&[("cpu", demo::no_power())])).contains("| graph |"));
}

#[test]
fn nothing_measured_is_a_report_that_says_so() {
    let document = of(&[("empty", Script::gpu(0.1))]);
    assert!(document.figures().all(|f| f.panels.iter().all(|p| p.drawing.is_err())));
    assert!(well_formed(&html::render(&document)).is_ok());
}

#[test]
fn layers_that_were_measured_stand_in_it_and_otherwise_nothing_does() {
    let text = markdown::render(&of(&[("demo", demo::layered())]));
    assert!(text.contains("Where a batch of 32 goes: ResNet-50, f16 on NVIDIA H100 80GB HBM3"), "{text}");
    assert!(text.contains("conv + batch norm + relu 64 × 7×7 /2") && text.contains("probe of a memory copy"), "{text}");
    assert!(!markdown::render(&of(&[("demo", demo::live())])).contains("Where the time goes"));
}

#[test]
fn verdicts_keep_their_words() {
    let document = of(&[("demo", demo::zoo())]);
    let verdicts = document.sections[0].blocks.iter().filter_map(|b| match b {
        Block::Verdict(v) => Some((v.number, v.judgement)),
        _ => None,
    });
    let verdicts: Vec<_> = verdicts.collect();
    assert_eq!(verdicts.len(), 4);
    assert_eq!(verdicts[0], (1, Judgement::Contradicted), "220 to 650 W");
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let sources = [source("demo", &demo::no_power().events)];
    let out = dir.path().join("out");
    let written = report(&sources, &out, false).unwrap();
    assert!(written.html.exists() && out.join("figures/figure-01.svg").exists());
    fs::write(out.join("figures/figure-99.svg"), "old").unwrap();
    report(&sources, &out, false).unwrap();
    assert!(!out.join("figures/figure-99.svg").exists(), "an earlier report is replaced, not mixed with");
    let error = report(&sources, dir.path(), false).unwrap_err();
    assert!(matches!(error, ReportError::Foreign { .. }), "{error}");
    assert!(report(&sources, dir.path(), true).is_ok());
    let error = report(&[source("empty", &Script::gpu(0.1).events)], &out, true).unwrap_err();
    assert!(matches!(error, ReportError::Empty { .. }), "{error}");
}

/// A session whose every text is `text`.
fn named(text: &str) -> Script {
    let mut script = demo::no_power();
    script.layers(&demo::config("alexnet", 4, crate::event::Precision::F32, "cpu"));
    for event in &mut script.events {
        match &mut event.body {
            Body::Bandwidth { how, .. } => text.clone_into(how),
            Body::Layers(layers) => layers.layers.iter_mut().for_each(|layer| {
                text.clone_into(&mut layer.kind);
                text.clone_into(&mut layer.detail);
            }),
            Body::Header(header) => {
                for field in [&mut header.host, &mut header.os, &mut header.cpu, &mut header.started, &mut header.burn]
                {
                    text.clone_into(field);
                }
                header.command = vec![text.to_owned(); 2];
            }
            Body::Devices { devices } => devices.iter_mut().for_each(|d| text.clone_into(&mut d.title)),
            Body::Network(facts) => {
                text.clone_into(&mut facts.title);
                text.clone_into(&mut facts.accuracy_source);
            }
            Body::Sensors { sensors } => sensors.iter_mut().for_each(|s| {
                text.clone_into(&mut s.label);
                s.method = Some(text.to_owned());
                s.absent = s.absent.as_ref().map(|_| text.to_owned());
            }),
            _ => {}
        }
    }
    script.say(Body::Notice { level: Level::Error, text: text.to_owned() });
    script.out_of_memory(&demo::config(text, 512, crate::event::Precision::F32, "cpu"));
    script
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_text_of_a_session_becomes_mark_up(
        text in prop_oneof![
            Just("<script>alert(1)</script>".to_owned()),
            Just("\"><img src=x onerror=alert(1)>".to_owned()),
            Just("$\\frac{a}{b}$ ]]> -->\u{0}\u{1b}[31m &amp; 'x' | a | `b` **c**".to_owned()),
            "\\PC{0,40}",
            "[<>&\"'`$\\\\|\\[\\]{}\\-]{1,20}",
        ],
    ) {
        let document = of(&[("hostile", named(&text))]);
        let page = html::render(&document);
        let names = well_formed(&page).map_err(TestCaseError::fail)?;
        for figure in document.figures() {
            for panel in &figure.panels {
                if let Ok(svg) = &panel.drawing {
                    well_formed(svg).map_err(TestCaseError::fail)?;
                    prop_assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
                }
            }
        }
        prop_assert!(!names.iter().any(|n| ["script", "img", "iframe", "object"].contains(&n.as_str())));
        let text = markdown::render(&document);
        prop_assert!(!text.contains('<'), "{text}");
    }
}
