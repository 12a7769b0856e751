//! Labelled images: ImageNet's validation layout, a folder a class, or one folder and a file of labels.

use crate::model::classifier::Classes;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Endings of the files that are taken for images in a folder of images.
const ENDINGS: [&str; 4] = ["jpeg", "jpg", "png", "webp"];

/// An image and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its path below the data set's folder, by which a resumed run knows it.
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
    /// Nothing to measure.
    #[error("{}: no images", .0.display())]
    Empty(PathBuf),
}

impl Dataset {
    /// The images below `folder`, with those of `classes` that its folders or `labels` say.
    ///
    /// # Errors
    /// Where a folder or the label file can't be read or makes no sense, or there are no images.
    pub fn open(folder: &Path, labels: Option<&Path>, classes: &Classes) -> Result<Self, DatasetError> {
        let mut dataset = match labels {
            Some(labels) => labelled(folder, labels, classes)?,
            None => Self { samples: folders(folder, classes)?, unlabelled: 0 },
        };
        if dataset.samples.is_empty() {
            return Err(DatasetError::Empty(folder.to_owned()));
        }
        dataset.samples.sort_by_cached_key(|sample| <[u8; 32]>::from(Sha256::digest(&sample.name)));
        Ok(dataset)
    }
}

/// Names of what is in a folder, in order; hidden ones left out.
fn names(folder: &Path) -> Result<Vec<String>, DatasetError> {
    let failed = |error| DatasetError::Io { path: folder.to_owned(), error };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_image(name: &str) -> bool {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// `DIR/<synset>/*`; 1000 folders with other names are the classes in their order, as torchvision's `ImageFolder` has it.
fn folders(folder: &Path, classes: &Classes) -> Result<Vec<Sample>, DatasetError> {
    let mut found: Vec<_> = names(folder)?.into_iter().filter(|name| folder.join(name).is_dir()).collect();
    let all = found.len() == classes.len();
    if !all && !found.iter().any(|name| classes.index(name).is_some()) {
        return Err(DatasetError::Layout { path: folder.to_owned(), classes: classes.len() });
    }
    let mut samples = Vec::new();
    for (place, name) in found.drain(..).enumerate() {
        let unknown = || DatasetError::Class { path: folder.to_owned(), name: name.clone(), classes: classes.len() };
        let class = classes.index(&name).or(all.then_some(place)).ok_or_else(unknown)?;
        let inside = folder.join(&name);
        let images = names(&inside)?.into_iter().filter(|image| is_image(image));
        samples.extend(images.map(|image| Sample {
            name: format!("{name}/{image}"),
            path: inside.join(&image),
            class,
        }));
    }
    Ok(samples)
}

/// One folder, and a line an image: its name, with or without its ending, and its class; separated by space or comma.
fn labelled(folder: &Path, labels: &Path, classes: &Classes) -> Result<Dataset, DatasetError> {
    let text = fs::read_to_string(labels).map_err(|error| DatasetError::Io { path: labels.to_owned(), error })?;
    let images: Vec<String> = names(folder)?.into_iter().filter(|name| is_image(name)).collect();
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let by_stem: HashMap<String, &String> = images.iter().filter_map(|name| Some((stem(name)?, name))).collect();
    let mut unlabelled: HashSet<&String> = images.iter().collect();
    let mut samples = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // The head of Kaggle's table of the same labels.
        if line.trim().is_empty() || number == 0 && line.starts_with("ImageId,") {
            continue;
        }
        let wrong = || DatasetError::Label {
            path: labels.to_owned(),
            line: number + 1,
            text: line.to_owned(),
            classes: classes.len(),
        };
        let (name, class) = label(line, classes).ok_or_else(wrong)?;
        // A file that is not there is met when it is read, and listed then.
        let name =
            if is_image(name) { name.to_owned() } else { by_stem.get(name).map_or(name, |name| name).to_owned() };
        unlabelled.remove(&name);
        samples.push(Sample { path: folder.join(&name), name, class });
    }
    Ok(Dataset { samples, unlabelled: unlabelled.len() })
}

fn label<'a>(line: &'a str, classes: &Classes) -> Option<(&'a str, usize)> {
    let mut fields = line.split([',', ' ', '\t']).filter(|field| !field.is_empty());
    let (name, class) = (fields.next()?, fields.next()?.trim());
    let index = class.parse().ok().filter(|index| *index < classes.len());
    Some((name, index.or_else(|| classes.index(class))?))
}
