//! Functions with their parameters and directives, and variables with what stands in them.

use super::{Named, Parser, Result, operand};
use crate::ptx::{
    instruction::{Function, OWN, Parameter, Space, Type, Variable},
    lexer::Kind,
    module::ParseError,
};
use std::sync::Arc;

impl<'a> Parser<'a> {
    /// A function or a variable of the module.
    pub(super) fn declaration(&mut self) -> Result<()> {
        let start = self.at;
        let mut external = false;
        loop {
            let token = self.next()?;
            match token.text {
                ".extern" => external = true,
                ".visible" | ".weak" | ".common" => {}
                ".entry" => return self.function_of(true),
                ".func" => return self.function_of(false),
                ".global" | ".const" | ".shared" => {
                    self.at -= 1;
                    let variables = self.variables(external)?;
                    for (name, variable) in variables {
                        self.name(name, Named::Variable(self.parsed.variables.len() as u32));
                        self.parsed.variables.push(variable);
                    }
                    return Ok(());
                }
                ".alias" => {
                    while !self.take(b';') {
                        self.next()?;
                    }
                    return Ok(());
                }
                text => {
                    self.at = start;
                    return Err(ParseError::new(token.line, format!("{text} is no declaration that is known")));
                }
            }
        }
    }

    fn function_of(&mut self, entry: bool) -> Result<()> {
        self.scopes.truncate(1);
        self.scopes.push(Default::default());
        self.function = Function { line: self.error("").line, ..Function::default() };
        self.labels.clear();
        self.target_lists.clear();
        self.open_targets.clear();
        if !entry && self.take(b'(') {
            self.parameters(false)?;
            self.function.results = std::mem::take(&mut self.function.arguments);
            self.function.parameters.clear();
        }
        self.function.name = self.word()?.to_owned();
        if self.take(b'(') {
            self.parameters(entry)?;
        }
        self.directives()?;
        if self.take(b';') {
            self.scopes.truncate(1);
            return Ok(()); // a declaration without its body
        }
        self.expect(b'{')?;
        self.body()?;
        let function = Arc::new(std::mem::take(&mut self.function));
        if entry {
            self.parsed.entries.push(function);
        } else {
            self.parsed.functions.insert(function.name.clone(), function);
        }
        self.scopes.truncate(1);
        Ok(())
    }

    /// What stands between the parameters and the body.
    fn directives(&mut self) -> Result<()> {
        loop {
            match self.peek().map(|token| token.text) {
                Some(".maxntid") => self.function.max_threads = Some(self.dimensions()?),
                Some(".reqntid") => self.function.required_threads = Some(self.dimensions()?),
                Some("{" | ";") | None => return Ok(()),
                Some(_) => self.at += 1,
            }
        }
    }

    fn dimensions(&mut self) -> Result<[u32; 3]> {
        self.at += 1;
        let mut dimensions = [1; 3];
        for dimension in &mut dimensions {
            *dimension = self.integer()? as u32;
            if !self.take(b',') {
                break;
            }
        }
        Ok(dimensions)
    }

    /// The list of parameters up to its end. Those of a function are variables in the memory of the thread.
    fn parameters(&mut self, entry: bool) -> Result<()> {
        let mut end = 0_u32;
        while !self.take(b')') {
            self.take(b',');
            let (name, variable) = self.parameter()?;
            let bytes = variable.bytes as u32;
            let offset = end.next_multiple_of(variable.align.max(1));
            end = offset + bytes;
            self.function.parameters.push(Parameter { name: name.to_owned(), offset, bytes, align: variable.align });
            let space = if entry { Space::Param } else { Space::Local };
            let number = self.add_variable(name, Variable { space, ..variable });
            self.function.arguments.push(number);
        }
        Ok(())
    }

