//! The cards that the fake one can be, with the limits of the real ones.
//!
//! Limits of a compute capability are those of the CUDA C++ Programming Guide, table "Technical Specifications per Compute
//! Capability". Clocks, units, memory and power are those of NVIDIA's data sheets and architecture white papers, named at
//! each card; the memory size is the total that `nvidia-smi` shows for it.

/// One model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    /// Its name in `FAKE_CUDA_CARDS`.
    pub key: &'static str,
    /// What `cuDeviceGetName` says.
    pub name: &'static str,
    /// Compute capability: 90 is 9.0.
    pub sm: u32,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// The boost clock.
    pub clock_mhz: u32,
    /// Half the data rate, as NVML tells it.
    pub memory_clock_mhz: u32,
    /// Width of the memory's bus.
    pub bus_bits: u32,
    /// Memory of the card.
    pub memory_mib: u64,
    /// L2 cache.
    pub l2_bytes: u32,
    /// Shared memory of a block that has opted in to more than 48 KiB.
    pub shared_per_block: u32,
    /// Shared memory of a multiprocessor.
    pub shared_per_multiprocessor: u32,
    /// Shared memory of each block that the system keeps to itself.
    pub shared_reserved: u32,
    /// Resident threads of a multiprocessor.
    pub threads_per_multiprocessor: u32,
    /// Resident blocks of a multiprocessor.
    pub blocks_per_multiprocessor: u32,
    /// f32 multiply-adds that a multiprocessor does in a clock.
    pub f32_lanes: u32,
    /// Dense f16 multiply-adds that the tensor cores of a multiprocessor do in a clock.
    pub tensor_lanes: u32,
    /// Power limit.
    pub power_w: u32,
    /// Power with nothing to do; the order of what `nvidia-smi` shows, no figure of a data sheet.
    pub idle_w: u32,
    /// PCI device number, from the PCI ID Repository.
    pub pci_device: u32,
    /// `nvmlDeviceArchitecture_t`.
    pub architecture: u32,
}

