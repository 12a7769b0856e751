//! Labelled images: ImageNet's validation layout, a folder a class, or one folder and a file of labels.

use super::labels::{self, Label};
use crate::model::classifier::Classes;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{OsStr, OsString},
    fmt::{self, Write},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Endings of the files that are taken for images in a folder of images.
const ENDINGS: [&str; 4] = ["jpeg", "jpg", "png", "webp"];

/// An image and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its path below the data set's folder, by which a resumed run knows it. Bytes that are no UTF-8 are written `\xff`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Its class, an index of the network's outputs.
    pub class: usize,
}

/// Labelled images in an order that has nothing to do with their classes, and is the same each time: any beginning of it
/// is a fair sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// The images.
    pub samples: Vec<Sample>,
    /// Images of the folder without a label, which are left out.
    pub unlabelled: usize,
    /// Images with several labels.
    pub doubled: Vec<Doubled>,
}

/// An image that has two labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubled {
    /// The image.
    pub name: String,
    /// The lines of the labels, from 1.
    pub lines: (usize, usize),
    /// Whether both name the same class: it is measured then, and otherwise left out.
    pub agree: bool,
}

impl fmt::Display for Doubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, lines: (first, second), agree } = self;
        let consequence = if *agree { "counted once" } else { "of different classes: left out" };
        write!(f, "{name} is labelled in line {first} and in line {second}, {consequence}")
    }
}

/// A folder that is no data set.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// It can't be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// What can't be read.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// No images where they should be.
    #[error(
        "{}: neither folders called as ImageNet's classes are (n01440764 …) nor {classes} others; images in one folder need \
         --labels FILE",
        path.display()
    )]
    Layout {
        /// The data set.
        path: PathBuf,
        /// How many classes there are.
        classes: usize,
    },
    /// A folder of images of no class.
    #[error("{}: '{name}' is no class of ImageNet, and not one of {classes} folders", path.display())]
    Class {
        /// The data set.
        path: PathBuf,
        /// The folder.
        name: String,
        /// How many classes there are.
        classes: usize,
    },
    /// A line of the label file that says nothing.
    #[error(
        "{}:{line}: '{text}': a line is the name of an image and its class, as an index from 0 to {} or as n01440764",
        path.display(), classes - 1
    )]
    Label {
        /// The label file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// How many classes there are.
        classes: usize,
    },
    /// A label file without a label of an image.
    #[error("{}: no labels of images", .0.display())]
    NoLabels(PathBuf),
    /// Nothing to measure.
    #[error("{}: no images", .0.display())]
    Empty(PathBuf),
}

impl Dataset {
    /// The images below `folder`, with those of `classes` that its folders or `labels` say: the name of a file and what it
    /// holds.
    ///
    /// # Errors
    /// Where a folder can't be read, the label file makes no sense, or there are no images.
    pub fn open(folder: &Path, labels: Option<(&Path, &[u8])>, classes: &Classes) -> Result<Self, DatasetError> {
        let mut dataset = match labels {
            Some(labels) => labelled(folder, labels, classes)?,
            None => Self { samples: folders(folder, classes)?, ..Self::default() },
        };
        if dataset.samples.is_empty() {
            return Err(match labels {
                Some((file, _)) => DatasetError::NoLabels(file.to_owned()),
                None => DatasetError::Empty(folder.to_owned()),
            });
        }
        dataset.samples.sort_by_cached_key(|sample| <[u8; 32]>::from(Sha256::digest(&sample.name)));
        Ok(dataset)
    }
}

