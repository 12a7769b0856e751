//! What `cuTensorMapEncode*` writes into the 128 bytes of a `CUtensorMap`, and how the interpreter reads it.
//!
//! NVIDIA does not publish its layout, so this one is our own. Dimensions are in CUDA's order: the innermost comes first.

/// The first word of each of our tensor maps: memory that holds none has something else there.
const MAGIC: u32 = 0x7450_616d;

/// How a box is cut out of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A box of these many elements in each dimension.
    Tiled { box_size: [u32; 5] },
    /// Pixels of a convolution's windows.
    Im2col {
        /// For W, H, D: where the bounding box of pixels begins, and how far from the tensor's end it ends.
        lower: [i32; 3],
        upper: [i32; 3],
        channels: u32,
        pixels: u32,
    },
    /// As `Im2col`, but the bounding box is that of W alone.
    Im2colWide { lower: i32, upper: i32, channels: u32, pixels: u32 },
}

/// `CUtensorMap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// `CUtensorMapDataType`.
    pub data_type: u8,
    /// Bytes of an element.
    pub element: u8,
    pub rank: u8,
    /// `CUtensorMapInterleave`.
    pub interleave: u8,
    /// `CUtensorMapSwizzle`.
    pub swizzle: u8,
    /// Elements outside the tensor are NaN, not zero.
    pub fill_nan: bool,
    pub base: u64,
    /// Elements in each dimension.
    pub size: [u32; 5],
    /// Bytes between elements of each dimension; `stride[0]` is the size of an element.
    pub stride: [u64; 5],
    /// Traversal strides, in elements.
    pub element_stride: [u8; 5],
    pub mode: Mode,
}

/// Writes and reads fields one after the other.
struct Cursor<'a> {
    bytes: &'a mut [u8; 128],
    at: usize,
}

impl Cursor<'_> {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&field);
        self.at += N;
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn i16(&mut self) -> i32 {
        i16::from_le_bytes(self.take()).into()
    }
}

impl TensorMap {
    /// The bytes of the map.
    pub fn encode(&self) -> [u8; 128] {
        let mut bytes = [0; 128];
        let mut to = Cursor { bytes: &mut bytes, at: 0 };
        let kind = match self.mode {
            Mode::Tiled { .. } => 0,
            Mode::Im2col { .. } => 1,
            Mode::Im2colWide { .. } => 2,
        };
        to.put(MAGIC.to_le_bytes());
        to.put([self.data_type, self.element, self.rank, self.interleave]);
        to.put([self.swizzle, self.fill_nan.into(), kind]);
        to.put(self.element_stride);
        to.put(self.base.to_le_bytes());
        self.size.iter().for_each(|size| to.put(size.to_le_bytes()));
        self.stride.iter().for_each(|stride| to.put(stride.to_le_bytes()));
        match self.mode {
            Mode::Tiled { box_size } => box_size.iter().for_each(|size| to.put(size.to_le_bytes())),
            Mode::Im2col { lower, upper, channels, pixels } => {
                lower.iter().chain(&upper).for_each(|corner| to.put((*corner as i16).to_le_bytes()));
                to.put(channels.to_le_bytes());
                to.put(pixels.to_le_bytes());
            }
            Mode::Im2colWide { lower, upper, channels, pixels } => {
                [lower, upper].iter().for_each(|corner| to.put((*corner as i16).to_le_bytes()));
                to.put(channels.to_le_bytes());
                to.put(pixels.to_le_bytes());
            }
        }
        bytes
    }

    /// The map in these bytes, if one was encoded there.
    pub fn decode(bytes: &[u8; 128]) -> Option<Self> {
        let mut bytes = *bytes;
        let mut from = Cursor { bytes: &mut bytes, at: 0 };
        if from.u32() != MAGIC {
            return None;
        }
        let [data_type, element, rank, interleave] = from.take();
        let [swizzle, fill_nan, kind] = from.take();
        let element_stride = from.take();
        let base = u64::from_le_bytes(from.take());
        let size = [(); 5].map(|()| from.u32());
        let stride = [(); 5].map(|()| u64::from_le_bytes(from.take()));
        let mode = match kind {
            0 => Mode::Tiled { box_size: [(); 5].map(|()| from.u32()) },
            1 => {
                let (lower, upper) = ([(); 3].map(|()| from.i16()), [(); 3].map(|()| from.i16()));
                Mode::Im2col { lower, upper, channels: from.u32(), pixels: from.u32() }
            }
            _ => {
                let (lower, upper) = (from.i16(), from.i16());
                Mode::Im2colWide { lower, upper, channels: from.u32(), pixels: from.u32() }
            }
        };
        let fill_nan = fill_nan != 0;
        Some(Self { data_type, element, rank, interleave, swizzle, fill_nan, base, size, stride, element_stride, mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_as_it_was_written() {
        let modes = [
            Mode::Tiled { box_size: [64, 32, 1, 1, 256] },
            Mode::Im2col { lower: [-1, -2, -3], upper: [4, 5, -32_768], channels: 64, pixels: 1024 },
            Mode::Im2colWide { lower: -1, upper: 7, channels: 8, pixels: 16 },
        ];
        for mode in modes {
            let map = TensorMap {
                data_type: 6,
                element: 2,
                rank: 4,
                interleave: 0,
                swizzle: 3,
                fill_nan: true,
                base: 0x7000_1234_5670,
                size: [64, 56, 56, 32, u32::MAX],
                stride: [2, 128, 7168, 401_408, 1 << 39],
                element_stride: [1, 2, 2, 1, 1],
                mode,
            };
            assert_eq!(TensorMap::decode(&map.encode()), Some(map));
        }
        assert_eq!(TensorMap::decode(&[0; 128]), None);
    }
}
