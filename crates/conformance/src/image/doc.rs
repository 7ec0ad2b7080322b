//! A document under judgement: its values with their pointers, and types that the specification gives.

use super::findings::{Findings, Place};
use super::json::{Document, FaultKind, Node, Value};

/// Where findings about one document go.
#[derive(Debug)]
pub(super) struct Doc<'f> {
    pub findings: &'f mut Findings,
    /// The file or the digest.
    pub blob: String,
}

/// A value and its pointer.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub node: &'a Node,
    pub pointer: String,
}

/// A type of JSON, as the specification names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
    Boolean,
    Object,
    Array,
    Texts,
    /// An object whose values are empty objects.
    Set,
}

impl Type {
    fn fits(self, node: &Node) -> bool {
        match self {
            Type::Text => node.text().is_some(),
            Type::Integer => node.integer().is_some(),
            Type::Boolean => matches!(node.value, Value::Bool(_)),
            Type::Object => node.members().is_some(),
            Type::Array => node.elements().is_some(),
            Type::Texts => node.elements().is_some_and(|list| list.iter().all(|one| one.text().is_some())),
            Type::Set => {
                node.members().is_some_and(|list| list.iter().all(|one| one.node.members().is_some()))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Type::Text => "a string",
            Type::Integer => "an integer of 64 bits",
            Type::Boolean => "a boolean",
            Type::Object => "an object",
            Type::Array => "an array",
            Type::Texts => "an array of strings",
            Type::Set => "an object of empty objects",
        }
    }
}

impl<'a> Cursor<'a> {
    /// The whole document.
    pub(super) fn root(node: &'a Node) -> Cursor<'a> {
        Cursor { node, pointer: String::new() }
    }

    /// The member `name`.
    pub(super) fn get(&self, name: &str) -> Option<Cursor<'a>> {
        Some(Cursor { node: self.node.get(name)?, pointer: self.below(name) })
    }

    /// The member `name`, unless it is null.
    pub(super) fn some(&self, name: &str) -> Option<Cursor<'a>> {
        self.get(name).filter(|cursor| !cursor.node.is_null())
    }

    /// The member `name`, where it is a string.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.node.get(name)?.text()
    }

    /// Every element, where it is an array.
    pub(super) fn elements(&self) -> Vec<Cursor<'a>> {
        let elements = self.node.elements().unwrap_or_default().iter().enumerate();
        elements.map(|(at, node)| Cursor { node, pointer: format!("{}/{at}", self.pointer) }).collect()
    }

    /// Every member, where it is an object.
    pub(super) fn members(&self) -> Vec<(&'a str, Cursor<'a>)> {
        let members = self.node.members().unwrap_or_default().iter();
        members
            .map(|member| {
                let pointer = self.below(&member.name);
                (member.name.as_str(), Cursor { node: &member.node, pointer })
            })
            .collect()
    }

    fn below(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

impl Doc<'_> {
    /// Where `cursor` stands.
    pub(super) fn place(&self, cursor: &Cursor<'_>) -> Place {
        Place {
            blob: self.blob.clone(),
            pointer: Some(cursor.pointer.clone()),
            offset: Some(cursor.node.at as u64),
            entry: None,
        }
    }

    /// Looks at one instance of `row`, at `cursor`.
    pub(super) fn check(
        &mut self,
        row: &'static str,
        holds: bool,
        cursor: &Cursor<'_>,
        message: impl FnOnce() -> String,
    ) -> bool {
        if holds {
            self.findings.holds(row);
            return true;
        }
        let place = self.place(cursor);
        self.findings.check(row, false, &place, message)
    }

    /// `row` wants the member `name` to be there.
    pub(super) fn required<'a>(
        &mut self,
        row: &'static str,
        cursor: &Cursor<'a>,
        name: &str,
    ) -> Option<Cursor<'a>> {
        let found = cursor.get(name);
        self.check(row, found.is_some(), cursor, || format!("{name} is missing"));
        found
    }

    /// Members that are there have the types of `table`; `row` says so.
    pub(super) fn types(&mut self, row: &'static str, cursor: &Cursor<'_>, table: &[(&str, Type)]) {
        for (name, kind) in table {
            if let Some(member) = cursor.get(name) {
                self.check(row, kind.fits(member.node), &member, || {
                    format!("{name} is {}, not {}", member.node.kind(), kind.name())
                });
            }
        }
    }

    /// As [`Doc::types`], where null stands for an absent member.
    pub(super) fn nullable_types(&mut self, row: &'static str, cursor: &Cursor<'_>, table: &[(&str, Type)]) {
        for (name, kind) in table {
            if cursor.some(name).is_some() {
                self.types(row, cursor, &[(*name, *kind)]);
            } else if cursor.get(name).is_some() {
                self.findings.holds(row);
            }
        }
    }

    /// What the bytes themselves show; gives the value where there is one.
    pub(super) fn bytes<'d>(&mut self, document: &'d Document) -> Option<&'d Node> {
        let at = |offset: usize, blob: &str| Place { offset: Some(offset as u64), ..Place::blob(blob) };
        let blob = self.blob.clone();
        let has = |test: fn(&FaultKind) -> bool| document.faults.iter().any(|fault| test(&fault.kind));
        for fault in &document.faults {
            let place = at(fault.at, &blob);
            match &fault.kind {
                FaultKind::Syntax(what) => {
                    self.findings.broken("IMG-N01", &place, format!("no JSON: {what}"));
                }
                FaultKind::Limit(what) => self.findings.limit("limit/json", &place, *what),
                FaultKind::Utf8 => {
                    self.findings.broken("IMG-X05", &place, "the bytes are not UTF-8");
                }
                FaultKind::Surrogate => {
                    self.findings.broken("IMG-X04", &place, "half of a surrogate pair stands alone");
                }
                FaultKind::Duplicate(name) => {
                    self.findings.broken("IMG-X07", &place, format!("the name {name:?} stands twice"));
                }
                FaultKind::Number => {
                    self.findings.broken("IMG-X06", &place, "a double does not hold this number");
                }
            }
        }
        let root = document.root.as_ref();
        if root.is_some() {
            self.findings.holds("IMG-N01");
            for (row, test) in [
                ("IMG-X05", (|kind| *kind == FaultKind::Utf8) as fn(&FaultKind) -> bool),
                ("IMG-X04", |kind| *kind == FaultKind::Surrogate),
                ("IMG-X06", |kind| *kind == FaultKind::Number),
                ("IMG-X07", |kind| matches!(kind, FaultKind::Duplicate(_))),
            ] {
                if !has(test) {
                    self.findings.holds(row);
                }
            }
        }
        root
    }
}
