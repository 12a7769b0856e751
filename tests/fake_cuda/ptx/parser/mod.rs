//! From tokens to functions. Names are looked up as they are read, in the scopes that braces open.

mod body;
mod declaration;
mod operand;

use super::{
    instruction::{Function, Type, Variable},
    lexer::{self, Kind, Token},
    module::ParseError,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What a text holds.
#[derive(Default)]
pub struct Parsed {
    pub version: (u32, u32),
    pub variables: Vec<Variable>,
    pub entries: Vec<Arc<Function>>,
    pub functions: BTreeMap<String, Arc<Function>>,
}

/// What a name stands for in a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    Register(u32),
    /// A variable of the module, or with `OWN` one of the function.
    Variable(u32),
}

pub(super) type Result<T> = std::result::Result<T, ParseError>;

/// A position in the tokens, and what has been read so far.
pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    parsed: Parsed,
    /// The innermost scope is the last; the first is the module's.
    scopes: Vec<HashMap<&'a str, Named>>,
    function: Function,
    labels: HashMap<&'a str, u32>,
    /// Lists of targets, by the label that names them.
    target_lists: HashMap<&'a str, Vec<&'a str>>,
    /// Branches whose label may come later: instruction, operand, name.
    open_targets: Vec<(usize, usize, &'a str)>,
}

/// Parses a whole text.
pub fn parse(source: &str) -> Result<Parsed> {
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        parsed: Parsed::default(),
        scopes: vec![HashMap::new()],
        function: Function::default(),
        labels: HashMap::new(),
        target_lists: HashMap::new(),
        open_targets: Vec::new(),
    };
    parser.module()?;
    Ok(parser.parsed)
}

impl<'a> Parser<'a> {
    fn module(&mut self) -> Result<()> {
        while let Some(token) = self.peek() {
            match token.text {
                ".version" => {
                    self.at += 1;
                    let text = self.next()?.text;
                    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
                    let number = |text: &str| text.parse().map_err(|_| self.error(format!("version {text}")));
                    self.parsed.version = (number(major)?, number(minor)?);
                }
                ".target" => {
                    self.at += 1;
                    self.skip_line(token.line);
                }
                ".address_size" | ".file" | ".loc" => self.skip_line(token.line),
                ".section" => self.skip_section()?,
                _ => self.declaration()?,
            }
        }
        if self.parsed.version == (0, 0) {
            return Err(self.error("no .version: this is no PTX"));
        }
        Ok(())
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>> {
        let token = self.peek().ok_or_else(|| self.error("the text ends too early"))?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a mark if it comes next.
    pub(super) fn take(&mut self, mark: u8) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == Kind::Mark(mark));
        self.at += usize::from(found);
        found
    }

    /// Takes a word if it comes next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, mark: u8) -> Result<()> {
        if self.take(mark) {
            return Ok(());
        }
        let found = self.peek().map_or("the end", |token| token.text);
        Err(self.error(format!("{} expected, {found} found", char::from(mark))))
    }

    pub(super) fn word(&mut self) -> Result<&'a str> {
        let token = self.next()?;
        match token.kind {
            Kind::Word => Ok(token.text),
            _ => Err(ParseError::new(token.line, format!("a name expected, {} found", token.text))),
        }
    }

    /// An integer without a sign.
    pub(super) fn integer(&mut self) -> Result<u64> {
        let token = self.next()?;
        operand::unsigned(token.text)
            .ok_or_else(|| ParseError::new(token.line, format!("{} is no integer", token.text)))
    }

    pub(super) fn error(&self, what: impl Into<String>) -> ParseError {
        let token = self.peek().or_else(|| self.tokens.last().copied());
        ParseError::new(token.map_or(1, |token| token.line), what)
    }

    fn skip_line(&mut self, line: u32) {
        while self.peek().is_some_and(|token| token.line == line) {
            self.at += 1;
        }
    }

    /// Skips a section of debug information with its braces.
    fn skip_section(&mut self) -> Result<()> {
        while !self.take(b'{') {
            self.next()?;
        }
        let mut depth = 1;
        while depth > 0 {
            match self.next()?.kind {
                Kind::Mark(b'{') => depth += 1,
                Kind::Mark(b'}') => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Option<Named> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    pub(super) fn name(&mut self, name: &'a str, named: Named) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, named);
        }
    }

    /// A type that a word names, with its dot.
    pub(super) fn type_of(word: &str) -> Option<Type> {
        word.strip_prefix('.').and_then(Type::parse)
    }
}
