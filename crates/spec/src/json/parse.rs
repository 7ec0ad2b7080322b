//! Text to tree, with the refusals that `serde_json` alone does not make.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{At, Error, Kind, Limits, Object, Value};

pub(super) fn parse(bytes: &[u8], limits: Limits) -> Result<Value, Error> {
    if bytes.len() > limits.size {
        let message = format!("document of {} bytes is over the limit of {}", bytes.len(), limits.size);
        return Err(Error::new(Kind::TooLarge, "", message));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::new(Kind::Utf8, "", format!("invalid UTF-8 at byte {}", e.valid_up_to())))?;
    let refusal = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Seed { at: &At::ROOT, depth_left: limits.depth, refusal: &refusal };
    let parsed = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|e| refusal.take().unwrap_or_else(|| Error::new(Kind::Syntax, "", e.to_string())))
}

/// Builds one value, knowing where it stands and how much deeper it may go.
#[derive(Clone, Copy)]
struct Seed<'a> {
    at: &'a At<'a>,
    depth_left: usize,
    /// Our own reason, which `serde_json`'s error type could not carry.
    refusal: &'a Cell<Option<Error>>,
}

impl Seed<'_> {
    fn refuse<E: serde::de::Error>(&self, kind: Kind, message: String) -> E {
        self.refusal.set(Some(self.at.error(kind, message)));
        E::custom("refused")
    }

    fn depth_below<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.depth_left
            .checked_sub(1)
            .ok_or_else(|| self.refuse(Kind::TooDeep, "nested deeper than the limit".into()))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Unsigned))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth_left = self.depth_below()?;
        let mut values = Vec::new();
        loop {
            let at = self.at.index(values.len());
            match seq.next_element_seed(Seed { at: &at, depth_left, ..self })? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let depth_left = self.depth_below()?;
        let mut members = Object::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let at = self.at.member(&name);
            let seed = Seed { at: &at, depth_left, ..self };
            let value = map.next_value_seed(seed)?;
            if members.contains_key(&name) {
                return Err(seed.refuse(Kind::Duplicate, format!("member {name:?} stands twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// A member's name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_string(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<String, E> {
        Ok(value.to_owned())
    }
}
