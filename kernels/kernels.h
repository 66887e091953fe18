// Every kernel the engine can call, once. An op is a struct of function pointers, an implementation
// is one constant of that type, and a backend is one constant per op.
//
// Pointers are to memory of the backend's own device. `act` stands for the table's activation type and
// `par` for its parameter type (kernels/layout.h says how both lie in memory); per-channel vectors hold
// the channel count rounded up to the block, zeros behind the logical count. Calls are ordered by the
// stream and may return before the work is done. Kernels allocate nothing: one that needs scratch says
// how many bytes, and the caller gives them. Outputs are written whole, padding included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/shapes.h"

namespace fp {

using act = void;
using par = void;

enum class Type { f32, f64, bf16 };
constexpr int bytes_of(Type t) { return t == Type::f64 ? 8 : t == Type::f32 ? 4 : 2; }

// What is done in order. The null one is the backend's own.
struct Stream {
    void* handle = nullptr;
};
// A mark in a stream.
struct Event {
    void* handle = nullptr;
};

// Whether a gradient replaces what is in its buffer or adds to it.
enum class Write { replace, add };

struct Memory {
    void* (*alloc)(size_t bytes);  // aligned to 256 bytes at least
    void (*release)(void* block);
    void* (*alloc_host)(size_t bytes);  // on the host; from there copies run beside other work
    void (*release_host)(void* block);
    void (*copy_in)(void* device, const void* host, size_t bytes, Stream);
    void (*copy_out)(void* host, const void* device, size_t bytes, Stream);  // is there at return
    // To memory of alloc_host, and there once the stream has come so far.
    void (*copy_out_later)(void* host, const void* device, size_t bytes, Stream);
    void (*copy)(void* to, const void* from, size_t bytes, Stream);  // both on the device
    void (*zero)(void* device, size_t bytes, Stream);
    void (*synchronize)(Stream);
};

// Order between streams, and between them and the host. Where calls return with their work done, every stream
// is the null one (kernels/host_order.h).
struct Order {
    Stream (*open)();
    void (*close)(Stream);
    void* (*native)(Stream);  // by what name the vendor's libraries know it
    Event (*event)();
    void (*drop)(Event);
    void (*record)(Event, Stream);  // behind what the stream has been given
    void (*follow)(Stream, Event);  // what the stream is given from now on waits for it
    void (*wait)(Event);            // the host waits; not at all where it was never recorded
    double (*seconds)(Event from, Event until);  // between two that have happened
};

// Calls that are captured once, without being executed, and replayed any number of times. What they were given
// by value and by address is what they are given each time. A capture forbids what a device cannot repeat:
// allocating, releasing, waiting, and copies that the host takes part in.
struct Graph {
    void (*begin)(Stream);
    void* (*end)(Stream);     // ends the capture even where it throws
    void (*abandon)(Stream);  // ends a capture, if there is one, without a graph; throws nothing
    void (*launch)(void* graph, Stream);
    void (*release)(void* graph);
};

// Names for stretches of the host's work, which a profiler shows.
struct Ranges {
    void (*push)(const char* name);
    void (*pop)();
};

// What a convolution leaves for the batch norm behind it, so that nobody reads its output for the statistics:
// of every channel (as stored) and every chunk of pixels their mean and the sum of squares about it, of the
// values as stored. float32, [c][2][chunk].
struct Moments {
    enum class Line {
        pixels,  // the pixels of the map, in memory's order
        // the same, with an empty place behind each row and w + 1 behind each sample: chunks differ in pixels (counts)
        padded
    };
    // What a chunk is: `count` consecutive places of a line, the last chunk perhaps fewer.
    struct Rows {
        int count = 0;
        Line line = Line::pixels;

        constexpr Rows() = default;
        constexpr Rows(int count_, Line line_ = Line::pixels) : count(count_), line(line_) {}
        constexpr bool padded() const { return line == Line::padded; }
        bool operator==(const Rows&) const = default;
    };
    void* data = nullptr;
    Rows rows;

