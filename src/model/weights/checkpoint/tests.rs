use super::*;
use crate::model::{self, Network, Value, parameter::Role};
use burn::tensor::{Device, TensorData};
use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use std::fs;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

/// Every tensor of a file, to the last bit.
fn bits(checkpoint: &Checkpoint) -> BTreeMap<String, (Vec<usize>, Vec<u32>)> {
    let read =
        |key: &str| checkpoint.read(key).unwrap().as_slice::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
    checkpoint.shapes().map(|(key, shape)| (key.to_owned(), (shape.to_vec(), read(key)))).collect()
}

#[test]
fn every_container_of_pytorch_and_safetensors_hold_the_same_bits() {
    let safe = bits(&Checkpoint::open(&fixture("tiny.safetensors")).unwrap());
    let keys: Vec<_> = safe.keys().map(String::as_str).collect();
    assert_eq!(keys, ["brain", "conv.bias", "conv.weight", "double", "half", "linear.weight"]);
    assert_eq!(safe["linear.weight"].0, [3, 4]);
    assert_eq!(safe["conv.bias"].1, [1e-40f32.to_bits(), (-0.0f32).to_bits()]);
    for name in ["tiny.pth", "legacy.pth", "tiny_of_21_characters.pth"] {
        assert_eq!(bits(&Checkpoint::open(&fixture(name)).unwrap()), safe, "{name}");
    }
}

#[test]
fn a_hostile_pickle_is_data() {
    let checkpoint = Checkpoint::open(&fixture("hostile.pth")).unwrap();
    assert_eq!(checkpoint.shapes().collect::<Vec<_>>(), [("conv.bias", &[2][..])]);
    let root = Checkpoint::open(&fixture("hostile_root.pth")).unwrap_err();
    assert!(matches!(root.fault, Fault::Malformed(_)), "{root}");
    assert!(!Path::new("executed").exists() && !fixture("executed").exists());
}

/// Writes `bytes` to a file of its own.
fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