    /// One parameter: `.param .u64 .ptr .global .align 4 name` or `.param .align 8 .b8 name[16]`.
    fn parameter(&mut self) -> Result<(&'a str, Variable)> {
        let (mut ty, mut align, mut pointer) = (None, 0, false);
        loop {
            let word = self.word()?;
            match word {
                ".param" | ".reg" | ".global" | ".shared" | ".const" | ".local" => {}
                ".ptr" => pointer = true,
                ".align" => {
                    let bytes = self.integer()? as u32;
                    // Behind `.ptr` it is the alignment of what is pointed at.
                    align = if pointer { align } else { bytes };
                }
                word if word.starts_with('.') => {
                    ty = Some(Self::type_of(word).ok_or_else(|| self.error(format!("the type {word} is unknown")))?);
                }
                name => {
                    let ty = ty.ok_or_else(|| self.error(format!("the parameter {name} has no type")))?;
                    let count = self.array()?.unwrap_or(1);
                    let variable = Variable {
                        name: name.to_owned(),
                        space: Space::Param,
                        align: align.max(ty.bytes()),
                        bytes: u64::from(ty.bytes()) * count,
                        dynamic: false,
                        initial: Vec::new(),
                    };
                    return Ok((name, variable));
                }
            }
        }
    }

    /// `[4][8]`: how many elements an array has; 0 for `[]`.
    fn array(&mut self) -> Result<Option<u64>> {
        let mut count = None;
        while self.take(b'[') {
            let size = if self.take(b']') {
                0
            } else {
                let size = self.integer()?;
                self.expect(b']')?;
                size
            };
            count = Some(count.unwrap_or(1) * size);
        }
        Ok(count)
    }

    /// Gives a variable of the function its number.
    pub(super) fn add_variable(&mut self, name: &'a str, variable: Variable) -> u32 {
        let number = OWN | self.function.variables.len() as u32;
        self.function.variables.push(variable);
        self.name(name, Named::Variable(number));
        number
    }

    /// Variables of one declaration, up to its semicolon: `.shared .align 16 .b8 a[128], b[4];`.
    pub(super) fn variables(&mut self, external: bool) -> Result<Vec<(&'a str, Variable)>> {
        let (mut space, mut ty, mut align) = (Space::Global, None, 0);
        let mut vector = 1;
        let mut found = Vec::new();
        loop {
            let word = self.word()?;
            match word {
                ".shared" => space = Space::Shared,
                ".local" | ".param" => space = Space::Local,
                ".global" | ".const" => space = Space::Global,
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                ".align" => align = self.integer()? as u32,
                ".attribute" => {
                    while !self.take(b')') {
                        self.next()?;
                    }
                }
                word if word.starts_with('.') => {
                    ty = Some(Self::type_of(word).ok_or_else(|| self.error(format!("the type {word} is unknown")))?);
                }
                name => {
                    let ty = ty.ok_or_else(|| self.error(format!("the variable {name} has no type")))?;
                    found.push((name, self.variable(name, space, ty, vector, align, external)?));
                    if self.take(b';') {
                        return Ok(found);
                    }
                    self.expect(b',')?;
                }
            }
        }
    }

    fn variable(
        &mut self,
        name: &str,
        space: Space,
        ty: Type,
        vector: u64,
        align: u32,
        external: bool,
    ) -> Result<Variable> {
        let array = self.array()?;
        let element = u64::from(ty.bytes());
        let mut bytes = array.unwrap_or(1) * vector * element;
        let mut initial = Vec::new();
        if self.take(b'=') {
            self.initial(ty, &mut initial)?;
            bytes = bytes.max(initial.len() as u64);
        }
        let dynamic = space == Space::Shared && (external || bytes == 0);
        let align = align.max(ty.bytes() * vector as u32);
        Ok(Variable { name: name.to_owned(), space, align, bytes, dynamic, initial })
    }

    /// What stands behind `=`: a number, or numbers in braces.
    fn initial(&mut self, ty: Type, bytes: &mut Vec<u8>) -> Result<()> {
        if self.take(b'{') {
            while !self.take(b'}') {
                self.initial(ty, bytes)?;
                self.take(b',');
            }
            return Ok(());
        }
        let negative = self.take(b'-');
        let token = self.next()?;
        if token.kind != Kind::Number {
            return Err(ParseError::new(token.line, format!("{} can't stand in memory at the start", token.text)));
        }
        let value = operand::immediate(token.text, negative)
            .ok_or_else(|| ParseError::new(token.line, format!("{} is no number", token.text)))?;
        let bits = operand::bits(value, ty);
        bytes.extend_from_slice(&bits.to_le_bytes()[..ty.bytes() as usize]);
        Ok(())
    }
}
