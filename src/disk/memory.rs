//! How much memory this process may use, as the kernel tells.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that the machine has, or less where a control group (version 1 or 2) allows less; `None` where the
/// kernel does not tell.
pub fn allowed() -> Option<u64> {
    allowed_below(Path::new("/"))
}

fn allowed_below(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits(root, line));
    limits.chain(machine(root)).min()
}

/// The machine's memory: `MemTotal: 24684208 kB`.
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of a control group and of those above it: `0::/system.slice/muster.service` in version 2,
/// `4:memory:/docker/7f3a` in version 1. Inside a container the group may be mounted as the root.
fn limits(root: &Path, line: &str) -> Vec<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (mount, file) = match controllers {
        "" => (root.join("sys/fs/cgroup"), "memory.max"),
        one if one.split(',').any(|one| one == "memory") => {
            (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = PathBuf::from(group.trim_start_matches('/'));
    // "max" is no number, and no limit.
    let limit = |group: &Path| fs::read_to_string(mount.join(group).join(file)).ok()?.trim().parse().ok();
    group.ancestors().filter_map(limit).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allowed_of(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        allowed_below(root.path())
    }

    #[test]
    fn the_least_of_machine_and_control_groups_counts() {
        let machine = ("proc/meminfo", "MemTotal:        4096 kB\nMemFree: 1 kB\n");
        assert_eq!(allowed_of(&[machine]), Some(4 << 20));
        let second = ("proc/self/cgroup", "0::/a.slice/b.service\n");
        let no_limit = ("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
        let above = ("sys/fs/cgroup/a.slice/memory.max", "1048576\n");
        assert_eq!(allowed_of(&[machine, second, no_limit, above]), Some(1 << 20));
        let first = ("proc/self/cgroup", "11:cpu,cpuacct:/x\n4:memory:/docker/7f\n");
        let inside = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n");
        assert_eq!(allowed_of(&[machine, first, inside]), Some(2 << 20));
        assert_eq!(allowed_of(&[]), None);
    }
}
