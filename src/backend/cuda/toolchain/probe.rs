//! A kernel that includes what CubeCL's kernels include, compiled once for a toolchain: a header that includes one which is
//! missing shows here, and not as hundreds of kernels that silently give way to slower ones.

use super::{cached, kit::Toolchain, nvrtc};
use crate::{backend::cuda::absent::CudaAbsent, output};
use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Tensor cores, both halves, and barriers with asynchronous copies where the card has them.
const SOURCE: &str = "\
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include <mma.h>
#if __CUDA_ARCH__ >= 800
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>
#endif
extern \"C\" __global__ void probe(const __half *a, const __half *b, float *c, __nv_bfloat16 *d) {
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, __half, nvcuda::wmma::row_major> x;
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, __half, nvcuda::wmma::col_major> y;
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> z;
  nvcuda::wmma::fill_fragment(z, 0.0f);
  nvcuda::wmma::load_matrix_sync(x, a, 16);
  nvcuda::wmma::load_matrix_sync(y, b, 16);
  nvcuda::wmma::mma_sync(z, x, y, z);
  nvcuda::wmma::store_matrix_sync(c, z, 16, nvcuda::wmma::mem_row_major);
  d[threadIdx.x] = __float2bfloat16(c[threadIdx.x]);
}
";

/// The first architecture whose tensor cores the kernel uses; an older card is tried as this one.
const OLDEST: u32 = 70;

/// Compiles the kernel for an architecture, unless the same toolchain has done so before.
///
/// # Errors
/// What NVRTC says.
pub fn try_it(toolchain: &Toolchain, architecture: u32, cache: Option<&Path>) -> Result<(), CudaAbsent> {
    let kept = cache.map(|cache| kept(toolchain, architecture, cache));
    if kept.as_ref().is_some_and(|kept| kept.exists()) {
        return Ok(());
    }
    let include = toolchain.root.join("include");
    let folder = |folder: &Path| format!("--include-path={}", folder.display());
    let options = [
        format!("--gpu-architecture=compute_{}", architecture.max(OLDEST)),
        folder(&include),
        folder(&include.join("cccl")),
    ];
    nvrtc::compile(&toolchain.nvrtc, SOURCE, &options)
        .map_err(|error| CudaAbsent::Probe { version: toolchain.version, error })?;
    // If the answer can't be kept, it is found again the next time.
    if let Some(kept) = kept {
        let folder = kept.parent().map_or(Ok(()), fs::create_dir_all);
        let _ = folder.and_then(|()| output::write(&kept, toolchain.describe().as_bytes()));
    }
    Ok(())
}

/// The file that says that this toolchain compiled the kernel. It depends on when the library and the headers were installed.
fn kept(toolchain: &Toolchain, architecture: u32, cache: &Path) -> PathBuf {
    let changed = |path: &Path| {
        let changed = fs::metadata(path).and_then(|data| data.modified()).ok();
        changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_nanos().to_le_bytes()
    };
    let (nvrtc, include) = (&toolchain.nvrtc, &toolchain.root.join("include"));
    let name = cached::name([
        nvrtc.as_os_str().as_encoded_bytes(),
        &changed(nvrtc),
        include.as_os_str().as_encoded_bytes(),
        &changed(include),
        SOURCE.as_bytes(),
        &architecture.to_le_bytes(),
    ]);
    cache.join("cuda-probes").join(name)
}