    static constexpr int64_t chunks(const Map& m, Rows rows) {
        const int extra = rows.padded() ? 1 : 0;
        return ceil_div(int64_t(m.n) * (m.h + extra) * (m.w + extra), rows.count);
    }
    static constexpr size_t bytes(const Map& m, Rows rows) {
        const size_t counts = rows.padded() ? 1 : 0;
        return size_t(chunks(m, rows)) * (2 * size_t(m.stored_c()) + counts) * sizeof(float);
    }
    // How many pixels each chunk holds; null where all but the last hold rows.count.
    float* counts(const Map& m) const {
        if (!rows.padded()) return nullptr;
        return static_cast<float*>(data) + 2 * chunks(m, rows) * m.stored_c();
    }
    // Pixels that lie before a place of the padded line of h x w maps.
    static constexpr int64_t before(int64_t place, int h, int w) {
        const int64_t line = place / (w + 1), q = place % (w + 1), n = line / (h + 1),
                      p = line % (h + 1);
        return (n * h + p) * w + (p == h ? 0 : q);
    }
};

// y = conv(x, w) + bias      dx = conv^T(dy, w)      dw[k,c,r,s] = sum_npq dy x      dbias[k] = sum_npq dy
// `prepare` lays a filter out as `infer` likes it best, once for many calls; `infer` then computes
// act(conv(x, w) + bias + residual) with ReLU for act if asked. bias and residual may be null.
// `forward_moments`, null in backends that have none, is `forward` and leaves the moments of y, of chunks as
// `moments_rows` says.
struct Conv {
    size_t (*scratch_bytes)(const ConvShape&);  // enough for any of the calls below
    void (*forward)(const ConvShape&,
                    const act* x,
                    const par* w,
                    const par* bias,
                    act* y,
                    void* scratch,
                    Stream);
    void (*backward_data)(
        const ConvShape&, const act* dy, const par* w, act* dx, Write, void* scratch, Stream);
    void (*backward_filter)(const ConvShape&,
                            const act* x,
                            const act* dy,
                            par* dw,
                            par* dbias,
                            Write,
                            void* scratch,
                            Stream);
    size_t (*prepared_bytes)(const ConvShape&, bool residual, bool relu);
    void (*prepare)(
        const ConvShape&, bool residual, bool relu, const par* w, void* prepared, Stream);
    void (*infer)(const ConvShape&,
                  const act* x,
                  const void* prepared,
                  const par* bias,
                  const act* residual,
                  bool relu,
                  act* y,
                  void* scratch,
                  Stream);
    Moments::Rows (*moments_rows)(const ConvShape&) = nullptr;
    void (*forward_moments)(const ConvShape&,
                            const act* x,
                            const par* w,
                            const par* bias,
                            act* y,
                            const Moments&,
                            void* scratch,
                            Stream) = nullptr;
    // Rounds the `count` weights from w on into `rounded`, 2 bytes each, in one launch. Until the calling thread's next
    // call, convolutions and linear layers that this thread starts with a filter among those weights read the rounded
    // copy instead. The caller ends this with count 0 before the weights change. Null where weights are used as they are.
    void (*keep_rounded)(const par* w, int64_t count, void* rounded, Stream) = nullptr;
};

// y = x w^T + bias, as LinearShape says. dbias may be null where there is no bias.
struct Linear {
    size_t (*scratch_bytes)(const LinearShape&);
    void (*forward)(const LinearShape&,
                    const act* x,
                    const par* w,
                    const par* bias,
                    act* y,
                    void* scratch,
                    Stream);
    void (*backward_data)(
        const LinearShape&, const act* dy, const par* w, act* dx, Write, void* scratch, Stream);
    void (*backward_filter)(const LinearShape&,
                            const act* x,
                            const act* dy,
                            par* dw,
                            par* dbias,
                            Write,
                            void* scratch,
                            Stream);
};

// train: batch statistics; keeps mean and rstd = 1/sqrt(var + eps) for backward, moves the running ones.
// infer: running statistics.
// train_on_moments: train, told the moments of x by what made it; null where Conv has no forward_moments.
// backward: g = 0 where y <= 0 (with relu), else dy;  dresidual = g;
//   dgamma = sum g xhat, dbeta = sum g, dx = gamma rstd (g - dbeta/m - xhat dgamma/m),  m = n h w
// backward_frozen: the gradient of `infer`: dx = gamma rstd g with the given (running) mean and rstd.
//
// ReLU's gradient, here and in Relu: a y that is NaN passes dy on, as in PyTorch, so that a network that diverges shows
// it in every gradient.
struct BatchNorm {
    size_t (*scratch_bytes)(const BatchNormShape&);
    void (*train)(const BatchNormShape&,
                  const act* x,
                  const act* residual,
                  const par* gamma,
                  const par* beta,
                  par* running_mean,
                  par* running_var,
                  act* y,
                  par* mean,
                  par* rstd,
                  void* scratch,
                  Stream);
    void (*infer)(const BatchNormShape&,
                  const act* x,
                  const act* residual,
                  const par* gamma,
                  const par* beta,
                  const par* running_mean,
                  const par* running_var,
                  act* y,
                  Stream);
    struct Backward {  // gradients written; any of dresidual, dgamma, dbeta may be null
        act* dx;
        Write dx_write;
        act* dresidual;
        Write dresidual_write;
        par* dgamma;
        par* dbeta;
        Write par_write;
        // Where given, y is what forward made of x with this beta, and without a residual it may be computed again
        // instead of being read.
        const par* beta = nullptr;
    };
    void (*backward)(const BatchNormShape&,
                     const act* x,
                     const act* y,
                     const act* dy,
                     const par* gamma,
                     const par* mean,
                     const par* rstd,
                     const Backward&,
                     void* scratch,
                     Stream);
    void (*backward_frozen)(const BatchNormShape&,
                            const act* x,
                            const act* y,
                            const act* dy,
                            const par* gamma,
                            const par* running_mean,
                            const par* running_var,
                            const Backward&,
                            void* scratch,
                            Stream);
    void (*train_on_moments)(const BatchNormShape&,
                             const act* x,
                             const Moments&,
                             const act* residual,
                             const par* gamma,
                             const par* beta,
                             par* running_mean,
                             par* running_var,
                             act* y,
                             par* mean,
                             par* rstd,
                             Stream) = nullptr;
    // How many bytes lie behind y where BatchNormShape::bits: forward writes there where ReLU passes the gradient, and
    // backward reads that and not y. Null where a backend has no bits.
    size_t (*bits_bytes)(const BatchNormShape&) = nullptr;
    // train_on_moments, ReLU and the max pool behind it as one op, and the gradient of all three; null where a backend
    // has none. `pools` says whether it takes a shape. The map between norm and pool is not stored. argmax is MaxPool's,
    // or 255 where the maximum is 0, so that no pixel has the gradient. Backward replaces dx.
    bool (*pools)(const BatchNormShape&, const MaxPoolShape&) = nullptr;
    size_t (*pool_scratch_bytes)(const BatchNormShape&, const MaxPoolShape&) = nullptr;
    void (*pool_on_moments)(const BatchNormShape&,
                            const MaxPoolShape&,
                            const act* x,
                            const Moments&,
                            const par* gamma,
                            const par* beta,
                            par* running_mean,
                            par* running_var,
                            act* y,
                            uint8_t* argmax,
                            par* mean,
                            par* rstd,
                            Stream) = nullptr;
    void (*pool_backward)(const BatchNormShape&,
                          const MaxPoolShape&,
                          const act* x,
                          const act* dy,
                          const uint8_t* argmax,
                          const par* gamma,
                          const par* mean,
                          const par* rstd,
                          const Backward&,
                          void* scratch,
                          Stream) = nullptr;
    // Two inputs, each with a norm of its own, added, then ReLU: the end of a block whose shortcut has a norm. Neither
    // normalised map is stored alone. The shape has relu and bits. Null where a backend has none. Backward replaces
    // both dx.
    struct Half {
        const act* x;
        const par *gamma, *beta;
        par *mean, *rstd;
    };
    struct HalfOnMoments {
        Moments moments;
        par *running_mean, *running_var;
    };
    struct HalfGradient {
        act* dx;
        par *dgamma, *dbeta;  // may be null
    };
    size_t (*pair_scratch_bytes)(const BatchNormShape&) = nullptr;
    void (*pair_on_moments)(const BatchNormShape&,
                            const Half&,
                            const HalfOnMoments&,
                            const Half&,
                            const HalfOnMoments&,
                            act* y,
                            Stream) = nullptr;
    void (*pair_backward)(const BatchNormShape&,
                          const Half&,
                          const Half&,
                          const act* y,
                          const act* dy,
                          const HalfGradient&,
                          const HalfGradient&,
                          Write par_write,
                          void* scratch,
                          Stream) = nullptr;
};

// y = max(x, 0), NaN stays NaN      dx = 0 where y <= 0, else dy
struct Relu {
    void (*forward)(const Map&, const act* x, act* y, Stream);
    void (*backward)(const Map&, const act* y, const act* dy, act* dx, Write, Stream);
};

// y = a + b          da = db = dy: `accumulate` writes or adds dy where it is wanted
struct Add {
    void (*forward)(const Map&, const act* a, const act* b, act* y, Stream);
    void (*accumulate)(const Map&, const act* dy, act* dx, Write, Stream);
};

// argmax[y index] = r * window + s of the first maximum in row order, or of the first NaN: one byte per output, for
// backward; null in inference
struct MaxPool {
    void (*forward)(const MaxPoolShape&, const act* x, act* y, uint8_t* argmax, Stream);
    void (*backward)(
        const MaxPoolShape&, const act* dy, const uint8_t* argmax, act* dx, Write, Stream);
};

// The mean of each of p x q cells, as AvgPoolShape says; their gradients are shared out evenly.
struct AvgPool {
    void (*forward)(const AvgPoolShape&, const act* x, act* y, Stream);
    void (*backward)(const AvgPoolShape&, const act* dy, act* dx, Write, Stream);
};

// y = x * keep / (1 - p), keep = [uniform(key, logical index of the element in NCHW order) >= p]
// (kernels/random.h), so the mask does not depend on the layout. Backward draws the same mask.
struct Dropout {
    void (*forward)(const Map&, double p, uint64_t key, const act* x, act* y, Stream);
    void (*backward)(const Map&, double p, uint64_t key, const act* dy, act* dx, Write, Stream);
};

// losses[n]: loss_n as LossShape says (not divided); sums[0] = sum of loss_n, sums[1] = sum of the labels'
// class weights, both double. class_weight (c) may be null = all 1. backward scales by 1 / sums[1].
struct Loss {
    void (*forward)(const LossShape&,
                    const act* logits,
                    const int32_t* labels,
                    const par* class_weight,
                    par* losses,
                    double* sums,
                    Stream);
    void (*backward)(const LossShape&,
                     const act* logits,
                     const int32_t* labels,
                     const par* class_weight,
                     const double* sums,
                     double scale,
                     act* dlogits,
                     Write,
                     Stream);
    void (*softmax)(const Map& logits, const act* x, float* probabilities, Stream);  // (n, c) dense
};

// x[n,c,h,w] = (rgb[n,h,w,c] / 255 - mean[c]) / std[c] of three channels; rgb lies at any address
struct Image {
    void (*normalize)(
        const Map&, const uint8_t* rgb, const float* mean, const float* std, act* x, Stream);
};

// What a step multiplies its gradients by, on the device, so that no step waits for their norm:
//   factor = scale min(1, most / norm)    norm = scale sqrt(sum g^2), before clipping
// A norm that is not finite makes a factor that is not, and with such a one a step changes nothing.
struct GradientScale {
    double factor, norm;

