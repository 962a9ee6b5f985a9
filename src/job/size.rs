//! Sizes as job files and the command line write them.

const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// The least memory that is enough to work in: 64 MiB.
const LEAST_MEMORY: u64 = 64 << 20;

/// Memory in bytes: a whole number and a unit (`K`, `M`, `G`, `T`, powers of 1,024): `256M`, `2G`.
///
/// # Errors
/// A sentence that says what is wrong and how to write it.
pub fn memory(text: &str) -> Result<u64, String> {
    let bytes = UNITS.iter().find_map(|(unit, bits)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(1 << bits)
    });
    match bytes {
        None => Err(format!("`{text}` is no size; write a number and a unit: 256M, 2G")),
        Some(bytes) if bytes < LEAST_MEMORY => {
            Err(format!("`{text}` is too little memory to work in; the least is 64M"))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// Memory where nobody says how much: a quarter of what this process is allowed, for others live on this machine too;
/// `None` = no limit, where that is not known either.
pub fn memory_by_default(allowed: Option<u64>) -> Option<u64> {
    allowed.map(|bytes| (bytes / 4).max(LEAST_MEMORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_mistakes_refused() {
        assert_eq!(memory("256M"), Ok(256 << 20));
        assert_eq!(memory("2G"), Ok(2 << 30));
        for wrong in ["", "M", "256", "256m", "1.5G", "-1G", "63M", "99999999999999T", "2 G"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
        let defaults = [None, Some(1), Some(4 << 30)].map(memory_by_default);
        assert_eq!(defaults, [None, Some(LEAST_MEMORY), Some(1 << 30)]);
    }
}
