//! NVIDIA cards through NVML, `libnvidia-ml.so.1`, which is loaded at run time: without it the host has no such sensors.
//!
//! This file loads the library, finds the cards, and finds them again after they were lost; `card` reads one card,
//! `facts` says what a card is and who else uses it.

mod card;
mod facts;

use crate::{
    event::{Nanos, Quantity},
    telemetry::{CudaDevice, Draft, EnginePid, Opened, Options, Outlet, Source},
};
use card::Card;
use facts::Ours;
use nvml_wrapper::{Nvml as Library, error::NvmlError};
use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// The library's name where none is given.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The NVML source: all cards of the host that matter to the session.
pub struct Nvml {
    path: OsString,
    cuda: Vec<CudaDevice>,
    engine: EnginePid,
    proc: PathBuf,
    retry: Nanos,
    library: Option<Library>,
    slots: Vec<Slot>,
    retry_at: Nanos,
}

/// A place for a card, which is empty while the card is lost.
struct Slot {
    device: String,
    place: Place,
    card: Option<Card>,
}

/// How a card is found again. Indices may change when a driver is loaded anew.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Uuid(String),
    Index(u32),
}

/// Why there is no card to read.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0} not found")]
    NoLibrary(String),
    #[error("{library} can't be loaded: {error}")]
    BadLibrary { library: String, error: String },
    #[error("NVML: {0}")]
    Nvml(#[from] NvmlError),
    #[error("NVML lists no card")]
    NoCard,
    #[error("NVML lists {cards} card(s), none with the UUID {uuid}")]
    NotListed { uuid: String, cards: usize },
    #[error("the driver gave no UUID to find it by among the {0} cards that NVML lists")]
    Ambiguous(usize),
}

impl Nvml {
    /// The cards that `options` name, or all there are.
    pub fn new(options: &Options) -> Self {
        Self {
            path: options.nvml_library.as_ref().map_or_else(|| LIBRARY.into(), |path| path.clone().into_os_string()),
            cuda: options.cuda.clone(),
            engine: options.engine.clone(),
            proc: options.proc.clone(),
            retry: options.retry.as_nanos() as Nanos,
            library: None,
            slots: Vec::new(),
            retry_at: 0,
        }
    }

    /// Says of a device why its main sensors are missing.
    fn absent(device: &str, trouble: &Trouble, out: &mut Outlet) {
        for (quantity, label) in [(Quantity::PowerInstant, "NVML instant"), (Quantity::Utilisation, "NVML")] {
            out.absent(Draft::new(device, quantity, label), trouble.to_string());
        }
    }

    /// Announces a card's sensors and what it says about itself.
    fn take(&self, library: &Library, device: &str, place: &Place, out: &mut Outlet) -> Result<Card, Trouble> {
        let cards = list(library)?;
        let index = match place {
            Place::Index(index) => *index,
            Place::Uuid(uuid) => by_uuid(&cards, uuid)?,
        };
        let handle = library.device_by_index(index)?;
        out.card(facts::card(library, &handle, device));
        Ok(Card::announce(&handle, index, device, out))
    }

    /// Looks for the lost cards again. Where none is left, the whole library is closed first: its state may be stale.
    fn retake(&mut self, out: &mut Outlet) {
        if self.slots.iter().all(|slot| slot.card.is_none()) {
            self.library = None;
        }
        let Some(library) = self.library.take().or_else(|| open(&self.path).ok()) else { return };
        let mut slots = std::mem::take(&mut self.slots);
        for slot in slots.iter_mut().filter(|slot| slot.card.is_none()) {
            if answers(&library, &slot.place) {
                slot.card = self.take(&library, &slot.device, &slot.place, out).ok();
            }
        }
        (self.slots, self.library) = (slots, Some(library));
    }
}

impl Source for Nvml {
    fn name(&self) -> &'static str {
        "nvml"
    }

    fn open(&mut self, out: &mut Outlet) -> Opened {
        let opened = open(&self.path).and_then(|library| some_cards(&library).map(|cards| (library, cards)));
        let (library, cards) = match opened {
            Ok(opened) => opened,
            Err(trouble) => {
                names(&self.cuda).for_each(|device| Self::absent(device, &trouble, out));
                return Opened::Nothing;
            }
        };
        for (device, place) in places(&cards, &self.cuda) {
            let taken = place.and_then(|place| Ok((self.take(&library, &device, &place, out)?, place)));
            match taken {
                Ok((card, place)) => self.slots.push(Slot { device, place, card: Some(card) }),
                Err(trouble) => Self::absent(&device, &trouble, out),
            }
        }
        self.library = Some(library);
        if self.slots.is_empty() { Opened::Nothing } else { Opened::Sampling }
    }

    fn sample(&mut self, out: &mut Outlet) {
        let ours = Ours { engine: self.engine.get(), proc: &self.proc };
        if let Some(library) = &self.library {
            read_all(library, &mut self.slots, &ours, out);
        }
        if self.slots.iter().all(|slot| slot.card.is_some()) {
            self.retry_at = out.now() + self.retry;
        } else if out.now() >= self.retry_at {
            self.retake(out);
            self.retry_at = out.now() + self.retry;
        }
    }
}

