//! Values that go into a statement and come out of it.

use crate::{Error, Result};
pub use rusqlite::types::Value;

/// What a statement's `?1`, `?2`, … stand for.
pub trait IntoParams {
    /// The values, in order.
    fn into_params(self) -> Vec<Value>;
}

impl IntoParams for () {
    fn into_params(self) -> Vec<Value> {
        Vec::new()
    }
}

/// The same for a tuple of each length.
macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(impl<$($name: IntoValue),+> IntoParams for ($($name,)+) {
            fn into_params(self) -> Vec<Value> {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                vec![$($name.into_value()),+]
            }
        })+
    };
}
tuples!((A) (A B) (A B C) (A B C D));

/// A value that a statement takes.
pub trait IntoValue {
    /// The value as SQLite has it.
    fn into_value(self) -> Value;
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Text(self)
    }
}

impl IntoValue for Vec<u8> {
    fn into_value(self) -> Value {
        Value::Blob(self)
    }
}

impl IntoValue for i64 {
    fn into_value(self) -> Value {
        Value::Integer(self)
    }
}

/// A row of an answer.
#[derive(Clone, Debug)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// The value in a column.
    ///
    /// # Errors
    /// Where there is no such column, or it holds a value of another type.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        let value = self.0.get(column).ok_or_else(|| Error::Misuse(format!("the row has no column {column}")))?;
        let failed = || Error::ConversionFailure(format!("column {column} holds {}", value.data_type()));
        T::from_value(value).ok_or_else(failed)
    }
}

/// A value that a row gives.
pub trait FromValue: Sized {
    /// The value, where it is of this type.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Blob(bytes) = value { Some(bytes.clone()) } else { None }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Integer(number) = value { Some(*number) } else { None }
    }
}
