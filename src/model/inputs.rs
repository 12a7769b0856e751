//! Made-up inputs: random, and like those that a model is made for, since values alone can move a card's power by two thirds.

use super::{
    port::{Contents, Port},
    random::Stream,
    value::{ElementType, Value},
};
use burn::tensor::{DType, Device, TensorData};
use rayon::prelude::*;

/// A batch for a model's input: different for each seed and each sample, the same everywhere.
pub fn made_up(port: &Port, batch: usize, seed: u64, device: &Device) -> Value {
    let shape = port.sized(batch);
    let data = match (port.contents, &shape[..]) {
        (Contents::Image, &[_, channels, height, width]) => {
            TensorData::new(images(batch, [channels, height, width], seed), shape)
        }
        (Contents::Below(bound), _) => {
            let indices = Stream::new(seed, &port.name).below(bound.max(1), shape.iter().product());
            TensorData::new(indices, shape)
        }
        (Contents::Ones, _) => TensorData::new(vec![1.0f32; shape.iter().product()], shape),
        (Contents::Image | Contents::Noise, _) => {
            let mut values = vec![0.0; shape.iter().product()];
            // Uniform values of half width √3 have variance 1.
            Stream::new(seed, &port.name).fill(&mut values, 3f32.sqrt());
            TensorData::new(values, shape)
        }
    };
    Value::from_data(converted(data, port.element), device)
}

fn converted(data: TensorData, element: ElementType) -> TensorData {
    match element {
        ElementType::Float => data.convert_dtype(DType::F32),
        ElementType::Int64 => data.convert_dtype(DType::I64),
        ElementType::Int32 => data.convert_dtype(DType::I32),
        ElementType::Bool => {
            let (shape, values) = (data.shape().clone(), data.iter::<f32>().map(|value| value != 0.0).collect());
            TensorData::new::<bool, _>(values, shape)
        }
    }
}

/// Made-up images of `[channels, height, width]`, one after the other, normalised as ImageNet's are: mean 0 and variance 1 or
/// so a channel, smooth as photographs are, with some grain.
pub fn images(count: usize, [channels, height, width]: [usize; 3], seed: u64) -> Vec<f32> {
    let plane = height * width;
    let mut values = vec![0.0; count * channels * plane];
    values.par_chunks_mut(plane.max(1)).enumerate().for_each(|(index, values)| {
        let (image, channel) = (index / channels, index % channels);
        let stream = |what: &str| Stream::new(seed, &format!("{what} of image {image} channel {channel}"));
        // Uniform values of half width √3 have variance 1; interpolation leaves 4/9 of it. In all: 0.4 + 0.4 + 0.2.
        stream("grain").fill(values, (3.0f32 * 0.2).sqrt());
        for (cells, name) in [(6, "shapes"), (28, "texture")] {
            let mut grid = vec![0.0; (cells + 1) * (cells + 1)];
            stream(name).fill(&mut grid, (3.0f32 * 0.4 * 9.0 / 4.0).sqrt());
            add_smooth(values, [height, width], &grid, cells);
        }
    });
    values
}

/// Adds the bilinear interpolation of a `(cells + 1)²` grid to a plane.
fn add_smooth(plane: &mut [f32], [height, width]: [usize; 2], grid: &[f32], cells: usize) {
    let place = |i: usize, size: usize| {
        let at = i * cells;
        (at / size, (at % size) as f32 / size as f32)
    };
    for (y, row) in plane.chunks_mut(width.max(1)).enumerate() {
        let (top, v) = place(y, height);
        let rows = [&grid[top * (cells + 1)..], &grid[(top + 1) * (cells + 1)..]];
        for (x, value) in row.iter_mut().enumerate() {
            let (left, u) = place(x, width);
            let across = rows.map(|row| row[left] + u * (row[left + 1] - row[left]));
            *value += across[0] + v * (across[1] - across[0]);
        }
    }
}
