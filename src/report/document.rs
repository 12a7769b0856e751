//! What a report says, apart from how it is written: sections of text, tables, figures and verdicts.

/// A report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// What it is of, when and with what: a line each.
    pub about: Vec<String>,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its name in links.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it says.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A title within the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Points.
    List(Vec<String>),
    /// Names and values.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
    /// A figure.
    Figure(Figure),
    /// A claim and what the data says about it.
    Verdict(Verdict),
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a cell a column.
    pub rows: Vec<Vec<String>>,
    /// What marks in cells refer to, in their order from 1.
    pub notes: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its title.
    pub title: String,
    /// Whether it is of numbers, which stand at the right.
    pub number: bool,
}

/// A figure of one or several panels.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its number: `1` to `10` as in the paper, `11` and on for what the paper has not.
    pub number: u8,
    /// What it shows, in a few words.
    pub title: String,
    /// What is plotted, of how much data, and what the paper had.
    pub caption: String,
    /// Its panels, side by side.
    pub panels: Vec<Panel>,
}

/// A panel of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Of what, where there are several.
    pub name: Option<String>,
    /// The drawing; or why there is none.
    pub drawing: Result<String, String>,
}

/// A claim of the paper and what was measured about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// 1 to 4.
    pub number: u8,
    /// What it is about.
    pub title: String,
    /// What the paper claims.
    pub claim: String,
    /// Which configurations the data is of.
    pub scope: String,
    /// The judgement.
    pub judgement: Judgement,
    /// The judgement with its numbers.
    pub says: String,
    /// What would decide it.
    pub needs: Option<String>,
    /// Measurements behind it.
    pub n: usize,
    /// The numbers behind it.
    pub estimates: Table,
    /// Numbers of the figures that show them.
    pub figures: Vec<u8>,
}

/// What the data says about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It agrees.
    Supported,
    /// It disagrees.
    Contradicted,
    /// It does not tell.
    Undecided,
}

impl Judgement {
    /// As printed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Contradicted => "contradicted",
            Self::Undecided => "undecided",
        }
    }

    /// A sign, for those who see no colours.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Supported => "✓",
            Self::Contradicted => "✗",
            Self::Undecided => "?",
        }
    }
}

impl Table {
    /// An empty table. A title that begins with `<` makes a column of words.
    pub fn new(caption: impl Into<String>, titles: &[&str]) -> Self {
        let column = |title: &&str| match title.strip_prefix('<') {
            Some(title) => Column { title: title.to_owned(), number: false },
            None => Column { title: (*title).to_owned(), number: true },
        };
        Self { caption: caption.into(), columns: titles.iter().map(column).collect(), ..Self::default() }
    }

    /// A cell for what is absent, with a mark that refers to the reason.
    pub fn absent(&mut self, reason: &str) -> String {
        format!("– [{}]", self.note(reason))
    }

    /// The number of a note, which is added where it is new.
    pub fn note(&mut self, note: &str) -> usize {
        if let Some(known) = self.notes.iter().position(|n| n == note) {
            return known + 1;
        }
        self.notes.push(note.to_owned());
        self.notes.len()
    }
}

impl Figure {
    /// Name of the file that a panel's drawing is kept in.
    pub fn file(&self, panel: usize) -> String {
        let letter = if self.panels.len() > 1 { letter(panel) } else { String::new() };
        format!("figure-{:02}{letter}.svg", self.number)
    }
}

/// `a`, `b` … `z`, `27` and on.
pub fn letter(i: usize) -> String {
    u8::try_from(i).ok().filter(|i| *i < 26).map_or_else(|| format!("-{}", i + 1), |i| char::from(b'a' + i).to_string())
}

impl Document {
    /// Every figure.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|s| &s.blocks).filter_map(|block| match block {
            Block::Figure(figure) => Some(figure),
            _ => None,
        })
    }
}
