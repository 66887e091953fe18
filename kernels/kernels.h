// All kernels that the engine can call. An op is a struct of function pointers, an implementation is one constant of
// that type, and a backend is one constant per op.
//
// Pointers are to memory of the backend's own device. `act` stands for the table's activation type and `par` for its
// parameter type (kernels/layout.h has the layout of both); per-channel vectors hold the channel count rounded up to
// the block, with zeros behind the logical count. Calls are ordered by the stream and may return before the work is
// done. Kernels allocate nothing: one that needs scratch memory has a function that returns how many bytes, and the
// caller provides them. Outputs are written completely, padding included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/ops/conv.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/image.h"
#include "kernels/ops/linear.h"
#include "kernels/ops/loss.h"
#include "kernels/ops/memory.h"
#include "kernels/ops/moments.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/optimizer.h"
#include "kernels/ops/pool.h"
#include "kernels/ops/snnl.h"
#include "kernels/ops/streams.h"
#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

struct Kernels {
    std::string_view name;
    Type activation, parameter;
    // Layouts of this backend. The input image has one of its own, since it has few channels.
    int (*block)(int channels);
    int (*image_block)(int channels);
    Filter (*filter)(int k, int c, int r, int s, int x_block);

    const Memory& memory;
    const StreamApi& streams;
    const Graph* graph = nullptr;    // null: calls are complete when they return, so a graph would gain nothing
    const Ranges* ranges = nullptr;  // null: no profiler
    const Conv& conv;
    const Linear& linear;
    const BatchNorm& batchnorm;
    const Relu& relu;
    const Add& add;
    const MaxPool& maxpool;
    const AvgPool& avgpool;
    const Dropout& dropout;
    const Loss& loss;
    const Image& image;
    const Optimizer& optimizer;
    const Snnl& snnl;
};

// reference is float32 in plain NCHW and OIHW; reference_f64 the same in double, for gradient checks and
// exact comparisons; reference_blocked is float32 in the host's layout. onednn is a baseline: cpu with the products by
// another library, where the build found it.
enum class Backend { reference, reference_f64, reference_blocked, cpu, onednn, cuda, cudnn, emulated };
std::string_view name(Backend);

// The precision of convolutions and linear layers. f32: float32 throughout. tf32: float32 in memory, operands
// rounded to 10 bits of mantissa on the way into the product. bf16: bf16 activations, float32 parameters.
// Sums are float32 in all three; `activation` and `parameter` of a table are the types behind its pointers.
enum class Precision { f32, tf32, bf16 };
std::string_view name(Precision);  // fp32, tf32, bf16: as the commands spell them

// Null where this build or machine lacks the backend, or the backend lacks the precision. A GPU that exists but does
// not answer is an Error (Exit::device).
const Kernels* find_kernels(Backend, Precision = Precision::f32);
const Kernels& kernels(Backend, Precision = Precision::f32);  // throws instead of null (Exit::device)
std::string why_missing(Backend);                             // the reason why a backend is missing

// Selects the GPU, counted from 0, that the calling thread uses from now on. Call it before anything else of the
// backend. Exit::device where there are fewer GPUs.
void select_gpu(int index);
// The GPU of the calling thread and its driver, "NVIDIA H200, driver 13.0"; the reason where there is none; empty in a
// build without CUDA.
std::string gpu();
// The plans that `cudnn` has chosen so far, one per line: pass, sizes, engine and settings by cuDNN's numbers.
std::string cudnn_plans();

}  // namespace fp
