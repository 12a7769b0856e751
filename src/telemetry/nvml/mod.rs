//! NVIDIA cards through NVML (`libnvidia-ml.so.1`), which is loaded at run time.
//!
//! This file loads the library, finds the cards, and finds them again after a loss. `card` reads the sensors of one card,
//! `power` its powers,
//! `info` what is not numeric, `errors` interprets errors.

mod card;
mod errors;
mod info;
mod power;

use crate::{
    event::{Nanos, Quantity},
    telemetry::{
        builder::SensorBuilder,
        options::{CudaDevice, EnginePid, Options},
        source::{Opened, Source},
        writer::SensorWriter,
    },
};
use card::Card;
use errors::{is_loss, reason};
use info::OwnProcesses;
use nvml_wrapper::{Nvml as Library, error::NvmlError};
use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// The default library.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The NVML source: the cards of the measured devices.
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

/// A card, or the place of one that is lost.
struct Slot {
    device: String,
    id: CardId,
    card: Option<Card>,
}

/// How a card is found again. Indices may change when the driver is reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CardId {
    Uuid(String),
    Index(u32),
}

/// Why there is no card to read.
#[derive(Debug, thiserror::Error)]
enum OpenError {
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

    /// Registers the main sensors of a device as absent.
    fn register_absent(device: &str, error: &OpenError, out: &mut SensorWriter) {
        for (quantity, label) in [(Quantity::PowerInstant, "NVML instant"), (Quantity::Utilisation, "NVML")] {
            out.register_absent(SensorBuilder::new(device, quantity, label), error.to_string());
        }
    }

    /// Registers a card's sensors and sends its information.
    fn open_card(
        &self,
        library: &Library,
        device: &str,
        id: &CardId,
        out: &mut SensorWriter,
    ) -> Result<Card, OpenError> {
        let cards = list(library)?;
        let index = match id {
            CardId::Index(index) => *index,
            CardId::Uuid(uuid) => by_uuid(&cards, uuid)?,
        };
        let handle = library.device_by_index(index)?;
        out.card(info::card(library, &handle, device));
        Ok(Card::register(&handle, index, device, out))
    }

    /// Looks for lost cards again. If all are lost, the library is closed first, because its state may be stale.
    fn reopen_cards(&mut self, out: &mut SensorWriter) {
        if self.slots.iter().all(|slot| slot.card.is_none()) {
            self.library = None;
        }
        let Some(library) = self.library.take().or_else(|| open(&self.path).ok()) else { return };
        let mut slots = std::mem::take(&mut self.slots);
        for slot in slots.iter_mut().filter(|slot| slot.card.is_none()) {
            if answers(&library, &slot.id) {
                slot.card = self.open_card(&library, &slot.device, &slot.id, out).ok();
            }
        }
        (self.slots, self.library) = (slots, Some(library));
    }
}

impl Source for Nvml {
    fn name(&self) -> &'static str {
        "nvml"
    }

    fn open(&mut self, out: &mut SensorWriter) -> Opened {
        let opened = open(&self.path).and_then(|library| some_cards(&library).map(|cards| (library, cards)));
        let (library, cards) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                names(&self.cuda).for_each(|device| Self::register_absent(device, &error, out));
                return Opened::Nothing;
            }
        };
        for (device, id) in card_ids(&cards, &self.cuda) {
            let opened = id.and_then(|id| Ok((self.open_card(&library, &device, &id, out)?, id)));
            match opened {
                Ok((card, id)) => self.slots.push(Slot { device, id, card: Some(card) }),
                Err(error) => Self::register_absent(&device, &error, out),
            }
        }
        self.library = Some(library);
        if self.slots.is_empty() { Opened::Nothing } else { Opened::Sampling }
    }

    fn restart(&mut self) {
        self.slots.iter_mut().filter_map(|slot| slot.card.as_mut()).for_each(Card::restart);
    }

    fn sample(&mut self, out: &mut SensorWriter) {
        let own = OwnProcesses { engine: self.engine.get(), proc: &self.proc };
        if let Some(library) = &self.library {
            read_all(library, &mut self.slots, &own, out);
        }
        if self.slots.iter().all(|slot| slot.card.is_some()) {
            self.retry_at = out.now() + self.retry;
        } else if out.now() >= self.retry_at {
            self.reopen_cards(out);
            self.retry_at = out.now() + self.retry;
        }
    }
}