    static constexpr GradientScale of(double norm, double scale, double most) {
        const bool finite = norm - norm == 0;
        return {finite ? norm > most ? scale * (most / norm) : scale : norm - norm, norm};
    }
};

// One pass over `count` numbers of the flat parameter block. g is multiplied by `scale` first (accumulation),
// or by `clipped->factor` where that is given. Means of m and v in double where sums are taken.
//   sgd    g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//   adamw  w -= lr decay w;  m, v = running means of g, g^2;  w -= lr mhat / (sqrt(vhat) + eps)
struct SgdStep {
    double lr, momentum, decay;
    bool nesterov;
    double scale = 1;
    const GradientScale* clipped = nullptr;  // on the device
};
struct AdamwStep {
    double lr, beta1, beta2, eps, decay;
    int64_t step;  // from 1
    double scale = 1;
    const GradientScale* clipped = nullptr;  // on the device
};
struct Optimizer {
    void (*sgd)(int64_t count, const SgdStep&, par* w, const par* g, par* v, Stream);
    void (*adamw)(int64_t count, const AdamwStep&, par* w, const par* g, par* m, par* v, Stream);
    void (*blend)(
        int64_t count, double keep, par* average, const par* w, Stream);  // a = keep a + (1-keep) w
    size_t (*scratch_bytes)(int64_t count);                               // of sum_squares
    void (*sum_squares)(
        int64_t count, const par* g, double* sum, void* scratch, Stream);  // sum on the device
    // Of a gradient in `runs` pieces whose sums of squares are given; added in order.
    void (*clip)(
        int runs, const double* squares, double scale, double most, GradientScale*, Stream);
};

// labels (sets, n) int32, strata (n) int32 or null, scores (sets, c) double. `dscore` (c) double.
// backward is for one set (sets = 1), definition exact.
struct Snnl {
    size_t (*scratch_bytes)(const SnnlShape&,
                            bool gradient);  // of forward alone, or of backward too
    void (*forward)(const SnnlShape&,
                    const act* x,
                    const int32_t* labels,
                    const int32_t* strata,
                    double* scores,
                    void* scratch,
                    Stream);
    void (*backward)(const SnnlShape&,
                     const act* x,
                     const int32_t* labels,
                     const int32_t* strata,
                     const double* dscore,
                     act* dx,
                     Write,
                     void* scratch,
                     Stream);
};

struct Kernels {
    std::string_view name;
    Type activation, parameter;
    // Layouts of this backend. The input image has one of its own, since it has few channels.
    int (*block)(int channels);
    int (*image_block)(int channels);
    Filter (*filter)(int k, int c, int r, int s, int x_block);

