//! The JSON forms of fields whose types are not serde's.

use std::{borrow::Cow, collections::BTreeMap};

use guest_abi::transition::Role;
use log::Level;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};

/// A role by its name.
pub(crate) mod role {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(crate) fn serialize<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(role.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
        let name: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
        of_name(&name).ok_or_else(|| D::Error::custom(format!("unknown role `{name}`")))
    }
}

/// A role by its name, or none.
pub(crate) mod optional_role {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde passes fields by reference")]
    pub(crate) fn serialize<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
        role.map(Role::name).serialize(serializer)
    }

    /// An unknown role is none: a newer host may have more roles.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
        let name: Option<String> = Deserialize::deserialize(deserializer)?;
        Ok(name.as_deref().and_then(of_name))
    }
}

fn of_name(name: &str) -> Option<Role> {
    [Role::Producer, Role::Consumer].into_iter().find(|role| role.name() == name)
}

/// Reads a field, or `None` if it has another form: the rest of the crash is still useful.
pub(crate) fn if_possible<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Deserialize::deserialize(deserializer)?).ok())
}

/// A level of a log by its name in small letters.
pub(crate) mod level {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(crate) fn serialize<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&level.as_str().to_lowercase())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| D::Error::custom(format!("unknown level `{name}`")))
    }
}

/// Bytes as text; bytes that are not UTF-8 are replaced.
pub(crate) mod text {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(text: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(text))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cow<'static, [u8]>, D::Error> {
        Ok(String::deserialize(deserializer)?.into_bytes().into())
    }
}

/// Pairs of names and values as a map. Writing keeps their order. Reading sorts them by name.
pub(crate) mod registers {
    use super::*;

    type Register = (Cow<'static, str>, u64);

    pub(crate) fn serialize<S: Serializer>(registers: &[Register], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(registers.iter().map(|(name, value)| (name, value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Register>, D::Error> {
        Ok(BTreeMap::deserialize(deserializer)?.into_iter().collect())
    }
}

/// A map with the numbers of VMs as keys, which are text in JSON. serde itself converts them only if it has not
/// buffered the line to find its kind.
pub(crate) mod by_vm {
    use super::*;

    pub(crate) fn serialize<S: Serializer, T: Serialize>(
        map: &BTreeMap<u32, T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u32, T>, D::Error> {
        let texts: BTreeMap<String, T> = Deserialize::deserialize(deserializer)?;
        let number = |(vm, value): (String, T)| Ok((vm.parse().map_err(D::Error::custom)?, value));
        texts.into_iter().map(number).collect()
    }
}
