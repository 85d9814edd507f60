//! Setters by the names of fields, for what callers put together: a field that comes later breaks none of them.

/// For each field a method that gives the same value with another one of it.
macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {$(
        #[doc = concat!("The same with this [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

pub(crate) use setters;
