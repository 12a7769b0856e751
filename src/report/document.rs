//! The content of a report, independent of its format: sections of text, tables, figures and verdicts.

/// A report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// Lines below the title: what was measured, when and on what.
    pub about: Vec<String>,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its anchor in links.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its content.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A title within the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// Names and values.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Figure),
    /// A claim and the verdict on it.
    Verdict(Verdict),
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, with one cell per column.
    pub rows: Vec<Vec<String>>,
    /// Notes that cells refer to by number, from 1.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its title.
    pub title: String,
    /// Whether it holds numbers, which are aligned to the right.
    pub number: bool,
}

/// A figure of one or several panels.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its number: 1 to 10 as in the paper, from 11 on for figures that are not in the paper.
    pub number: u8,
    /// Its title.
    pub title: String,
    /// What is plotted, from how much data, and the paper's result.
    pub caption: String,
    /// Its panels, side by side.
    pub panels: Vec<Panel>,
}

/// A panel of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its name, where there are several panels.
    pub name: Option<String>,
    /// The drawing as SVG, or why there is none.
    pub drawing: Result<String, String>,
}

/// A claim of the paper and the verdict on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// 1 to 4.
    pub number: u8,
    /// Its topic.
    pub title: String,
    /// The claim of the paper.
    pub claim: String,
    /// The configurations that the data comes from.
    pub scope: String,
    /// The judgement.
    pub judgement: Judgement,
    /// The judgement in a sentence, with its numbers.
    pub says: String,
    /// The data that is needed to decide it, where it is undecided.
    pub needs: Option<String>,
    /// Number of measurements that it is based on.
    pub n: usize,
    /// The estimates that it is based on.
    pub estimates: Table,
    /// Numbers of the figures that show the data.
    pub figures: Vec<u8>,
}

/// The judgement of a claim by the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The data agrees with it.
    Supported,
    /// The data contradicts it.
    Contradicted,
    /// The data does not decide it.
    Undecided,
}

impl Judgement {
    /// The word that is printed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Contradicted => "contradicted",
            Self::Undecided => "undecided",
        }
    }

    /// The sign that is printed beside the word, for readers who don't see the colours.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Supported => "✓",
            Self::Contradicted => "✗",
            Self::Undecided => "?",
        }
    }
}

impl Table {
    /// An empty table. A title that begins with `<` makes a column of text, others are columns of numbers.
    pub fn new(caption: impl Into<String>, titles: &[&str]) -> Self {
        let column = |title: &&str| match title.strip_prefix('<') {
            Some(title) => Column { title: title.to_owned(), number: false },
            None => Column { title: (*title).to_owned(), number: true },
        };
        Self { caption: caption.into(), columns: titles.iter().map(column).collect(), ..Self::default() }
    }

    /// A cell for an absent value, with the number of the note that gives the reason.
    pub fn absent(&mut self, reason: &str) -> String {
        format!("– [{}]", self.note(reason))
    }

    /// The number of a note, which is added if it is new.
    pub fn note(&mut self, note: &str) -> usize {
        if let Some(known) = self.notes.iter().position(|n| n == note) {
            return known + 1;
        }
        self.notes.push(note.to_owned());
        self.notes.len()
    }
}

impl Figure {
    /// Name of the file of a panel's drawing.
    pub fn file(&self, panel: usize) -> String {
        let letter = if self.panels.len() > 1 { letter(panel) } else { String::new() };
        format!("figure-{:02}{letter}.svg", self.number)
    }
}

/// The letter of a panel: `a` to `z`, then `-27`, `-28` …
pub fn letter(i: usize) -> String {
    u8::try_from(i).ok().filter(|i| *i < 26).map_or_else(|| format!("-{}", i + 1), |i| char::from(b'a' + i).to_string())
}

impl Document {
    /// All figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|s| &s.blocks).filter_map(|block| match block {
            Block::Figure(figure) => Some(figure),
            _ => None,
        })
    }
}
