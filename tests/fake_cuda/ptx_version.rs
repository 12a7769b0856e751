//! Which PTX belongs to which CUDA version: the driver takes no newer one, and NVRTC writes that of its own version.

/// The PTX (major, minor) of a CUDA version (12040 is 12.4), by the release notes of the PTX ISA.
pub fn ptx_version(cuda: u32) -> (u32, u32) {
    let minor = cuda % 1000 / 10;
    match cuda / 1000 {
        11 => (7, minor),
        // 12.6 brought none, so that 12.7 has 8.6, 12.8 has 8.7 and 12.9 has 8.8.
        12 => (8, if minor < 6 { minor } else { minor - 1 }),
        13 => (9, minor),
        other => (other.saturating_sub(4), minor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cuda_version_has_its_ptx() {
        let until_12_6 = [(11_080, (7, 8)), (12_000, (8, 0)), (12_040, (8, 4)), (12_050, (8, 5)), (12_060, (8, 5))];
        let later = [(12_070, (8, 6)), (12_080, (8, 7)), (12_090, (8, 8)), (13_000, (9, 0)), (13_010, (9, 1))];
        for (cuda, ptx) in until_12_6.into_iter().chain(later) {
            assert_eq!(ptx_version(cuda), ptx, "{cuda}");
        }
    }
}