/// One tick: first what changes fast, of every card; then what is due of the rest, for half of the period at most, so
/// that the next tick's power is never late.
fn read_all(library: &Library, slots: &mut [Slot], ours: &Ours<'_>, out: &mut Outlet) {
    let until = out.now() + (out.period() / 2).as_nanos() as Nanos;
    for slot in slots.iter_mut() {
        slot.read(library, out, |card, handle, out| out.reading(|out| card.read_fast(handle, out)));
    }
    while let Some(slot) = most_overdue(slots, out.now()) {
        slot.read(library, out, |card, handle, out| card.read_due(handle, ours, out));
        if out.now() >= until {
            break;
        }
    }
}

fn most_overdue(slots: &mut [Slot], now: Nanos) -> Option<&mut Slot> {
    let due = |slot: &Slot| slot.card.as_ref().and_then(Card::due);
    slots.iter_mut().filter(|slot| due(slot).is_some_and(|due| due <= now)).min_by_key(|slot| due(slot))
}

impl Slot {
    /// Reads something of the card, unless it is lost; empties the slot if it turns out to be.
    fn read<F>(&mut self, library: &Library, out: &mut Outlet, read: F)
    where
        F: FnOnce(&mut Card, &nvml_wrapper::Device<'_>, &mut Outlet) -> Result<(), NvmlError>,
    {
        let Some(card) = &mut self.card else { return };
        let read = library.device_by_index(card.index()).and_then(|handle| read(card, &handle, out));
        if let Err(error) = read {
            out.lose_device(&self.device, &reason(&error));
            self.card = None;
        }
    }
}

fn open(path: &OsStr) -> Result<Library, Trouble> {
    let library = Library::builder().lib_path(path).init().map_err(|error| loading(path, error))?;
    if library.lib().nvmlShutdown.is_err() {
        // The wrapper calls it when the library is dropped, and panics where it is missing.
        std::mem::forget(library);
        return Err(Trouble::BadLibrary { library: path.to_string_lossy().into(), error: "no nvmlShutdown".into() });
    }
    Ok(library)
}

/// What a failed load means. The dynamic loader has only words for it.
fn loading(path: &OsStr, error: NvmlError) -> Trouble {
    let library = path.to_string_lossy().to_string();
    match error {
        NvmlError::LibloadingError(error) => {
            let error = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            // "libnvidia-ml.so.1: cannot open shared object file: No such file or directory", glibc's and musl's way.
            if error.contains("No such file") {
                Trouble::NoLibrary(library)
            } else {
                Trouble::BadLibrary { library, error }
            }
        }
        error => Trouble::Nvml(error),
    }
}

/// A card that NVML lists.
struct Listed {
    index: u32,
    uuid: Option<String>,
}

fn list(library: &Library) -> Result<Vec<Listed>, NvmlError> {
    let uuid = |index| library.device_by_index(index).and_then(|handle| handle.uuid()).ok();
    Ok((0..library.device_count()?).map(|index| Listed { index, uuid: uuid(index) }).collect())
}

fn some_cards(library: &Library) -> Result<Vec<Listed>, Trouble> {
    let cards = list(library)?;
    if cards.is_empty() { Err(Trouble::NoCard) } else { Ok(cards) }
}

fn by_uuid(cards: &[Listed], uuid: &str) -> Result<u32, Trouble> {
    let same = |card: &&Listed| card.uuid.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(uuid));
    let missing = || Trouble::NotListed { uuid: uuid.into(), cards: cards.len() };
    cards.iter().find(same).map(|card| card.index).ok_or_else(missing)
}

/// Where each CUDA device is among the cards of NVML; without CUDA devices, every card under a name of its own.
fn places(cards: &[Listed], cuda: &[CudaDevice]) -> Vec<(String, Result<Place, Trouble>)> {
    let place = |card: &Listed| card.uuid.clone().map_or(Place::Index(card.index), Place::Uuid);
    if cuda.is_empty() {
        return cards.iter().map(|card| (format!("gpu:{}", card.index), Ok(place(card)))).collect();
    }
    let found = |device: &CudaDevice| match (&device.uuid, cards) {
        (Some(uuid), _) => by_uuid(cards, uuid).map(|_| Place::Uuid(uuid.clone())),
        (None, [only]) if cuda.len() == 1 => Ok(place(only)),
        (None, _) => Err(Trouble::Ambiguous(cards.len())),
    };
    cuda.iter().map(|device| (device.name.clone(), found(device))).collect()
}

fn names(cuda: &[CudaDevice]) -> impl Iterator<Item = &str> {
    let none = cuda.is_empty().then_some("cuda");
    none.into_iter().chain(cuda.iter().map(|device| device.name.as_str()))
}

/// Whether a lost card is there again: listed, and alive enough to tell its power.
fn answers(library: &Library, place: &Place) -> bool {
    let index = match place {
        Place::Index(index) => Some(*index),
        Place::Uuid(uuid) => list(library).ok().and_then(|cards| by_uuid(&cards, uuid).ok()),
    };
    let power = index.and_then(|index| library.device_by_index(index).ok()).map(|handle| handle.power_usage());
    power.is_some_and(|power| power.err().is_none_or(|error| !card::is_loss(&error)))
}

/// What NVML's error means for the reader of a screen.
fn reason(error: &NvmlError) -> String {
    match error {
        NvmlError::NotSupported => "not supported by this card or its driver".into(),
        NvmlError::FailedToLoadSymbol(symbol) => {
            let function = symbol.rsplit(' ').next().unwrap_or_default();
            format!("this driver's NVML has no {function}")
        }
        NvmlError::GpuLost => "the card is lost: it fell off the bus or can't be reached".into(),
        NvmlError::UnexpectedVariant(code) => format!("NVML gave {code}, which is not known here"),
        other => format!("NVML: {other}"),
    }
}
