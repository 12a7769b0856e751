//! The body of a function: scopes, registers, labels and instructions.

use super::{Named, Parser, Result};
use crate::ptx::{
    instruction::{Guard, Instruction, Operand, Type},
    lexer::Kind,
    module::ParseError,
};

impl<'a> Parser<'a> {
    /// Everything up to the brace that closes the function.
    pub(super) fn body(&mut self) -> Result<()> {
        let mut depth = 1;
        self.scopes.push(Default::default());
        while depth > 0 {
            let token = self.next()?;
            match (token.kind, token.text) {
                (Kind::Mark(b'{'), _) => {
                    depth += 1;
                    self.scopes.push(Default::default());
                }
                (Kind::Mark(b'}'), _) => {
                    depth -= 1;
                    self.scopes.pop();
                }
                (Kind::Mark(b';'), _) => {}
                (_, ".reg") => {
                    let ty = self.word()?;
                    self.registers(ty)?;
                }
                // Written without a space, as in the inline assembly of `cuda_fp16.hpp`.
                (_, text) if text.starts_with(".reg.") => self.registers(&text[".reg".len()..])?,
                (_, ".local" | ".shared" | ".param") => {
                    self.at -= 1;
                    for (name, variable) in self.variables(false)? {
                        self.add_variable(name, variable);
                    }
                }
                (_, ".loc" | ".file") => self.skip_line(token.line),
                (_, ".section") => self.skip_section()?,
                (_, ".pragma") => {
                    while !self.take(b';') {
                        self.next()?;
                    }
                }
                (Kind::Word, label) if self.take(b':') => self.label(label)?,
                (Kind::Word | Kind::Mark(b'@'), _) => {
                    self.at -= 1;
                    self.instruction()?;
                }
                (_, text) => return Err(ParseError::new(token.line, format!("{text} begins no statement"))),
            }
        }
        self.close_targets()
    }

    /// `.reg .b32 %r<10>, %x;`
    fn registers(&mut self, word: &str) -> Result<()> {
        let ty = Self::type_of(word).ok_or_else(|| self.error(format!("registers of the type {word} are unknown")))?;
        loop {
            let name = self.word()?;
            if self.take(b'<') {
                let count = self.integer()?;
                self.expect(b'>')?;
                for index in 0..count {
                    // Only the first has an entry: `lookup` finds the others by their number.
                    let register = self.add_register(ty);
                    if index == 0 {
                        self.name(name, Named::Register(register));
                    }
                }
            } else {
                let register = self.add_register(ty);
                self.name(name, Named::Register(register));
            }
            if self.take(b';') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn add_register(&mut self, ty: Type) -> u32 {
        self.function.registers.push(ty);
        self.function.registers.len() as u32 - 1
    }

    /// A label, or the list of targets that it names.
    fn label(&mut self, label: &'a str) -> Result<()> {
        if self.take_word(".branchtargets") {
            let mut names = vec![self.word()?];
            while self.take(b',') {
                names.push(self.word()?);
            }
            self.expect(b';')?;
            self.target_lists.insert(label, names);
        } else {
            self.labels.insert(label, self.function.code.len() as u32);
        }
        Ok(())
    }

    fn instruction(&mut self) -> Result<()> {
        let line = self.error("").line;
        let guard = if self.take(b'@') { Some(self.guard()?) } else { None };
        let mut words = self.word()?.split('.');
        let name = words.next().unwrap_or_default().to_owned();
        let modifiers = words.map(str::to_owned).collect();
        let mut instruction = Instruction { guard, name, modifiers, operands: Vec::new(), line };
        while !self.take(b';') {
            let index = instruction.operands.len();
            let operand = match instruction.name.as_str() {
                "bra" => self.target(index)?,
                "brx" if index == 1 => self.target(index)?,
                "call" if self.peek().is_some_and(|token| token.kind == Kind::Word) => {
                    Operand::Function(self.word()?.to_owned())
                }
                _ => self.operand()?,
            };
            instruction.operands.push(operand);
            if !self.take(b',') && self.peek().is_none_or(|token| token.kind != Kind::Mark(b';')) {
                return Err(self.error("a comma or a semicolon expected"));
            }
        }
        self.function.code.push(instruction);
        Ok(())
    }

    fn guard(&mut self) -> Result<Guard> {
        let negated = self.take(b'!');
        let name = self.word()?;
        match self.lookup(name) {
            Some(Named::Register(predicate)) => Ok(Guard { predicate, negated }),
            _ => Err(self.error(format!("{name} is no predicate"))),
        }
    }

    fn target(&mut self, operand: usize) -> Result<Operand> {
        let name = self.word()?;
        self.open_targets.push((self.function.code.len(), operand, name));
        Ok(Operand::Target(u32::MAX))
    }

    /// Fills in the labels, which may stand behind the branches that name them.
    fn close_targets(&mut self) -> Result<()> {
        for (instruction, operand, name) in std::mem::take(&mut self.open_targets) {
            let line = self.function.code[instruction].line;
            let missing = |name: &str| ParseError::new(line, format!("no label is named {name}"));
            let label = |name: &str| self.labels.get(name).copied().ok_or_else(|| missing(name));
            let found = match self.target_lists.get(name) {
                Some(names) => Operand::Targets(names.iter().map(|name| label(name)).collect::<Result<_>>()?),
                None => Operand::Target(label(name)?),
            };
            self.function.code[instruction].operands[operand] = found;
        }
        Ok(())
    }

    /// What a name stands for; `%r12` is the twelfth of `%r<…>` unless it has a declaration of its own.
    pub(super) fn lookup(&self, name: &str) -> Option<Named> {
        if let Some(found) = self.find(name) {
            return Some(found);
        }
        let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: u32 = name[prefix.len()..].parse().ok()?;
        match self.find(prefix)? {
            Named::Register(first) => {
                let register = first + number;
                ((register as usize) < self.function.registers.len()).then_some(Named::Register(register))
            }
            Named::Variable(_) => None,
        }
    }
}