/// One tick: first the fast values of all cards, then slow values that are due, for at most half of the period, so that the
/// next tick is not late.
fn read_all(library: &Library, slots: &mut [Slot], own: &OwnProcesses<'_>, out: &mut SensorWriter) {
    let until = out.now() + (out.period() / 2).as_nanos() as Nanos;
    for slot in slots.iter_mut() {
        slot.read(library, out, |card, handle, out| out.sample(|out| card.read_fast(handle, out)));
    }
    while let Some(slot) = most_overdue(slots, out.now()) {
        slot.read(library, out, |card, handle, out| card.read_due(handle, own, out));
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
    /// Calls `read` on the card, unless it is lost; an error means that it is lost from now on.
    fn read<F>(&mut self, library: &Library, out: &mut SensorWriter, read: F)
    where
        F: FnOnce(&mut Card, &nvml_wrapper::Device<'_>, &mut SensorWriter) -> Result<(), NvmlError>,
    {
        let Some(card) = &mut self.card else { return };
        let read = library.device_by_index(card.index()).and_then(|handle| read(card, &handle, out));
        if let Err(error) = read {
            out.lose_device(&self.device, &reason(&error));
            self.card = None;
        }
    }
}

fn open(path: &OsStr) -> Result<Library, OpenError> {
    let library = Library::builder().lib_path(path).init().map_err(|error| loading(path, error))?;
    if library.lib().nvmlShutdown.is_err() {
        // The wrapper calls it when the library is dropped, and panics if it is missing.
        std::mem::forget(library);
        return Err(OpenError::BadLibrary { library: path.to_string_lossy().into(), error: "no nvmlShutdown".into() });
    }
    Ok(library)
}

/// Classifies an error of the dynamic loader by its text, which is all that there is.
fn loading(path: &OsStr, error: NvmlError) -> OpenError {
    let library = path.to_string_lossy().to_string();
    match error {
        NvmlError::LibloadingError(error) => {
            let error = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            // "libnvidia-ml.so.1: cannot open shared object file: No such file or directory", in glibc and in musl.
            if error.contains("No such file") {
                OpenError::NoLibrary(library)
            } else {
                OpenError::BadLibrary { library, error }
            }
        }
        error => OpenError::Nvml(error),
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

fn some_cards(library: &Library) -> Result<Vec<Listed>, OpenError> {
    let cards = list(library)?;
    if cards.is_empty() { Err(OpenError::NoCard) } else { Ok(cards) }
}

fn by_uuid(cards: &[Listed], uuid: &str) -> Result<u32, OpenError> {
    let same = |card: &&Listed| card.uuid.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(uuid));
    let missing = || OpenError::NotListed { uuid: uuid.into(), cards: cards.len() };
    cards.iter().find(same).map(|card| card.index).ok_or_else(missing)
}

/// The card of each CUDA device; without CUDA devices, all cards, as `gpu:0` ….
fn card_ids(cards: &[Listed], cuda: &[CudaDevice]) -> Vec<(String, Result<CardId, OpenError>)> {
    let id = |card: &Listed| card.uuid.clone().map_or(CardId::Index(card.index), CardId::Uuid);
    if cuda.is_empty() {
        return cards.iter().map(|card| (format!("gpu:{}", card.index), Ok(id(card)))).collect();
    }
    let found = |device: &CudaDevice| match (&device.uuid, cards) {
        (Some(uuid), _) => by_uuid(cards, uuid).map(|_| CardId::Uuid(uuid.clone())),
        (None, [only]) if cuda.len() == 1 => Ok(id(only)),
        (None, _) => Err(OpenError::Ambiguous(cards.len())),
    };
    cuda.iter().map(|device| (device.name.clone(), found(device))).collect()
}

fn names(cuda: &[CudaDevice]) -> impl Iterator<Item = &str> {
    let none = cuda.is_empty().then_some("cuda");
    none.into_iter().chain(cuda.iter().map(|device| device.name.as_str()))
}

/// Whether a lost card can be read again: it is listed, and its power can be read.
fn answers(library: &Library, id: &CardId) -> bool {
    let index = match id {
        CardId::Index(index) => Some(*index),
        CardId::Uuid(uuid) => list(library).ok().and_then(|cards| by_uuid(&cards, uuid).ok()),
    };
    let power = index.and_then(|index| library.device_by_index(index).ok()).map(|handle| handle.power_usage());
    power.is_some_and(|power| power.err().is_none_or(|error| !is_loss(&error)))
}
