//! Pillow's resampling, to the last bit: two passes of fixed-point filters, each rounded to eight bits.
//!
//! Its filters widen with the reduction (antialiasing) and are centred on pixel centres; their coefficients are
//! normalised in f64, then rounded to 22 bits (Pillow 13.0, src/libImaging/Resample.c). A network's accuracy depends on such
//! things: torchvision's weights were trained on images resized by it.

use super::decode::Rgb;
use crate::model::classifier::Filter;
use std::ops::Range;

/// Bits behind the point of a coefficient: eight are left for the pixel and two for overshoot.
const BITS: u32 = 32 - 8 - 2;

/// The image at another size. An empty image stays as it is.
pub fn resize(image: &Rgb, width: usize, height: usize, filter: Filter) -> Rgb {
    if image.pixels.is_empty() {
        return image.clone();
    }
    let mut resampler = Resampler::new((image.width, image.height), (width, height), (0..width, 0..height), filter);
    image.pixels.chunks_exact(3 * image.width).for_each(|row| resampler.row(row));
    resampler.finish()
}

/// A part of an image at another size, made row by row. It holds no more than the rows that this part is made of, and of
/// those only the columns of the part: an image may be far larger than what is cut out of it, and the scaled one, too.
pub struct Resampler {
    columns: Vec<Taps>,
    rows: Vec<Taps>,
    /// The rows of the image that the part is made of.
    wanted: Range<usize>,
    /// Number of the next row.
    next: usize,
    /// The wanted rows so far, with the columns of the part: the result of the first pass.
    across: Vec<u8>,
}

impl Resampler {
    /// Scales an image from one size, in pixels across and down, to another, and cuts a part out of it.
    pub fn new(
        from: (usize, usize),
        to: (usize, usize),
        (across, down): (Range<usize>, Range<usize>),
        filter: Filter,
    ) -> Self {
        let (columns, rows) = (taps(from.0, to.0, across, filter), taps(from.1, to.1, down, filter));
        let first = rows.first().map_or(0, |taps| taps.first);
        let end = rows.last().map_or(0, |taps| taps.first + taps.weights.len());
        let across = Vec::with_capacity(3 * columns.len() * (end - first));
        Self { columns, rows, wanted: first..end, next: 0, across }
    }

    /// The next row of the image.
    pub fn row(&mut self, row: &[u8]) {
        let number = self.next;
        self.next += 1;
        if !self.wanted.contains(&number) {
            return;
        }
        for Taps { first, weights } in &self.columns {
            let mut sums = [1 << (BITS - 1); 3];
            for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
            }
            self.across.extend(sums.map(clip));
        }
    }

    /// The part, after the last row.
    pub fn finish(self) -> Rgb {
        let stride = 3 * self.columns.len();
        let mut pixels = Vec::with_capacity(stride * self.rows.len());
        let mut sums = vec![0; stride];
        for Taps { first, weights } in &self.rows {
            sums.fill(1 << (BITS - 1));
            let above = first - self.wanted.start;
            for (row, weight) in self.across[above * stride..].chunks_exact(stride.max(1)).zip(weights) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += i32::from(*value) * weight);
            }
            pixels.extend(sums.iter().copied().map(clip));
        }
        Rgb { width: self.columns.len(), height: self.rows.len(), pixels }
    }
}

/// What one pixel of a pass is made of: a stretch of pixels of the image before, weighted.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Filter {
    /// How far the filter reaches, pixels of the coarser image.
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// Its value at a distance.
    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The taps of some pixels of a side that goes from `from` to `to` pixels.
fn taps(from: usize, to: usize, part: Range<usize>, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let widened = scale.max(1.0);
    let support = filter.support() * widened;
    let taps = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        // Casts cut towards zero, and below it they saturate there.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weights: Vec<f64> = (first..end).map(|x| filter.at((x as f64 - centre + 0.5) * (1.0 / widened))).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |w: f64| (w / sum * f64::from(1 << BITS) + 0.5f64.copysign(w)) as i32;
        Taps { first, weights: weights.into_iter().map(fixed).collect() }
    };
    part.map(taps).collect()
}

fn clip(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