#[test]
fn a_cut_says_where() {
    let fault = |name: &str, length: usize| {
        let bytes = fs::read(fixture(name)).unwrap();
        Checkpoint::open(file(&bytes[..length]).path()).unwrap_err().fault.to_string()
    };
    let bytes = fs::read(fixture("tiny.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let length = bytes.len();
    let text = fault("tiny.safetensors", header - 1);
    assert!(
        text.contains(&format!("ends at byte {}, inside the header, which goes to byte {header}", header - 1)),
        "{text}"
    );
    let text = fault("tiny.safetensors", length - 1);
    assert!(
        text.contains(&format!("before the end of tensor 'half' (bytes {} to {length} of {length})", length - 14)),
        "{text}"
    );
    let text = fault("tiny.pth", 1500);
    assert!(
        text.starts_with("truncated: it ends at byte 1500, inside or after 'tiny/data/0', which begins at byte 1366"),
        "{text}"
    );
    let length = fs::metadata(fixture("legacy.pth")).unwrap().len() as usize;
    let text = fault("legacy.pth", length - 1);
    assert!(text.starts_with(&format!("truncated: it ends at byte {}", length - 1)), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Cut anywhere, a file is refused; with a byte changed anywhere it may be read, but nothing panics.
    #[test]
    fn damage_is_an_error_and_never_a_panic(
        name in prop::sample::select(vec!["tiny.pth", "legacy.pth", "tiny.safetensors", "hostile.pth"]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = fs::read(fixture(name)).unwrap();
        let at = at.index(bytes.len());
        prop_assert!(Checkpoint::open(file(&bytes[..at]).path()).is_err(), "{name} cut at {at} is read");
        bytes[at] = byte;
        let changed = file(&bytes);
        if let Ok(checkpoint) = Checkpoint::open(changed.path()) {
            let keys: Vec<_> = checkpoint.shapes().map(|(key, _)| key.to_owned()).collect();
            keys.iter().for_each(|key| drop(checkpoint.read(key)));
        }
    }
}

#[test]
fn what_is_no_checkpoint_is_called_by_its_name() {
    for (bytes, what) in [
        (&b""[..], "empty"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"weights", "neither"),
        (b"\x80\x02}q\x00.", "not the weights of alexnet"),
    ] {
        let file = file(bytes);
        let opened = Checkpoint::open(file.path()).and_then(|c| c.check(&model::find("alexnet").unwrap()));
        let text = opened.unwrap_err().to_string();
        assert!(text.contains(what) && text.contains(&*file.path().to_string_lossy()), "{text}");
    }
    assert!(matches!(Checkpoint::open(Path::new("/")).unwrap_err().fault, Fault::NotACheckpoint(_)));
    assert!(matches!(Checkpoint::open(Path::new("/no/such")).unwrap_err().fault, Fault::Io(_)));
}

/// The tensors of a network as PyTorch would save them.
struct Saved {
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

fn save(network: &dyn Network) -> Saved {
    let mut tensors = BTreeMap::new();
    network.visit(&mut |parameter, value| {
        let value = match parameter.role {
            Role::Linear => Value::from(value().tensor::<2, burn::tensor::Float>().transpose()),
            _ => value(),
        };
        let data: TensorData = value.into_data().unwrap();
        let bytes = data.as_slice::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.insert(parameter.key.clone(), (data.shape().to_vec(), bytes));
    });
    Saved { tensors }
}

impl Saved {
    fn write(&self) -> tempfile::NamedTempFile {
        let view = |(shape, bytes)| TensorView::new(Dtype::F32, Vec::clone(shape), Vec::as_slice(bytes)).unwrap();
        let views = self.tensors.iter().map(|(key, (shape, bytes))| (key, view((shape, bytes))));
        file(&safetensors::serialize(views, None).unwrap())
    }
}

/// A MobileNet has all that can go wrong: grouped convolutions, statistics, a linear layer to transpose.
#[test]
fn loaded_weights_give_the_logits_of_those_that_were_saved() {
    let model = model::find("mobilenet-v2").unwrap();
    let device = Device::flex();
    let network = model.build(&device);
    let checkpoint = save(&*network).write();
    let loaded = Checkpoint::open(checkpoint.path()).unwrap().load(&model, &device).unwrap();
    let inputs = model.made_up_inputs(1, 1, &device);
    let logits = |network: &dyn Network| network.forward(&inputs).remove(0).into_data().unwrap();
    assert_eq!(logits(&*network), logits(&*loaded));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let model = model::find("squeezenet1.1").unwrap();
    let mut saved = save(&*model.build(&Device::flex()));
    let bias = saved.tensors.remove("classifier.1.bias").unwrap();
    saved.tensors.insert("aux1.conv.weight".to_owned(), bias.clone());
    saved.tensors.insert("classifier.7.bias".to_owned(), bias);
    saved.tensors.get_mut("features.3.squeeze.bias").unwrap().0 = vec![4, 4];
    let open = |saved: &Saved| Checkpoint::open(saved.write().path()).unwrap();
    let error = open(&saved).load(&model, &Device::flex()).unwrap_err();
    let text = error.fault.to_string();
    assert_eq!(
        text,
        "not the weights of squeezenet1.1\n  1 missing: classifier.1.bias\n  1 surplus: classifier.7.bias\n  1 misshapen: \
         features.3.squeeze.bias is [4, 4], not [16]"
    );
    let whole = open(&save(&*model.build(&Device::flex())));
    let text = whole.check(&model::find("vgg16").unwrap()).unwrap_err().to_string();
    assert!(text.contains("not the weights of vgg16 but those of squeezenet1.1\n  30 missing: "), "{text}");
    assert!(text.contains(", …\n  50 surplus: classifier.1.bias, "), "{text}");
}

#[test]
fn no_network_has_keys_that_would_be_taken_for_a_wrapping() {
    for model in model::list() {
        for tensor in model.structure(&Device::flex()).parameters() {
            let wrappers = names::WRAPPERS.iter().map(|wrapper| format!("{wrapper}."));
            let others = names::PREFIXES.iter().chain(&names::AUXILIARY).map(|prefix| (*prefix).to_owned());
            let wrapped = wrappers.chain(others).any(|prefix| tensor.key.starts_with(&prefix));
            assert!(!wrapped && names::current(&tensor.key) == tensor.key, "{}: {}", model.name, tensor.key);
        }
    }
    let old = "features.denseblock1.denselayer1.norm.1.running_mean";
    assert_eq!(names::current(old), "features.denseblock1.denselayer1.norm1.running_mean");
}

impl Saved {
    /// The same tensors by other keys.
    fn renamed(&self, rename: impl Fn(&str) -> String) -> Self {
        Self { tensors: self.tensors.iter().map(|(key, tensor)| (rename(key), tensor.clone())).collect() }
    }

    fn put(mut self, key: &str, shape: &[usize]) -> Self {
        let values = vec![0; 4 * shape.iter().product::<usize>()];
        self.tensors.insert(key.to_owned(), (shape.to_vec(), values));
        self
    }
}

#[test]
fn weights_are_found_below_whatever_training_scripts_put_around_them() {
    let model = model::find("squeezenet1.1").unwrap();
    let plain = save(&*model.structure(&Device::flex()));
    let below = |prefix: &'static str| plain.renamed(move |key| format!("{prefix}{key}"));
    let cases = [
        (below(""), None),
        (below("module."), None),
        (below("module._orig_mod."), None),
        // torch.optim.swa_utils.AveragedModel, and torchvision's references, which save one beside the model.
        (below("module.").put("n_averaged", &[]), None),
        (below("model_ema.module.").put("model_ema.n_averaged", &[]), Some("model_ema")),
        (below("model.").put("model_ema.fc.weight", &[2]), Some("model, not model_ema")),
        (below("state_dict_ema."), Some("state_dict_ema")),
        (below("net.").put("epoch", &[]), Some("net")),
        (below("state_dict.model.").put("optimizer.state.0.exp_avg", &[3]), Some("state_dict.model")),
        (below("state.model._orig_mod."), Some("state.model")),
        (below("params_ema."), Some("params_ema")),
    ];
    for (saved, part) in cases {
        let keys: Vec<_> = saved.tensors.keys().take(2).cloned().collect();
        let checkpoint = Checkpoint::open(saved.write().path()).unwrap();
        checkpoint.check(&model).unwrap_or_else(|error| panic!("{keys:?}: {error}"));
        assert_eq!(checkpoint.part().as_deref(), part, "{keys:?}");
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let model = model::find("squeezenet1.1").unwrap();
    let mut saved = save(&*model.structure(&Device::flex()));
    let mut poison = |key: &str, at: usize, value: f32| {
        saved.tensors.get_mut(key).unwrap().1[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    };
    poison("features.3.squeeze.bias", 5, f32::INFINITY);
    // [1000, 512, 1, 1]
    poison("classifier.1.weight", 7 * 512 + 3, f32::NAN);
    poison("classifier.1.weight", 9 * 512, f32::NEG_INFINITY);
    let error = Checkpoint::open(saved.write().path()).unwrap().load(&model, &Device::flex()).unwrap_err();
    assert_eq!(
        error.fault.to_string(),
        "weights that are not finite: 1 of 16 in features.3.squeeze.bias (inf at [5]), 2 of 512000 in classifier.1.weight (NaN \
         at [7, 3, 0, 0]); training has diverged or the file is damaged: take an earlier checkpoint, or fetch the file again"
    );
}

#[test]
fn eight_bit_floats_are_loaded_and_integers_are_not() {
    let write = |dtype: Dtype, bytes: &[u8]| {
        let view = TensorView::new(dtype, vec![bytes.len()], bytes).unwrap();
        file(&safetensors::serialize([("weight", view)], None).unwrap())
    };
    let read = |dtype, bytes: &[u8]| Checkpoint::open(write(dtype, bytes).path()).unwrap().read("weight");
    assert_eq!(read(Dtype::F8_E4M3, &[0x38, 0xb9]).unwrap().as_slice::<f32>().unwrap(), [1.0, -1.125]);
    assert_eq!(read(Dtype::F8_E5M2, &[0x3d]).unwrap().as_slice::<f32>().unwrap(), [1.25]);
    let text = read(Dtype::I8, &[3]).unwrap_err().to_string();
    assert!(text.contains("tensor 'weight': holds I8; weights are read as") && text.contains("convert it"), "{text}");
}

#[test]
fn programs_and_pipes_are_called_what_they_are() {
    for (name, what) in [("script.pt", "torch.jit.load(FILE).state_dict()"), ("program.pt2", "torch.export.load(FILE)")]
    {
        let text = Checkpoint::open(&fixture(name)).unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let text = Checkpoint::open(Path::new(&path)).unwrap_err().to_string();
    assert!(text.ends_with("this is a pipe, and it is read more than once: save it to a file first"), "{text}");
    drop(writer);
}