    const Memory& memory;
    const Order& order;
    const Graph* graph =
        nullptr;  // null: calls are done when they return, so there is nothing to gain
    const Ranges* ranges = nullptr;  // null: nobody looks
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
// exact comparisons; reference_blocked is float32 in the host's layout.
enum class Backend { reference, reference_f64, reference_blocked, cpu, cuda, cudnn, emulated };
std::string_view name(Backend);

// What convolutions and linear layers multiply in. f32: float32 throughout. tf32: float32 in memory, operands
// rounded to 10 bits of mantissa on their way into the product. bf16: bf16 activations, float32 parameters.
// Sums are float32 in all three; a table's `activation` and `parameter` say what its pointers are.
enum class Precision { f32, tf32, bf16 };
std::string_view name(Precision);  // fp32, tf32, bf16: as the commands spell them

// Null where this build or machine lacks the backend, or the backend the precision. A GPU that is there and
// cannot be asked is an Error (Exit::device).
const Kernels* find_kernels(Backend, Precision = Precision::f32);
const Kernels& kernels(Backend, Precision = Precision::f32);  // throws there (Exit::device)
std::string why_missing(Backend);                             // of one that is not there

// Which of several GPUs, from 0, the calling thread uses from now on; before anything else of the backend.
// Exit::device where there are not so many.
void select_gpu(int index);
// Of the calling thread and its driver: "NVIDIA H200, driver 13.0"; where there is none why, empty in a build
// without CUDA.
std::string gpu();
// The plans that `cudnn` has chosen so far, a line each: pass, sizes, engine and settings as cuDNN numbers them.
std::string cudnn_plans();

}  // namespace fp
