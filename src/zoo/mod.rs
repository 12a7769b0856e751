//! stub until the zoo lands
use burn::{module::Module, nn::{Linear, LinearConfig}, tensor::{Device, Tensor, Distribution}};
#[derive(Module, Debug)] pub struct Network { l: Linear }
impl Network { pub fn forward(&self, x: Tensor<4>) -> Tensor<2> { self.l.forward(x.flatten(1,3)) } }
pub struct Entry { pub id: &'static str, pub input_px: usize }
#[derive(Debug, thiserror::Error)] #[error("unknown network")] pub struct UnknownNetwork;
pub fn find(_: &str) -> Result<&'static Entry, UnknownNetwork> { Ok(&Entry{id:"x",input_px:32}) }
impl Entry { pub fn build(&self, d: &Device) -> Network { Network { l: LinearConfig::new(3*32*32, 1000).init(d) } } }
pub fn input(b: usize, px: usize, _: u64, d: &Device) -> Tensor<4> { Tensor::random([b,3,px,px], Distribution::Default, d) }
