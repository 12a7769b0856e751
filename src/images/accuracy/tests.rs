use super::*;
use crate::{
    event::Weights,
    model::{self, zoo::classes::IMAGENET},
};
use dataset::DatasetError;
use std::{
    fs,
    path::{Path, PathBuf},
};

const PHOTOGRAPH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/chelsea.jpg");

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn classes(dataset: &Dataset) -> Vec<(&str, usize)> {
    let mut classes: Vec<_> = dataset.samples.iter().map(|s| (s.name.as_str(), s.class)).collect();
    classes.sort_unstable();
    classes
}

#[test]
fn a_folder_a_class_needs_no_labels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["n02124075/b.JPEG", "n02124075/a.png", "n01440764/c.jpeg", "n01440764/notes.txt", ".cache/x.png"] {
        write(at(name), "");
    }
    let dataset = Dataset::open(folder.path(), None, &IMAGENET).unwrap();
    let expected = [("n01440764/c.jpeg", 0), ("n02124075/a.png", 285), ("n02124075/b.JPEG", 285)];
    assert_eq!(classes(&dataset), expected);
    assert_eq!(Dataset::open(folder.path(), None, &IMAGENET).unwrap(), dataset, "the order is the same each time");
    write(at("dogs/d.png"), "");
    let text = Dataset::open(folder.path(), None, &IMAGENET).unwrap_err().to_string();
    assert!(text.contains("'dogs' is no class"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Dataset::open(empty.path(), None, &IMAGENET), Err(DatasetError::Layout { .. })));
}

#[test]
fn a_file_of_labels_may_be_written_in_several_ways() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["val_1.JPEG", "val_2.JPEG", "val_3.JPEG", "val_4.JPEG"] {
        write(folder.path().join(name), "");
    }
    let labels = folder.path().join("labels.csv");
    let open = |text: &str| {
        fs::write(&labels, text).unwrap();
        Dataset::open(folder.path(), Some((&labels, text.as_bytes())), &IMAGENET)
    };
    let dataset =
        open("ImageId,PredictionString\nval_1,n02124075 12 1 499 272 \nval_2.JPEG 999\r\n\nval_9\t7\n").unwrap();
    assert_eq!(classes(&dataset), [("val_1.JPEG", 285), ("val_2.JPEG", 999), ("val_9", 7)]);
    assert_eq!(dataset.unlabelled, 2);
    for (text, line) in
        [("val_1 1000", ":1:"), ("val_1 3\nval_2", ":2:"), ("val_1 n99999999", ":1:"), ("490\n361\n", ":1:")]
    {
        let error = open(text).unwrap_err().to_string();
        assert!(error.contains(line) && error.contains("0 to 999"), "{error}");
    }
}

#[test]
fn labels_find_their_images_and_two_labels_of_one_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["val_1.JPEG", "val_2.JPEG", "val_3.JPEG"] {
        write(folder.path().join(name), "");
    }
    let open =
        |text: &str| Dataset::open(folder.path(), Some((Path::new("labels"), text.as_bytes())), &IMAGENET).unwrap();
    let expected = [("val_1.JPEG", 1), ("val_2.JPEG", 2), ("val_3.JPEG", 3)];
    for text in ["./val_1.JPEG 1\n./val_2.JPEG 2\n./val_3.JPEG 3", "C:\\val\\val_1.JPEG 1\nval/val_2.jpeg 2\nval_3 3"] {
        let dataset = open(text);
        assert_eq!((classes(&dataset), dataset.unlabelled), (expected.to_vec(), 0), "{text}");
    }
    let dataset = open("val_1 1\nval_2 2\nval_1.JPEG 1\n./val_2.JPEG 5\nval_3 3\n");
    assert_eq!(classes(&dataset), [expected[0], expected[2]], "of two classes neither is measured");
    let told: Vec<_> = dataset.doubled.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "val_1.JPEG is labelled in line 1 and in line 3, counted once",
            "val_2.JPEG is labelled in line 2 and in line 4, of different classes: left out",
        ]
    );
}

#[test]
fn folders_and_images_may_have_any_names() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = tempfile::tempdir().unwrap();
    for class in 0..1000 {
        let name = [b"class \xff ".as_slice(), format!("{class:04}").as_bytes()].concat();
        fs::create_dir(folder.path().join(OsStr::from_bytes(&name))).unwrap();
    }
    let image = folder.path().join(OsStr::from_bytes(b"class \xff 0285/cat \xfe.jpg"));
    write(image.clone(), "");
    let dataset = Dataset::open(folder.path(), None, &IMAGENET).unwrap();
    assert_eq!(classes(&dataset), [("class \\xff 0285/cat \\xfe.jpg", 285)]);
    assert_eq!(dataset.samples[0].path, image);
}

