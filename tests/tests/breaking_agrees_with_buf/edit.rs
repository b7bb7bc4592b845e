//! The edits that make mutants, each on a statement: a line that ends one, or a line that opens a block with all of the block.

mod vocabulary;

use crate::mutant::Files;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use std::fmt;
use std::ops::Range;
use vocabulary::{FIELD_OPTIONS, STATEMENTS, WORDS};

/// What a line is directly inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    File,
    Message,
    Enum,
    Service,
    Method,
    Oneof,
    Extend,
}

/// What was done, for people who look into a disagreement.
pub(crate) struct Edit {
    operation: Operation,
    file: String,
    line: usize,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}:{}", self.operation, self.file, self.line)
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Delete,
    DeleteAndReserveNumber,
    DeleteAndReserveName,
    DeleteAndReserveBoth,
    DeleteFile,
    Move,
    MoveToOtherFile,
    ReplaceWord,
    ChangeOption,
    Renumber,
    Rename,
    RenameType,
    Label,
    Stream,
    Text,
    Insert,
    AddFieldOption,
    Syntax,
    Package,
}

/// Operations by how often they are tried.
const OPERATIONS: [Operation; 26] = [
    Operation::Delete,
    Operation::Delete,
    Operation::Delete,
    Operation::DeleteAndReserveNumber,
    Operation::DeleteAndReserveName,
    Operation::DeleteAndReserveBoth,
    Operation::DeleteFile,
    Operation::Move,
    Operation::Move,
    Operation::MoveToOtherFile,
    Operation::ReplaceWord,
    Operation::ReplaceWord,
    Operation::ReplaceWord,
    Operation::ChangeOption,
    Operation::ChangeOption,
    Operation::ChangeOption,
    Operation::Renumber,
    Operation::Rename,
    Operation::RenameType,
    Operation::Label,
    Operation::Stream,
    Operation::Text,
    Operation::Insert,
    Operation::Insert,
    Operation::AddFieldOption,
    Operation::AddFieldOption,
];

impl Edit {
    /// Does something to `files`, those of the mutant `name`; `None` when chance chose what cannot be.
    pub(crate) fn random(random: &mut StdRng, files: &mut Files, name: &str) -> Option<Self> {
        const ATTEMPTS: usize = 100;
        let rare = [Operation::Syntax, Operation::Package];
        let operations: &[Operation] = if random.random_ratio(1, 20) {
            &rare
        } else {
            &OPERATIONS
        };
        let operation = *operations.choose(random)?;
        (0..ATTEMPTS).find_map(|_| Self::attempt(random, files, name, operation))
    }

    fn attempt(random: &mut StdRng, files: &mut Files, name: &str, operation: Operation) -> Option<Self> {
        // The main file has most of what can be edited.
        let main = format!("{name}/main.proto");
        let file = match random.random_ratio(3, 4) && files.contains_key(&main) {
            true => main,
            false => files.keys().choose(random)?.clone(),
        };
        let line = random.random_range(0..files.get(&file)?.len());
        let mut place = Place {
            random,
            files,
            file: &file,
            line,
        };
        place.apply(operation)?;
        Some(Self {
            operation,
            file,
            line: line + 1,
        })
    }
}

/// Where an edit happens.
struct Place<'a> {
    random: &'a mut StdRng,
    files: &'a mut Files,
    file: &'a str,
    line: usize,
}

