//! Tree to types and back: [`Wire`], its place [`At`], and the two macros that write the types.

use std::collections::BTreeMap;

use super::{Error, Kind, Value};

/// Where in the document a value stands; a list on the stack that costs nothing until it is printed.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    Index(usize),
}

impl At<'_> {
    /// The whole document.
    pub const ROOT: At<'static> = At { parent: None, step: Step::Root };

    /// The member `name` of the object here.
    pub fn member<'b>(&'b self, name: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Member(name) }
    }

    /// The element `index` of the array here.
    pub fn index(&self, index: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Index(index) }
    }

    /// The place as a JSON pointer.
    pub fn pointer(&self) -> String {
        let mut pointer = self.parent.map_or_else(String::new, At::pointer);
        match self.step {
            Step::Root => {}
            Step::Member(name) => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Step::Index(index) => pointer.push_str(&format!("/{index}")),
        }
        pointer
    }

    /// An error of `kind` at this place.
    pub fn error(&self, kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, self.pointer(), message)
    }

    /// A [`Kind::Type`] error: `expected`, but `found` stands here.
    pub fn mistyped(&self, expected: &str, found: &Value) -> Error {
        self.error(Kind::Type, format!("expected {expected}, found {}", found.type_name()))
    }
}

/// A type that stands in a JSON document of an OCI specification.
pub trait Wire: Sized {
    /// Takes the value that stands at `at`.
    ///
    /// # Errors
    /// [`Kind::Type`], [`Kind::Missing`] or [`Kind::Value`], with the pointer of the fault.
    fn decode(value: Value, at: &At<'_>) -> Result<Self, Error>;

    /// The value as it is written.
    fn encode(&self) -> Value;
}

impl Wire for Value {
    fn decode(value: Value, _: &At<'_>) -> Result<Value, Error> {
        Ok(value)
    }

    fn encode(&self) -> Value {
        self.clone()
    }
}

impl Wire for bool {
    fn decode(value: Value, at: &At<'_>) -> Result<bool, Error> {
        match value {
            Value::Bool(value) => Ok(value),
            other => Err(at.mistyped("a boolean", &other)),
        }
    }

