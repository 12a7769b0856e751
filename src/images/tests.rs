use super::*;
use crate::model::{self, classifier::Filter};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{fs, path::PathBuf};

/// What Pillow and torchvision say: `tests/images/make.py` asked them.
#[derive(Deserialize)]
struct Reference {
    resized: Vec<Resized>,
    decoded: Vec<Decoded>,
    prepared: Vec<Prepared>,
}

#[derive(Deserialize)]
struct Resized {
    filter: String,
    to: [usize; 2],
    sha256: String,
}

#[derive(Deserialize)]
struct Decoded {
    file: String,
    size: [usize; 2],
    exact: bool,
    pixels: String,
}

#[derive(Deserialize)]
struct Prepared {
    file: String,
    network: String,
    px: usize,
    mean: [f64; 3],
    std: [f64; 3],
    sample: Vec<f32>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn reference() -> Reference {
    serde_json::from_slice(&fs::read(path("tests/images/reference.json")).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The image that `make.py` makes up.
fn synthetic() -> Rgb {
    let (width, height) = (97, 61);
    let value = |i: usize| {
        let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
        (x * x * 3 + y * 7 + x * y * (c + 1) + 40 * c) as u8
    };
    Rgb { width, height, pixels: (0..3 * width * height).map(value).collect() }
}

#[test]
fn images_are_resized_as_pillow_does_to_the_last_bit() {
    for Resized { filter, to: [width, height], sha256 } in reference().resized {
        let kind = if filter == "bicubic" { Filter::Bicubic } else { Filter::Bilinear };
        let resized = resize(&synthetic(), width, height, kind);
        assert_eq!((resized.width, resized.height), (width, height));
        assert_eq!(hex(&Sha256::digest(&resized.pixels)), sha256, "{filter} {width}×{height}");
    }
}

#[test]
fn every_kind_of_file_is_decoded_as_pillow_does() {
    for Decoded { file, size: [width, height], exact, pixels } in reference().decoded {
        let image = decode(&fs::read(path("tests/images").join(&file)).unwrap()).unwrap();
        assert_eq!([image.width, image.height], [width, height], "{file}");
        let ours = hex(&image.pixels);
        if exact {
            assert_eq!(ours, pixels, "{file}");
        }
        // Decoders of JPEG may round differently.
        let value = |hex: &str, i: usize| i32::from(u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap());
        let off = (0..image.pixels.len()).map(|i| (value(&ours, i) - value(&pixels, i)).abs()).max();
        assert!(off <= Some(2), "{file}: {off:?}");
    }
}

/// The photograph as each source's own transform has it: exactly, where it is stored without loss. Decoders of JPEG round
/// differently where they blow up the colours: by four steps of 255 at the most, a fifth of one on average.
#[test]
fn a_photograph_is_prepared_as_its_source_does() {
    for Prepared { file, network, px, mean, std, sample } in reference().prepared {
        let model = model::find(&network).unwrap();
        let classifier = model.classifier().unwrap();
        let input = input(&path("assets").join(&file), classifier).unwrap();
        assert_eq!((classifier.px, input.len()), (px, 3 * px * px), "{file} {network}");
        let (sure, steps) = if file.ends_with(".jpg") { (1e-2, 4.01) } else { (1e-6, 1e-3) };
        for (channel, plane) in input.chunks(px * px).enumerate() {
            let moments: crate::analysis::stats::Moments = plane.iter().map(|v| f64::from(*v)).collect();
            let close = |ours: Option<f64>, theirs: f64| (ours.unwrap() - theirs).abs() < sure;
            assert!(close(moments.mean(), mean[channel]), "{file} {network}: {moments:?}, not {}", mean[channel]);
            assert!(close(moments.deviation(), std[channel]), "{file} {network}: {moments:?}, not {}", std[channel]);
        }
        let (rows, columns) = (px.div_ceil(53), px.div_ceil(37));
        assert_eq!(sample.len(), 3 * rows * columns);
        for (i, theirs) in sample.iter().enumerate() {
            let (channel, y, x) = (i / rows / columns, i / columns % rows * 53, i % columns * 37);
            let ours = input[(channel * px + y) * px + x];
            let off = (ours - theirs).abs() * 255.0 * classifier.preprocessing.std[channel];
            assert!(off < steps, "{file} {network} {channel} {y} {x}: {ours}, not {theirs}");
        }
    }
}

#[test]
fn a_part_of_an_image_is_no_image() {
    let whole = fs::read(path("assets/chelsea.jpg")).unwrap();
    assert!(matches!(decode(&whole[..whole.len() / 2]), Err(ImageFault::Truncated)));
    let png = fs::read(path("tests/images/rgba.png")).unwrap();
    assert!(matches!(decode(&png[..png.len() / 2]), Err(ImageFault::Broken(_))));
    for bytes in [&b""[..], b"no image", b"GIF89a"] {
        assert!(matches!(decode(bytes), Err(ImageFault::Unknown)), "{bytes:?}");
    }
}

#[test]
fn a_crop_is_centred_as_pythons_round_has_it() {
    assert_eq!([224, 225, 226, 227, 229].map(|side| centred(side, 224)), [0, 0, 1, 2, 2]);
    let size = |width, height| size(width, height, Resize::Shorter(256));
    assert_eq!((size(451, 300), size(300, 451), size(256, 256)), ((384, 256), (256, 384), (256, 256)));
}

/// A PNG of black pixels with an alpha channel, written row by row.
fn black(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0; 4 * (width * height) as usize]).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn an_image_takes_the_memory_of_what_is_cut_out_of_it() {
    let model = model::find("squeezenet1.1").unwrap();
    let classifier = model.classifier().unwrap();
    // Scaled to 256 rows it is 15 million pixels wide.
    let wide = black(60_000, 1);
    let input = prepare(Image::open(&wide).unwrap(), classifier).unwrap();
    assert_eq!(input.len(), 3 * 224 * 224);
    // Decoded as a whole it would take 4 MB; by rows it takes a row.
    let plain = black(1000, 1000);
    let mut rows = 0;
    Image::within(&plain, 100_000).unwrap().rows(|row| rows += row.len() / 3000).unwrap();
    assert_eq!(rows, 1000);
    let whole = fs::read(path("assets/chelsea.jpg")).unwrap();
    let error = Image::within(&whole, 100_000).err().unwrap().to_string();
    assert!(error.starts_with("451×300 pixels: a JPEG of this size"), "{error}");
}
