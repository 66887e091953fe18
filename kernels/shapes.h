// Problem sizes, one struct per kernel family, with the flops and bytes that the bench, the profiler and the reports
// use. `e` is the bytes of an activation.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/layout.h"

namespace fp {

// y[n,k,p,q] = sum_crs w[k,c,r,s] x[n, c, p*stride + r - pad, q*stride + s - pad]
struct ConvShape {
    Map x;
    Filter w;
    int stride = 1, pad = 0;
    int y_block = 1;

    constexpr int p() const { return (x.h + 2 * pad - w.r) / stride + 1; }
    constexpr int q() const { return (x.w + 2 * pad - w.s) / stride + 1; }
    constexpr Map y() const { return {.n = x.n, .c = w.k, .h = p(), .w = q(), .block = y_block}; }
    // Multiply-adds, taps that fall on padding included (the usual count).
    constexpr double macs() const { return double(y().logical()) * w.c * w.r * w.s; }
    constexpr double flops() const { return 2 * macs(); }
    constexpr double bytes(int e = 4) const {
        return double(e) * (double(x.logical()) + double(y().logical()) + double(w.logical()));
    }
    bool operator==(const ConvShape&) const = default;
};

// y[n,k] = sum_chw w[k,c,h,w] x[n,c,h,w] + b[k]: the filter is as large as the map, so torchvision's
// [K, C*H*W] weight (channel-major) is this filter's OIHW order as it stands.
struct LinearShape {
    Map x;
    Filter w;  // r = x.h, s = x.w
    int y_block = 1;

    constexpr Map y() const { return {.n = x.n, .c = w.k, .h = 1, .w = 1, .block = y_block}; }
    constexpr double macs() const { return double(x.n) * double(w.logical()); }
    constexpr double flops() const { return 2 * macs(); }
    constexpr double bytes(int e = 4) const {
        return double(e) * (double(x.logical()) + double(y().logical()) + double(w.logical()));
    }
    bool operator==(const LinearShape&) const = default;
};

// z = gamma (x - mean) / sqrt(var + eps) + beta, then + residual if any, then ReLU if asked.
// Statistics over n, h, w; `var` is biased; the running one is unbiased (n / (n - 1)).
struct BatchNormShape {
    Map x;
    double eps = 1e-5;
    double momentum = 0.1;  // running = (1 - momentum) running + momentum batch
    bool relu = false;
    bool residual = false;
    // y is followed by BatchNorm::bits_bytes bytes: the mask of ReLU, which forward writes and backward reads. Only for
    // backends whose BatchNorm has bits_bytes.
    bool bits = false;

    constexpr double flops() const { return 7.0 * double(x.logical()); }
    constexpr double bytes(int e = 4) const {
        return double(e) * double(x.logical()) * (residual ? 4 : 3);  // read twice, written once
    }
    constexpr double infer_bytes(int e = 4) const { return double(e) * double(x.logical()) * (residual ? 3 : 2); }
    // x and dy, with ReLU y too, read for the sums and again for dx.
    constexpr double backward_bytes(int e = 4) const {
        return double(e) * double(x.logical()) * ((relu ? 6 : 4) + (residual ? 2 : 1));
    }
    bool operator==(const BatchNormShape&) const = default;
};

// Max over a window; padding never wins. The first maximum in row order takes the gradient.
struct MaxPoolShape {
    Map x;
    int window = 2, stride = 2, pad = 0;

    constexpr int p() const { return (x.h + 2 * pad - window) / stride + 1; }
    constexpr int q() const { return (x.w + 2 * pad - window) / stride + 1; }
    constexpr Map y() const { return {.n = x.n, .c = x.c, .h = p(), .w = q(), .block = x.block}; }
    constexpr double flops() const { return double(y().logical()) * window * window; }
    constexpr double bytes(int e = 4) const { return double(e) * (double(x.logical()) + double(y().logical())); }
    bool operator==(const MaxPoolShape&) const = default;
};

// Adaptive mean to p x q: output i averages inputs floor(i H / p) .. ceil((i + 1) H / p) - 1.
// p = q = 1 is the global mean.
struct AvgPoolShape {
    Map x;
    int p = 1, q = 1;

    constexpr Map y() const { return {.n = x.n, .c = x.c, .h = p, .w = q, .block = x.block}; }
    static constexpr int first(int i, int in, int out) { return int(int64_t(i) * in / out); }
    static constexpr int last(int i, int in, int out) {  // one past
        return int(ceil_div(int64_t(i + 1) * in, out));
    }
    constexpr double flops() const { return double(std::max(x.logical(), y().logical())); }
    constexpr double bytes(int e = 4) const { return double(e) * (double(x.logical()) + double(y().logical())); }
    bool operator==(const AvgPoolShape&) const = default;
};

// Softmax cross-entropy over the c channels of `logits` (n, c, 1, 1).
//   q[n,j]  = smoothing / C + (1 - smoothing) [j == label_n]
//   loss_n  = - sum_j weight_j q[n,j] log softmax(logits)[n,j]
//   loss    = sum_n loss_n / sum_n weight_{label_n}           (torch.nn.CrossEntropyLoss, mean)
// A label of -1 marks a padded sample: no loss, no gradient, no weight.
struct LossShape {
    Map logits;
    double smoothing = 0;

    constexpr double flops() const { return 8.0 * double(logits.logical()); }
    constexpr double bytes(int e = 4) const { return double(e) * 2 * double(logits.logical()); }
    bool operator==(const LossShape&) const = default;
};

// Soft nearest neighbour loss, one score per channel and label set (docs/method.md; https://arxiv.org/abs/1902.01889 ).
// Sample i of channel c is the vector x[i,c,:,:] of D = h w numbers; a label of -1 takes the sample out of
// that set altogether. With strata, only pairs of one stratum count.
//   exact        S = mean_{i in V} [ LSE_{j != i}(-d_ij/T) - LSE_{j != i, same label}(-d_ij/T) ]
//   as_released  S = -mean_i log[ (sum_{j, same label, j = i too} e^{-d_ij/T} + 1e-9) / sum_{j != i} e^{-d_ij/T} ]
// V: samples that have a partner of their own label. Where V is empty the score is NaN.
struct SnnlShape {
    Map x;         // n samples
    int sets = 1;  // label sets scored over the same distances
    double temperature = 1;
    enum class Distance { cosine, euclidean } distance = Distance::cosine;  // euclidean is |a - b|^2
    enum class Definition { exact, as_released } definition = Definition::exact;
    // The most scratch memory of the CUDA kernels (but enough for 32 channels): they process channels in ranges. No bit
    // of a result depends on it.
    size_t scratch_limit = size_t(2) << 30;
    // Channels of the map that x is a part of, 0: x.c. The order of the CUDA kernels' sums follows it, so that a part has
    // the bits of the whole.
    int of_channels = 0;

    constexpr int64_t d() const { return x.pixels(); }
    // All N x N pairs, as a batched product computes them; symmetric kernels compute half.
    constexpr double flops() const { return 2.0 * x.c * double(x.n) * x.n * double(d()); }
    // The products again, and one more with the weights of the pairs.
    constexpr double backward_flops() const { return 2 * flops(); }
    constexpr double bytes(int e = 4) const { return double(e) * double(x.logical()); }
    bool operator==(const SnnlShape&) const = default;
};

}  // namespace fp