/// Three photographs whose labels are right, nearly right and wrong for this network, and one that is none.
fn labelled(folder: &Path, top: &[usize]) -> Dataset {
    for name in ["first.jpg", "second.jpg", "third.jpg"] {
        write(folder.join(name), fs::read(PHOTOGRAPH).unwrap());
    }
    write(folder.join("broken.jpg"), &fs::read(PHOTOGRAPH).unwrap()[..9000]);
    let other = (0..1000).find(|class| !top.contains(class)).unwrap();
    let labels = format!("first {}\nsecond {}\nthird {other}\nbroken 1\n", top[0], top[4]);
    write(folder.join("labels"), &labels);
    Dataset::open(folder, Some((Path::new("labels"), labels.as_bytes())), &IMAGENET).unwrap()
}

/// What an observer was told last.
#[derive(Default)]
struct Heard(Tally, usize);

impl Observer for Heard {
    fn progress(&mut self, tally: Tally, unreadable: usize) {
        *self = Self(tally, unreadable);
    }

    fn unreadable(&mut self, _: &ImageError) {}
}

#[test]
fn what_is_right_is_counted_and_an_interrupted_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let model = model::find("squeezenet1.1").unwrap();
    let predictor = Predictor::build(&model, "cpu", Precision::F32, None, true).unwrap();
    let input = crate::images::input(Path::new(PHOTOGRAPH), model.classifier().unwrap()).unwrap();
    let top = largest(&predictor.logits(&[input]).unwrap()[0], TOP);
    let dataset = labelled(folder.path(), &top);
    let file = folder.path().join("state/ledger.jsonl");
    let open = || Ledger::open(file.clone(), false, &dataset);
    let mut heard = Heard::default();
    let mut run = |stop: bool| measure(&predictor, &dataset, open(), 2, &AtomicBool::new(stop), &mut heard).unwrap();

    let stopped = run(true);
    assert!(!stopped.complete && stopped.accuracy.is_none());
    let whole = run(false);
    let accuracy = whole.accuracy.clone().unwrap();
    assert!(whole.complete);
    assert_eq!(accuracy.images, 3);
    assert!((accuracy.top1.percent - 100.0 / 3.0).abs() < 1e-9 && (accuracy.top5.percent - 200.0 / 3.0).abs() < 1e-9);
    let unreadable: Vec<_> = whole.unreadable.iter().map(ToString::to_string).collect();
    assert!(unreadable.len() == 1 && unreadable[0].contains("broken.jpg: truncated"), "{unreadable:?}");

    // The last line cut off, as a crash leaves it: that image is done again, the others are not.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text[..text.len() - 5]).unwrap();
    assert_eq!(open().tally().images, 2);
    assert_eq!(run(false).accuracy, Some(accuracy.clone()));
    let lines = fs::read_to_string(&file).unwrap().lines().count();
    assert_eq!(lines, 4, "one line was cut off and is still there");
    assert_eq!(Ledger::open(file, true, &dataset).tally(), Tally::default());

    assert_eq!((heard.0.images, heard.1), (3, 1), "all three, and the broken one");

    let figures = folder.path().join("state/accuracy.jsonl");
    let older = Accuracy { images: 9, weights: Weights::Seed { seed: 1 }, ..accuracy.clone() };
    let smaller = Accuracy { images: 1, ..accuracy.clone() };
    for figure in [&older, &accuracy, &smaller] {
        ledger::keep(&figures, figure).unwrap();
    }
    assert_eq!(ledger::kept(&figures), [accuracy], "of the newest weights the figure over the most images counts");
}

#[test]
fn a_batch_without_room_is_refused_with_another() {
    let vgg = model::find("vgg16").unwrap();
    let error = check_memory(&vgg, u32::MAX / 4096, Precision::F32).unwrap_err();
    assert!(error.to_string().ends_with(&format!("try --batch {}", error.fits)), "{error}");
    assert!(error.needed > error.available && error.fits < 1 << 20);
    assert_eq!(check_memory(&model::find("squeezenet1.1").unwrap(), 1, Precision::F32), Ok(()));
}