    fn encode(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Wire for String {
    fn decode(value: Value, at: &At<'_>) -> Result<String, Error> {
        match value {
            Value::String(value) => Ok(value),
            other => Err(at.mistyped("a string", &other)),
        }
    }

    fn encode(&self) -> Value {
        Value::String(self.clone())
    }
}

macro_rules! wire_integer {
    ($($type:ident)*) => {$(
        impl Wire for $type {
            fn decode(value: Value, at: &At<'_>) -> Result<$type, Error> {
                let converted = match value {
                    Value::Unsigned(number) => number.try_into().ok(),
                    Value::Negative(number) => number.try_into().ok(),
                    other => return Err(at.mistyped("an integer", &other)),
                };
                converted.ok_or_else(|| {
                    at.error(Kind::Type, format!("expected an integer from {} to {}", $type::MIN, $type::MAX))
                })
            }

            fn encode(&self) -> Value {
                match u64::try_from(*self) {
                    Ok(number) => Value::Unsigned(number),
                    // Only a negative number is no u64, and every negative number here fits an i64.
                    Err(_) => Value::Negative(i64::try_from(*self).unwrap_or(i64::MIN)),
                }
            }
        }
    )*};
}

wire_integer!(u8 u16 u32 u64 i32 i64);

impl<T: Wire> Wire for Option<T> {
    fn decode(value: Value, at: &At<'_>) -> Result<Option<T>, Error> {
        match value {
            Value::Null => Ok(None),
            value => T::decode(value, at).map(Some),
        }
    }

    fn encode(&self) -> Value {
        self.as_ref().map_or(Value::Null, Wire::encode)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn decode(value: Value, at: &At<'_>) -> Result<Box<T>, Error> {
        T::decode(value, at).map(Box::new)
    }

    fn encode(&self) -> Value {
        T::encode(self)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn decode(value: Value, at: &At<'_>) -> Result<Vec<T>, Error> {
        match value {
            Value::Array(values) => {
                values.into_iter().enumerate().map(|(i, value)| T::decode(value, &at.index(i))).collect()
            }
            other => Err(at.mistyped("an array", &other)),
        }
    }

    fn encode(&self) -> Value {
        Value::Array(self.iter().map(Wire::encode).collect())
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn decode(value: Value, at: &At<'_>) -> Result<BTreeMap<String, T>, Error> {
        let Value::Object(members) = value else { return Err(at.mistyped("an object", &value)) };
        let decode = |(name, value): (String, Value)| {
            let decoded = T::decode(value, &at.member(&name))?;
            Ok((name, decoded))
        };
        members.into_iter().map(decode).collect()
    }

    fn encode(&self) -> Value {
        Value::Object(self.iter().map(|(name, value)| (name.clone(), value.encode())).collect())
    }
}

/// Defines a struct that stands as a JSON object.
///
/// A field reads `pub name: Type = "jsonName"`, with `required` behind it where the specification says
/// REQUIRED. Any other field takes its default when the member is absent or null, and is not written
/// while it has its default; `always` behind it has it written even then, for readers that insist. Members
/// that the struct does not name are kept in `extra`.
#[macro_export]
macro_rules! wire_object {
    ($(
        $(#[$meta:meta])*
        pub struct $struct:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $type:ty = $json:literal $($required:ident)? , )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $struct {
            $( $(#[$field_meta])* pub $field: $type, )*
            /// Members that this type does not name, kept as they came.
            pub extra: $crate::json::Object,
        }

        impl $crate::json::Wire for $struct {
            fn decode(value: $crate::json::Value, at: &$crate::json::At<'_>) -> ::std::result::Result<$struct, $crate::json::Error> {
                #[allow(unused_mut, reason = "an object without named members takes none out")]
                let $crate::json::Value::Object(mut members) = value else {
                    return Err(at.mistyped("an object", &value));
                };
                Ok($struct {
                    $( $field: $crate::wire_object!(@decode members, at, $json, $type $(, $required)?), )*
                    extra: members,
                })
            }

            fn encode(&self) -> $crate::json::Value {
                let mut members = self.extra.clone();
                $( $crate::wire_object!(@encode members, self.$field, $json, $type $(, $required)?); )*
                $crate::json::Value::Object(members)
            }
        }
    )*};
    (@decode $members:ident, $at:ident, $json:literal, $type:ty, required) => {
        match $members.remove($json) {
            Some(value) => <$type as $crate::json::Wire>::decode(value, &$at.member($json))?,
            None => {
                let message = concat!("required member \"", $json, "\" is missing");
                return Err($at.error($crate::json::Kind::Missing, message));
            }
        }
    };
    (@decode $members:ident, $at:ident, $json:literal, $type:ty) => {
        match $members.remove($json) {
            None | Some($crate::json::Value::Null) => <$type>::default(),
            Some(value) => <$type as $crate::json::Wire>::decode(value, &$at.member($json))?,
        }
    };
    (@decode $members:ident, $at:ident, $json:literal, $type:ty, always) => {
        $crate::wire_object!(@decode $members, $at, $json, $type)
    };
    (@encode $members:ident, $field:expr, $json:literal, $type:ty, always) => {
        $crate::wire_object!(@encode $members, $field, $json, $type, required)
    };
    (@encode $members:ident, $field:expr, $json:literal, $type:ty, required) => {
        $members.insert($json.to_owned(), $crate::json::Wire::encode(&$field));
    };
    (@encode $members:ident, $field:expr, $json:literal, $type:ty) => {
        if $field != <$type>::default() {
            $members.insert($json.to_owned(), $crate::json::Wire::encode(&$field));
        }
    };
}

/// Defines an enum that stands as one of a closed set of strings.
#[macro_export]
macro_rules! wire_enum {
    ($(
        $(#[$meta:meta])*
        pub enum $enum:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $json:literal , )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum {
            $( $(#[$variant_meta])* $variant, )*
        }

        impl $enum {
            /// Every value, in the order of the specification.
            pub const ALL: &'static [$enum] = &[$( $enum::$variant, )*];

            /// The value as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( $enum::$variant => $json, )*
                }
            }
        }

        impl $crate::json::Wire for $enum {
            fn decode(value: $crate::json::Value, at: &$crate::json::At<'_>) -> ::std::result::Result<$enum, $crate::json::Error> {
                let text = <String as $crate::json::Wire>::decode(value, at)?;
                $enum::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = $enum::ALL.iter().map(|value| value.as_str()).collect();
                    let message = format!("unknown value {text:?}, expected one of {}", known.join(", "));
                    at.error($crate::json::Kind::Value, message)
                })
            }

            fn encode(&self) -> $crate::json::Value {
                $crate::json::Value::String(self.as_str().to_owned())
            }
        }
    )*};
}
