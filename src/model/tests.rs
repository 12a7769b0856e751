//! A second source of models, of networks that take no images: what it takes to add one, and that everything which runs,
//! checks and describes a model works for them as they are.

use super::{
    Definition, Model, ModelError, ModelSource, Network, Port, Provenance, Value, capture, cost, fold::Fold,
    network::BurnNetwork, port::Contents,
};
use crate::{
    backend::RunError,
    check::Reference,
    engine::measure::Built,
    event::{Config, Precision},
    model::weights::checkpoint::Checkpoint,
};
use burn::{
    module::Module,
    nn::{Embedding, EmbeddingConfig, Linear, LinearConfig},
    tensor::{Device, Float, Int, activation},
};
use safetensors::{Dtype, tensor::TensorView};

/// Two linear layers on a vector of 16, with a ReLU between.
#[derive(Module, Debug)]
struct Perceptron {
    fc1: Linear,
    fc2: Linear,
}

impl Fold for Perceptron {}

impl BurnNetwork for Perceptron {
    fn run(&self, inputs: &[Value]) -> Vec<Value> {
        let hidden = self.fc1.forward(inputs[0].tensor::<2, Float>());
        vec![self.fc2.forward(activation::relu(hidden)).into()]
    }
}

/// Token ids of a vocabulary of 50, and a mask: the class of the sentence, and the vectors of its tokens.
#[derive(Module, Debug)]
struct Tokens {
    words: Embedding,
    head: Linear,
}

impl Fold for Tokens {}

impl BurnNetwork for Tokens {
    fn run(&self, inputs: &[Value]) -> Vec<Value> {
        let (ids, mask) = (inputs[0].tensor::<2, Int>(), inputs[1].tensor::<2, Float>());
        let vectors = self.words.forward(ids) * mask.unsqueeze_dim::<3>(2);
        let sentence = vectors.clone().sum_dim(1).squeeze_dim::<2>(1);
        vec![self.head.forward(sentence).into(), vectors.into()]
    }
}

/// Which of the two.
#[derive(Clone, Copy)]
enum Toy {
    Perceptron,
    Tokens,
}

impl Definition for Toy {
    fn structure(&self, device: &Device) -> Box<dyn Network> {
        match self {
            Self::Perceptron => Box::new(Perceptron {
                fc1: LinearConfig::new(16, 8).init(device),
                fc2: LinearConfig::new(8, 3).init(device),
            }),
            Self::Tokens => Box::new(Tokens {
                words: EmbeddingConfig::new(50, 4).init(device),
                head: LinearConfig::new(4, 2).init(device),
            }),
        }
    }
}

/// The source: as that of files will, it knows models by name and lists none.
pub(super) struct Toys;

impl ModelSource for Toys {
    fn find(&self, name: &str) -> Result<Option<Model>, ModelError> {
        let ports = match name {
            "toy/perceptron" => (
                Toy::Perceptron,
                vec![Port::float("features", &[16], Contents::Noise)],
                vec![Port::float("scores", &[3], Contents::Noise)],
            ),
            "toy/tokens" => (
                Toy::Tokens,
                vec![Port::indices("ids", &[7], 50), Port::float("mask", &[7], Contents::Ones)],
                vec![Port::float("class", &[2], Contents::Noise), Port::float("vectors", &[7, 4], Contents::Noise)],
            ),
            _ if name.starts_with("toy/") => {
                return Err(ModelError::Unusable { name: name.to_owned(), reason: "no such toy".to_owned() });
            }
            _ => return Ok(None),
        };
        let (toy, inputs, outputs) = ports;
        Ok(Some(Model::new((name, "A toy"), inputs, outputs, Provenance::default(), toy)))
    }

    fn list(&self) -> Vec<Model> {
        Vec::new()
    }
}

fn values(outputs: Vec<Value>) -> Vec<Vec<f32>> {
    outputs.into_iter().map(|output| output.into_data().unwrap().try_into_vec().unwrap()).collect()
}

#[test]
fn a_model_of_another_source_is_found_by_its_name_and_described() {
    let names = |model: &Model| [model.inputs.clone(), model.outputs.clone()].map(|ports| ports.len());
    assert_eq!(names(&super::find("toy/tokens").unwrap()), [2, 2]);
    assert_eq!(super::find("toy/train").unwrap_err().to_string(), "toy/train: no such toy");
    assert!(matches!(super::find("toys").unwrap_err(), ModelError::Unknown { .. }));
    assert!(super::find("toy/tokens").unwrap().classifier().is_err(), "it takes no photographs");
    assert!(super::list().iter().all(|model| model.classifier().is_ok()), "everything in the zoo does");
}

