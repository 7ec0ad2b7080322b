//! A set of flags as a type of its own.

/// Defines a `Copy` set of `u64` flags with union and membership.
macro_rules! bitflags_lite {
    ($(#[$meta:meta])* $name:ident { $($(#[$flag_meta:meta])* $flag:ident = $value:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name(u64);

        impl $name {
            $($(#[$flag_meta])* pub const $flag: $name = $name($value as u64);)*

            /// No flag.
            pub const fn empty() -> $name {
                $name(0)
            }

            /// The kernel's number.
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// Whether every flag of `other` is here.
            pub const fn contains(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether no flag is here.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// These flags without those of `other`.
            pub const fn without(self, other: $name) -> $name {
                $name(self.0 & !other.0)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = $name;
            fn bitor(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }

        impl std::ops::BitOrAssign for $name {
            fn bitor_assign(&mut self, other: $name) {
                self.0 |= other.0;
            }
        }
    };
}