/// Names of what is in a folder, in order; hidden ones left out.
fn names(folder: &Path) -> Result<Vec<OsString>, DatasetError> {
    let failed = |error| DatasetError::Io { path: folder.to_owned(), error };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !name.as_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_image(name: &OsStr) -> bool {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// A path as text that tells any two names apart.
fn text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text += chunk.valid();
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// `DIR/<synset>/*`; 1000 folders with other names are the classes in their order, as torchvision's `ImageFolder` has it.
fn folders(folder: &Path, classes: &Classes) -> Result<Vec<Sample>, DatasetError> {
    let index = |name: &OsStr| name.to_str().and_then(|name| classes.index(name));
    let mut found: Vec<_> = names(folder)?.into_iter().filter(|name| folder.join(name).is_dir()).collect();
    let all = found.len() == classes.len();
    if !all && !found.iter().any(|name| index(name).is_some()) {
        return Err(DatasetError::Layout { path: folder.to_owned(), classes: classes.len() });
    }
    let mut samples = Vec::new();
    for (place, name) in found.drain(..).enumerate() {
        let unknown =
            || DatasetError::Class { path: folder.to_owned(), name: text(Path::new(&name)), classes: classes.len() };
        let class = index(&name).or(all.then_some(place)).ok_or_else(unknown)?;
        let inside = folder.join(&name);
        let images = names(&inside)?.into_iter().filter(|image| is_image(image));
        samples.extend(images.map(|image| Sample {
            name: text(&Path::new(&name).join(&image)),
            path: inside.join(&image),
            class,
        }));
    }
    Ok(samples)
}

/// One folder, and labels of its images.
fn labelled(folder: &Path, (path, labels): (&Path, &[u8]), classes: &Classes) -> Result<Dataset, DatasetError> {
    let wrong = |(line, text)| DatasetError::Label { path: path.to_owned(), line, text, classes: classes.len() };
    let labels = labels::parse(labels, classes).map_err(wrong)?;
    let images: Vec<OsString> = names(folder)?.into_iter().filter(|name| is_image(name)).collect();
    let names = Names::of(folder, &images);
    let mut unlabelled: HashSet<&OsStr> = images.iter().map(OsString::as_os_str).collect();
    let mut by_name: BTreeMap<OsString, (Label, bool)> = BTreeMap::new();
    let mut doubled = Vec::new();
    for label in labels {
        let name = names.file(&label.image);
        unlabelled.remove(name.as_os_str());
        match by_name.get_mut(&name) {
            None => _ = by_name.insert(name, (label, true)),
            Some((first, agree)) => {
                let (name, lines) = (text(Path::new(&name)), (first.line, label.line));
                doubled.push(Doubled { name, lines, agree: first.class == label.class });
                *agree &= first.class == label.class;
            }
        }
    }
    let sample = |(name, (label, _)): (OsString, (Label, bool))| Sample {
        path: folder.join(&name),
        name: text(Path::new(&name)),
        class: label.class,
    };
    let samples = by_name.into_iter().filter(|(_, (_, agree))| *agree).map(sample).collect();
    Ok(Dataset { samples, unlabelled: unlabelled.len(), doubled })
}

/// The images of a folder by the names that labels have for them.
struct Names<'a> {
    folder: &'a Path,
    images: HashSet<&'a OsStr>,
    by_stem: HashMap<&'a OsStr, &'a OsStr>,
}

impl<'a> Names<'a> {
    fn of(folder: &'a Path, images: &'a [OsString]) -> Self {
        let stem = |name: &'a OsString| Some((Path::new(name).file_stem()?, name.as_os_str()));
        Self {
            folder,
            images: images.iter().map(OsString::as_os_str).collect(),
            by_stem: images.iter().filter_map(stem).collect(),
        }
    }

    /// The file of an image that is named with or without its ending, and with or without folders before its name. One that
    /// is not there is found out when it is read, and listed then.
    fn file(&self, name: &OsStr) -> OsString {
        if self.images.contains(name) || self.folder.join(name).is_file() {
            return name.to_owned();
        }
        let base = labels::base(name);
        let stem = || if is_image(base) { Path::new(base).file_stem() } else { Some(base) };
        match self.images.get(base).or_else(|| self.by_stem.get(stem()?)) {
            Some(file) => (*file).to_owned(),
            None => name.to_owned(),
        }
    }
}