#[test]
fn its_cost_is_read_off_its_graph() {
    let facts = cost::facts(&super::find("toy/perceptron").unwrap()).unwrap();
    let kinds: Vec<_> = facts.layers.iter().map(|l| (l.kind.as_str(), l.params, l.macs)).collect();
    assert_eq!(kinds, [("linear", 136, 128), ("relu", 0, 0), ("linear", 27, 24)]);
    assert_eq!((facts.params, facts.input_px, facts.year), (163, 0, 0));
    assert_eq!((facts.inputs[0].shape.as_slice(), facts.inputs[0].batch_axis), (&[1, 16][..], Some(0)));

    let tokens = super::find("toy/tokens").unwrap();
    let facts = cost::facts(&tokens).unwrap();
    assert_eq!(facts.layers[0].kind, "embedding");
    assert_eq!((facts.params, tokens.params(), facts.macs), (50 * 4 + 4 * 2 + 2, 210, 8));
    let elements: Vec<_> = facts.inputs.iter().map(|port| port.element.as_str()).collect();
    assert_eq!(elements, ["int64", "float"]);
}

/// Its weights are made and loaded by the keys that PyTorch would have.
#[test]
fn its_parameters_are_called_as_in_pytorch() {
    let network = super::find("toy/tokens").unwrap().build(&Device::flex());
    let all: Vec<_> = network.parameters().into_iter().map(|p| (p.key.clone(), p.published_shape())).collect();
    let expected = [("words.weight", vec![50, 4]), ("head.weight", vec![2, 4]), ("head.bias", vec![2])];
    assert_eq!(all, expected.map(|(key, shape)| (key.to_owned(), shape)));
}

/// Built, run in batches and checked as everything else is, through the engine's own path.
#[test]
fn it_runs_and_is_checked_as_every_other_model() {
    for (name, values) in [("toy/perceptron", 3), ("toy/tokens", 2 + 7 * 4)] {
        let model = super::find(name).unwrap();
        let config = |precision| Config { network: name.to_owned(), batch: 5, precision, device: "cpu".to_owned() };
        let built = Built::new(&model, &config(Precision::F32), true).unwrap();
        let inputs = built.inputs(5).unwrap();
        let outputs = built.outputs(&inputs[0]).unwrap();
        assert_eq!(outputs.len(), 5 * values, "{name}");
        assert!(outputs.iter().all(|value| value.is_finite()) && outputs != built.outputs(&inputs[1]).unwrap());
        assert!(built.batch(&inputs[0], false).unwrap().wall.as_nanos() > 0);
        let reference = Reference::of(name).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            let checked = reference.check("cpu", precision, true).unwrap();
            assert!(checked.pass, "{checked:?}");
        }
    }
}

/// Weights that are finite, and far too large.
#[test]
fn outputs_that_are_not_finite_are_laid_to_the_weights_where_they_are_from_a_file() {
    let model = super::find("toy/perceptron").unwrap();
    let parameters = model.structure(&Device::flex()).parameters();
    let tensors: Vec<_> = parameters
        .iter()
        .map(|p| (p.key.clone(), p.published_shape(), 3e38f32.to_le_bytes().repeat(p.shape.iter().product())))
        .collect();
    let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
    let views = tensors.iter().map(|(key, shape, bytes)| (key, view(shape, bytes)));
    let file = tempfile::NamedTempFile::with_suffix(".safetensors").unwrap();
    std::fs::write(file.path(), safetensors::serialize(views, None).unwrap()).unwrap();
    let config = Config { network: model.name.clone(), batch: 2, precision: Precision::F32, device: "cpu".to_owned() };
    let built = Built::load(&model, &config, &Checkpoint::open(file.path()).unwrap(), true).unwrap();
    let input = &built.inputs(2).unwrap()[0];
    let name = file.path().file_name().unwrap().to_string_lossy().into_owned();
    for error in [built.finite_outputs(input).unwrap_err(), built.checked_batch(input).unwrap_err()] {
        assert!(matches!(&error, RunError::Weights(reason) if reason.contains(&name)), "{error:?}");
    }
}

/// What is shared with a network that is captured is as it was, and its parameters are told apart.
#[test]
fn a_network_that_was_captured_goes_on() {
    let model = super::find("resnet18").unwrap();
    let network = model.build(&Device::flex());
    let inputs = model.made_up_inputs(1, 3, &Device::flex());
    let before = values(network.forward(&inputs));
    let (captured, parameters) = capture::capture_sharing(&*network, &model.placeholders(1)).unwrap();
    assert_eq!(values(network.forward(&inputs)), before);
    let shapes: Vec<_> = parameters.iter().map(|(_, value)| value.shape()).collect();
    assert_eq!(shapes, network.parameters().into_iter().map(|p| p.shape).collect::<Vec<_>>());
    assert_eq!((captured.inputs.len(), captured.outputs.len()), (1, 1));
}
