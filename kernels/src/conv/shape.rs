//! The parameters of a convolution.

/// What a convolution computes, whatever its memory layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Height and width; so are all pairs below.
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Above and to the left of the input. Below and to the right it is what the output's size asks for.
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

impl Shape {
    /// Whether each channel has one filter of its own.
    pub const fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs
    }
}