impl Place<'_> {
    fn apply(&mut self, operation: Operation) -> Option<()> {
        match operation {
            Operation::Delete => self.delete().map(drop),
            Operation::DeleteAndReserveNumber => self.delete_and_reserve(true, false),
            Operation::DeleteAndReserveName => self.delete_and_reserve(false, true),
            Operation::DeleteAndReserveBoth => self.delete_and_reserve(true, true),
            Operation::DeleteFile => self.delete_file(),
            Operation::Move => self.move_to(self.file.to_owned()),
            Operation::MoveToOtherFile => {
                let other = self
                    .files
                    .keys()
                    .filter(|path| *path != self.file)
                    .choose(self.random)?
                    .clone();
                self.move_to(other)
            }
            Operation::ReplaceWord => self.replace_word(),
            Operation::ChangeOption => self.change_option(),
            Operation::Renumber => self.renumber(),
            Operation::Rename => self.rename(),
            Operation::RenameType => self.rename_type(),
            Operation::Label => self.label(),
            Operation::Stream => self.stream(),
            Operation::Text => self.text(),
            Operation::Insert => self.insert(),
            Operation::AddFieldOption => self.add_field_option(),
            Operation::Syntax => self.syntax(),
            Operation::Package => self.package(),
        }
    }

    fn lines(&mut self) -> Option<&mut Vec<String>> {
        self.files.get_mut(self.file)
    }

    fn current(&mut self) -> Option<&mut String> {
        let line = self.line;
        self.lines()?.get_mut(line)
    }

    /// The statement that begins at the line.
    fn statement(&mut self) -> Option<Range<usize>> {
        let start = self.line;
        let lines = self.lines()?;
        let first = lines.get(start)?.trim();
        if first.is_empty() || first == "}" || first.starts_with("//") {
            return None;
        }
        let mut depth = 0;
        for (index, line) in lines.iter().enumerate().skip(start) {
            depth += line.matches('{').count();
            depth -= line.matches('}').count();
            if depth == 0 {
                return Some(start..index + 1);
            }
        }
        None
    }

    /// What line `at` of a file is in.
    fn scope(&self, file: &str, at: usize) -> Option<Scope> {
        let mut open = Vec::new();
        for line in self.files.get(file)?.get(..at)? {
            let line = line.trim();
            if line.ends_with('{') {
                open.push(line);
            } else if line == "}" {
                open.pop();
            }
        }
        let Some(header) = open.last() else {
            return Some(Scope::File);
        };
        let scopes = [
            ("message ", Scope::Message),
            ("group ", Scope::Message),
            ("enum ", Scope::Enum),
            ("service ", Scope::Service),
            ("rpc ", Scope::Method),
            ("oneof ", Scope::Oneof),
            ("extend ", Scope::Extend),
        ];
        scopes
            .into_iter()
            .find(|(word, _)| header.contains(word))
            .map(|(_, scope)| scope)
    }

    fn is_editions(&self) -> bool {
        let first = self.files.get(self.file).and_then(|lines| lines.first());
        first.is_some_and(|line| line.starts_with("edition"))
    }

    fn delete(&mut self) -> Option<Vec<String>> {
        let statement = self.statement()?;
        Some(self.lines()?.drain(statement).collect())
    }

    fn delete_and_reserve(&mut self, is_number: bool, is_name: bool) -> Option<()> {
        let (name, number) = declared(self.current()?)?;
        let name = if self.is_editions() {
            name
        } else {
            format!("\"{name}\"")
        };
        self.delete()?;
        let line = self.line;
        let lines = self.lines()?;
        if is_number {
            lines.insert(line, format!("  reserved {number};"));
        }
        if is_name {
            lines.insert(line, format!("  reserved {name};"));
        }
        Some(())
    }

    fn delete_file(&mut self) -> Option<()> {
        let import = format!("import \"{}\";", self.file);
        self.files.remove(self.file)?;
        for lines in self.files.values_mut() {
            lines.retain(|line| *line != import);
        }
        Some(())
    }

    /// Moves the statement to where there are others of its kind; fields also into oneofs and out of them.
    fn move_to(&mut self, file: String) -> Option<()> {
        let fits = |from: Scope, to: Scope| {
            from == to
                || [from, to]
                    .iter()
                    .all(|scope| [Scope::Message, Scope::Oneof].contains(scope))
        };
        let scope = self.scope(self.file, self.line)?;
        let statement = self.statement()?;
        let is_inside = |at: usize| file == self.file && (statement.start..=statement.end).contains(&at);
        let places = (3..self.files.get(&file)?.len()).filter(|at| !is_inside(*at));
        let fitting = places.filter(|at| self.scope(&file, *at).is_some_and(|to| fits(scope, to)));
        let fitting: Vec<usize> = fitting.collect();
        let mut at = *fitting.choose(self.random)?;
        if file == self.file && at > statement.start {
            at -= statement.len();
        }
        let statement = self.delete()?;
        self.files.get_mut(&file)?.splice(at..at, statement);
        Some(())
    }

    fn replace_word(&mut self) -> Option<()> {
        let line = self.current()?.clone();
        let candidates = words(&line).into_iter().flat_map(|range| {
            let word = line.get(range.clone()).unwrap_or_default();
            let rows = WORDS.iter().filter(move |row| row.contains(&word));
            rows.map(move |row| (range.clone(), *row)).collect::<Vec<_>>()
        });
        let (range, row) = candidates.choose(self.random)?;
        let other = row.choose(self.random)?;
        if line.get(range.clone()) == Some(other) {
            return None;
        }
        self.current()?.replace_range(range, other);
        Some(())
    }

    fn change_option(&mut self) -> Option<()> {
        let is_option = self.current()?.trim().starts_with("option ") || self.current()?.contains('[');
        is_option
            .then(|| self.replace_word().or_else(|| self.text()))
            .flatten()
    }

    fn renumber(&mut self) -> Option<()> {
        let line = self.current()?.clone();
        let numbers = words(&line)
            .into_iter()
            .filter(|range| line[range.clone()].parse::<u64>().is_ok());
        let range = numbers.choose(self.random)?;
        // Those of edition and syntax are another edit's.
        if self.line == 0 {
            return None;
        }
        let number = *[0, 1, 2, 3, 5, 8, 31, 42, 48, 65, 105, 120, 777].choose(self.random)?;
        self.current()?.replace_range(range, &number.to_string());
        Some(())
    }

    /// Renames a field, a value or a method.
    fn rename(&mut self) -> Option<()> {
        let line = self.current()?.clone();
        let name = match line.trim().strip_prefix("rpc ") {
            Some(method) => method.split('(').next()?.to_owned(),
            None => declared(&line)?.0,
        };
        let renamed = match self.random.random_range(0..3) {
            0 => format!("{name}_renamed"),
            1 => format!("{name}2"),
            // Some names are the same in JSON.
            _ => name.replacen('_', "", 1),
        };
        *self.current()? = line.replacen(&name, &renamed, 1);
        Some(())
    }

    /// Renames a type, a oneof, a service or a group, with what refers to it.
    fn rename_type(&mut self) -> Option<()> {
        let line = self.current()?.clone();
        let mut tokens = line
            .split_whitespace()
            .skip_while(|token| !["message", "enum", "service", "oneof", "group"].contains(token));
        let name = tokens.nth(1)?.to_owned();
        for line in self.files.values_mut().flatten() {
            for range in words(line).into_iter().rev() {
                let word = line.get(range.clone())?.to_owned();
                let renamed = word.split('.').map(|part| match part == name {
                    true => format!("{name}Renamed"),
                    false => part.to_owned(),
                });
                let renamed: Vec<String> = renamed.collect();
                line.replace_range(range, &renamed.join("."));
            }
        }
        Some(())
    }

    fn label(&mut self) -> Option<()> {
        const LABELS: [&str; 3] = ["optional ", "required ", "repeated "];
        let scope = self.scope(self.file, self.line)?;
        if ![Scope::Message, Scope::Extend].contains(&scope) {
            return None;
        }
        let label = *["", "optional ", "required ", "repeated "].choose(self.random)?;
        let line = self.current()?;
        declared(line)?;
        let mut changed = LABELS
            .into_iter()
            .fold(line.clone(), |line, label| line.replace(label, ""));
        changed.insert_str(changed.len() - changed.trim_start().len(), label);
        if *line == changed {
            return None;
        }
        *line = changed;
        Some(())
    }

    fn stream(&mut self) -> Option<()> {
        let open = if self.random.random() { "returns (" } else { "(" };
        let line = self.current()?;
        if !line.trim().starts_with("rpc ") {
            return None;
        }
        let streaming = format!("{open}stream ");
        *line = match line.contains(&streaming) {
            true => line.replacen(&streaming, open, 1),
            false => line.replacen(open, &streaming, 1),
        };
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        let line = self.current()?;
        let end = line.rfind('"')?;
        if line.starts_with("import") {
            return None;
        }
        line.insert_str(end, "Changed");
        Some(())
    }

    fn insert(&mut self) -> Option<()> {
        let at = self.line + 1;
        let scope = self.scope(self.file, at)?;
        let (_, statements) = STATEMENTS.iter().find(|(of, _)| *of == scope)?;
        let statement = statements.choose(self.random)?;
        if statement.contains("features") && !self.is_editions() {
            return None;
        }
        self.lines()?.insert(at, format!("  {statement}"));
        Some(())
    }

    fn add_field_option(&mut self) -> Option<()> {
        let option = FIELD_OPTIONS.choose(self.random)?;
        if option.contains("features") && !self.is_editions() {
            return None;
        }
        let line = self.current()?;
        declared(line)?;
        let end = line.rfind(';')?;
        match line.rfind(']') {
            Some(bracket) => line.insert_str(bracket, &format!(", {option}")),
            None => line.insert_str(end, &format!(" [{option}]")),
        }
        Some(())
    }

    fn syntax(&mut self) -> Option<()> {
        let syntax = [
            "syntax = \"proto2\";",
            "syntax = \"proto3\";",
            "edition = \"2023\";",
            "// No syntax.",
        ];
        let syntax = syntax.choose(self.random)?;
        let first = self.lines()?.first_mut()?;
        if first == syntax {
            return None;
        }
        *first = (*syntax).to_owned();
        Some(())
    }

    fn package(&mut self) -> Option<()> {
        let lines = self.lines()?;
        let package = lines.iter_mut().find(|line| line.starts_with("package "))?;
        *package = package.replace(';', ".moved;");
        Some(())
    }
}

/// The name and number of the field or enum value on a line.
fn declared(line: &str) -> Option<(String, String)> {
    let (left, right) = line.split_once(" = ")?;
    if left.trim_start().starts_with("option ") {
        return None;
    }
    let name = left.split_whitespace().last()?.to_owned();
    let number: String = right.chars().take_while(char::is_ascii_digit).collect();
    (!number.is_empty()).then_some((name, number))
}

/// Where the words of a line are; complete names are one word.
fn words(line: &str) -> Vec<Range<usize>> {
    let is_of_word =
        |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '.';
    let mut words: Vec<Range<usize>> = Vec::new();
    for (index, _) in line.match_indices(is_of_word) {
        match words.last_mut() {
            Some(word) if word.end == index => word.end = index + 1,
            _ => words.push(index..index + 1),
        }
    }
    words
}