/// Threads of a warp, on every card.
pub const WARP: u32 = 32;
/// Threads of a block, on every card of the table.
pub const THREADS_PER_BLOCK: u32 = 1024;
/// 32-bit registers of a block and of a multiprocessor, on every card of the table.
pub const REGISTERS: u32 = 65_536;
/// Shared memory of a block that has not opted in to more.
pub const SHARED_DEFAULT: u32 = 48 << 10;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// The cards, by compute capability.
pub const TABLE: [Card; 8] = [
    // "NVIDIA Tesla V100 GPU Architecture" (WP-08608) and the data sheet of the V100: 125 TFLOPS of tensor cores, 900 GB/s.
    Card {
        key: "sm_70",
        name: "Tesla V100-SXM2-16GB",
        sm: 70,
        multiprocessors: 80,
        clock_mhz: 1530,
        memory_clock_mhz: 877,
        bus_bits: 4096,
        memory_mib: 16_384,
        l2_bytes: 6 * MIB,
        shared_per_block: 96 * KIB,
        shared_per_multiprocessor: 96 * KIB,
        shared_reserved: 0,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        f32_lanes: 64,
        tensor_lanes: 512,
        power_w: 300,
        idle_w: 38,
        pci_device: 0x1db1,
        architecture: 5,
    },
    // "NVIDIA Turing GPU Architecture" (WP-09183), appendix on the TU104, and the data sheet of the T4: 65 TFLOPS, 320 GB/s.
    Card {
        key: "sm_75",
        name: "Tesla T4",
        sm: 75,
        multiprocessors: 40,
        clock_mhz: 1590,
        memory_clock_mhz: 5001,
        bus_bits: 256,
        memory_mib: 15_360,
        l2_bytes: 4 * MIB,
        shared_per_block: 64 * KIB,
        shared_per_multiprocessor: 64 * KIB,
        shared_reserved: 0,
        threads_per_multiprocessor: 1024,
        blocks_per_multiprocessor: 16,
        f32_lanes: 64,
        tensor_lanes: 512,
        power_w: 70,
        idle_w: 10,
        pci_device: 0x1eb8,
        architecture: 6,
    },
    // "NVIDIA A100 Tensor Core GPU Architecture", table 4, and the data sheet of the A100 80GB SXM: 312 TFLOPS, 2,039 GB/s.
    Card {
        key: "sm_80",
        name: "NVIDIA A100-SXM4-80GB",
        sm: 80,
        multiprocessors: 108,
        clock_mhz: 1410,
        memory_clock_mhz: 1593,
        bus_bits: 5120,
        memory_mib: 81_920,
        l2_bytes: 40 * MIB,
        shared_per_block: 163 * KIB,
        shared_per_multiprocessor: 164 * KIB,
        shared_reserved: KIB,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        f32_lanes: 64,
        tensor_lanes: 1024,
        power_w: 400,
        idle_w: 60,
        pci_device: 0x20b2,
        architecture: 7,
    },
    // "NVIDIA Ampere GA102 GPU Architecture", table 2 (RTX 3090): 142 TFLOPS of f16 with f16 sums, 936 GB/s.
    Card {
        key: "sm_86",
        name: "NVIDIA GeForce RTX 3090",
        sm: 86,
        multiprocessors: 82,
        clock_mhz: 1695,
        memory_clock_mhz: 9751,
        bus_bits: 384,
        memory_mib: 24_576,
        l2_bytes: 6 * MIB,
        shared_per_block: 99 * KIB,
        shared_per_multiprocessor: 100 * KIB,
        shared_reserved: KIB,
        threads_per_multiprocessor: 1536,
        blocks_per_multiprocessor: 16,
        f32_lanes: 128,
        tensor_lanes: 512,
        power_w: 350,
        idle_w: 25,
        pci_device: 0x2204,
        architecture: 7,
    },
    // "NVIDIA Ada GPU Architecture", appendix A (RTX 4090): 330 TFLOPS of f16 with f16 sums, 1,008 GB/s.
    Card {
        key: "sm_89",
        name: "NVIDIA GeForce RTX 4090",
        sm: 89,
        multiprocessors: 128,
        clock_mhz: 2520,
        memory_clock_mhz: 10_501,
        bus_bits: 384,
        memory_mib: 24_564,
        l2_bytes: 72 * MIB,
        shared_per_block: 99 * KIB,
        shared_per_multiprocessor: 100 * KIB,
        shared_reserved: KIB,
        threads_per_multiprocessor: 1536,
        blocks_per_multiprocessor: 24,
        f32_lanes: 128,
        tensor_lanes: 512,
        power_w: 450,
        idle_w: 20,
        pci_device: 0x2684,
        architecture: 8,
    },
    // "NVIDIA H100 Tensor Core GPU Architecture", table 3, and the data sheet of the H100 SXM: 989 TFLOPS at 1,830 MHz,
    // 3,352 GB/s. The clock is the highest that the driver offers.
    Card {
        key: "sm_90",
        name: "NVIDIA H100 80GB HBM3",
        sm: 90,
        multiprocessors: 132,
        clock_mhz: 1980,
        memory_clock_mhz: 2619,
        bus_bits: 5120,
        memory_mib: 81_559,
        l2_bytes: 50 * MIB,
        shared_per_block: 227 * KIB,
        shared_per_multiprocessor: 228 * KIB,
        shared_reserved: KIB,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        f32_lanes: 128,
        tensor_lanes: 2048,
        power_w: 700,
        idle_w: 70,
        pci_device: 0x2330,
        architecture: 9,
    },
    // "NVIDIA Blackwell Architecture Technical Brief" and the data sheet of the HGX B200: 2.25 PFLOPS of dense f16, 8 TB/s.
    Card {
        key: "sm_100",
        name: "NVIDIA B200",
        sm: 100,
        multiprocessors: 148,
        clock_mhz: 1965,
        memory_clock_mhz: 3996,
        bus_bits: 8192,
        memory_mib: 183_359,
        l2_bytes: 126 * MIB,
        shared_per_block: 227 * KIB,
        shared_per_multiprocessor: 228 * KIB,
        shared_reserved: KIB,
        threads_per_multiprocessor: 2048,
        blocks_per_multiprocessor: 32,
        f32_lanes: 128,
        tensor_lanes: 4096,
        power_w: 1000,
        idle_w: 140,
        pci_device: 0x2901,
        architecture: 10,
    },
    // "NVIDIA RTX Blackwell GPU Architecture", appendix A (RTX 5090): 419 TFLOPS of f16 with f16 sums, 1,792 GB/s.
    Card {
        key: "sm_120",
        name: "NVIDIA GeForce RTX 5090",
        sm: 120,
        multiprocessors: 170,
        clock_mhz: 2407,
        memory_clock_mhz: 14_001,
        bus_bits: 512,
        memory_mib: 32_607,
        l2_bytes: 96 * MIB,
        shared_per_block: 99 * KIB,
        shared_per_multiprocessor: 100 * KIB,
        shared_reserved: KIB,
        threads_per_multiprocessor: 1536,
        blocks_per_multiprocessor: 24,
        f32_lanes: 128,
        tensor_lanes: 512,
        power_w: 575,
        idle_w: 20,
        pci_device: 0x2b85,
        architecture: 10,
    },
];

impl Card {
    /// The card of this name.
    pub fn named(key: &str) -> Option<Self> {
        TABLE.into_iter().find(|card| card.key == key)
    }

    /// Bytes that its memory moves in a second.
    pub fn bandwidth(&self) -> f64 {
        // Two transfers in a clock.
        f64::from(self.memory_clock_mhz) * 1e6 * 2.0 * f64::from(self.bus_bits) / 8.0
    }

    /// Clocks in a second.
    pub fn clock(&self) -> f64 {
        f64::from(self.clock_mhz) * 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_card_agree_with_its_data_sheet() {
        // Bandwidth in GB/s, tensor cores in TFLOPS; within 3 %, and the H100's clock is 8 % above the data sheet's.
        let sheets =
            [(900, 125), (320, 65), (2039, 312), (936, 142), (1008, 330), (3352, 1070), (8184, 2380), (1792, 419)];
        for (card, (bandwidth, tensor)) in TABLE.iter().zip(sheets) {
            let near = |is: f64, said: i32| (is / f64::from(said) - 1.0).abs() < 0.03;
            assert!(near(card.bandwidth() / 1e9, bandwidth), "{}: {}", card.key, card.bandwidth());
            let products = f64::from(card.multiprocessors * card.tensor_lanes) * card.clock() * 2.0 / 1e12;
            assert!(near(products, tensor), "{}: {products}", card.key);
            assert!(card.shared_per_block + card.shared_reserved <= card.shared_per_multiprocessor);
        }
        assert_eq!(Card::named("sm_90").map(|card| card.sm), Some(90));
        assert_eq!(Card::named("sm_91"), None);
    }
}
