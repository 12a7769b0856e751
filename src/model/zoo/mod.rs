//! The networks that are built in: 21 reference CNNs, each defined as the package that published weights for it has it.
//!
//! **To add one**, write it as a Burn module in a file of its own – fields called as in its PyTorch state dict, a method
//! `forward`, what folds into what, and `image_network!` – and add its row to the registry: what is published about it, its
//! preprocessing, and how it is constructed. Then put its row into `assets/reference/` and its results into `tests/parity/`.

mod alexnet;
mod blocks;
pub mod classes;
mod densenet;
mod efficientnet;
mod enet;
mod googlenet;
mod image;
mod inception_v3;
mod inception_v4;
mod mobilenet;
mod nin;
pub mod parity;
mod preprocess;
mod registry;
mod resnet;
mod sequential;
mod squeezenet;
mod vgg;

pub use classes::CLASSES;
pub use registry::{Entry, Zoo, registry};
