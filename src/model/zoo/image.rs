//! Networks of images: how the module of one becomes a network of any inputs and outputs.

/// Makes a Burn module with `fn forward(&self, images: Tensor<4>) -> Tensor<2>` a network of one input and one output.
macro_rules! image_network {
    ($module:ty) => {
        impl $crate::model::network::BurnNetwork for $module {
            fn run(&self, inputs: &[$crate::model::Value]) -> Vec<$crate::model::Value> {
                vec![self.forward(inputs[0].tensor()).into()]
            }
        }
    };
}
pub(super) use image_network;
