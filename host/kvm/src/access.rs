//! Permissions on KVM's device, for the message to a user without them.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// The users with access to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A group, by its number.
    Group(u32),
    /// Its owner only, or the permissions are unknown.
    Owner,
}

impl Access {
    /// Returns the users with access to this device.
    pub(crate) fn of(device: &Path) -> Self {
        const GROUP_READS_AND_WRITES: u32 = 0o060;
        let metadata = fs::metadata(device).ok();
        let group = metadata.filter(|it| it.mode() & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES);
        group.filter(|it| it.gid() != 0).map_or(Self::Owner, |it| Self::Group(it.gid()))
    }

    /// Returns advice for a user without access.
    pub(crate) fn remedy(self, device: &Path) -> String {
        let device = device.display();
        match self {
            Self::Group(id) => {
                let name = group_name(id).unwrap_or_else(|| id.to_string());
                format!("join its group (`sudo usermod -aG {name} $USER`, then log in again)")
            }
            Self::Owner => format!(
                "no group has access; give yourself access (`sudo setfacl -m u:$USER:rw {device}`), or run as its owner"
            ),
        }
    }
}

/// Returns a group's name from /etc/group.
fn group_name(id: u32) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let mut fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.find_map(|fields| (fields.get(2)?.parse() == Ok(id)).then(|| fields[0].to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_group_is_named_only_where_it_has_access() {
        let device = Path::new("/dev/kvm");
        assert!(Access::Group(0).remedy(device).contains("usermod -aG root "));
        assert!(Access::Owner.remedy(device).contains("u:$USER:rw /dev/kvm"));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let access = |mode| {
            fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).expect("it is ours");
            Access::of(file.path())
        };
        let group = file.path().metadata().expect("a file").gid();
        assert_eq!(access(0o600), Access::Owner);
        assert_eq!(access(0o660), if group == 0 { Access::Owner } else { Access::Group(group) });
    }
}
