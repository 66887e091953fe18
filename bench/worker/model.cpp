#include "bench/worker/model.h"

#include "bench/worker/forced.h"
#include "kernels/cuda/plan/cost.h"
#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/plan/layout.h"
#include "kernels/cuda/plan/snnl_plan.h"
#include "kernels/error.h"

namespace fp {
namespace {

Map map_of(int n, int c, int side) { return {.n = n, .c = c, .h = side, .w = side, .block = nhwc_block_bf16(c)}; }

// Kernels that only move bytes, so many starts of them.
Expectation moving(Moving kernel, double bytes, int starts = 1, double flops = 0) {
    const Cost c = cost(kDevice, kernel, bytes);
    return {.flops = flops,
            .bytes = bytes,
            .floor = bytes / kDevice.hbm,
            .expected = c.seconds() + (starts - 1) * c.start,
            .limiter = c.limiter()};
}
Expectation moving(double bytes, int starts = 1, double flops = 0) {
    return moving(Moving::others, bytes, starts, flops);
}

template <size_t kChoices>
Expectation multiplying(const MatrixProduct& p, const TileCost (&tiles)[kChoices], double flops, double bytes) {
    const TileCost tile = best_tile(p, tiles);
    MatrixProduct unfed = p;
    unfed.element_bytes = 0;  // nothing to bring: the products alone
    const double product = tile_seconds(unfed, tile), both = tile_seconds(p, tile);
    const double memory = bytes / kDevice.hbm;
    return {.flops = flops,
            .bytes = bytes,
            .floor = std::max(flops / p.peak, memory),
            .expected = expected_seconds(p, tiles, bytes),
            .limiter = kDevice.start > std::max(both, memory) ? "start"
                       : memory > both                        ? "memory"
                       : both > product                       ? "L2"
                                                              : "matrix"};
}

// The scores of cosine by the kernel that the rule takes on an H200.
Expectation snnl(const SnnlShape& s, int e) {
    const SnnlKernel kernel = snnl_kernel(s, true);
    const SnnlCost c = snnl_cost(kDevice, s, kernel, e);
    const double useful = s.x.c * 0.5 * s.x.n * s.x.n, peak = kDevice.bf16_matrix / 3;
    return {.flops = s.flops() / 2,
            .bytes = s.bytes(e),
            .floor = std::max({s.flops() / 2 / peak, useful / kDevice.exponentials, s.bytes(e) / kDevice.hbm}),
            .expected = c.seconds(),
            .limiter = c.limiter(),
            .kernel = std::string(name_of(kernel))};
}

// Every tile once more in float32, its exponents and their product with the rows (snnl.cu), behind the sums.
Expectation snnl_gradient(const SnnlShape& s, int e) {
    constexpr int kTile = 64;
    const Expectation sums = snnl(s, e);
    const double pairs = s.x.c * double(round_up(s.x.n, kTile)) * double(round_up(s.x.n, kTile));
    const double deep = double(round_up(s.d(), 8)) + double(round_up(s.d(), kTile));
    const double product = pairs * 2 * deep / (kDevice.ffma * kFfmaTiles[2].share);
    const double turn = 3 * s.bytes(e) / kDevice.hbm;  // slopes and norms back to dx
    return {.flops = sums.flops + s.backward_flops(),
            .bytes = 2 * s.bytes(e),
            .floor = std::max(sums.floor + s.backward_flops() / kDevice.ffma, 2 * s.bytes(e) / kDevice.hbm),
            .expected = sums.expected + 3 * kDevice.start + turn + product,
            .limiter = "matrix"};
}

}  // namespace

Expectation expect_conv(const ConvShape& s, const std::string& direction, Precision precision) {
    const int e = precision == Precision::bf16 ? 2 : 4;
    const bool data = direction.starts_with("backward_data"), filter = direction == "backward_filter";
    const double taken = s.w.r == 1 && !data ? 1.0 / (s.stride * s.stride) : 1.0;
    const double bytes =
        e * (double(s.x.logical()) * taken + double(s.y().logical())) + double(s.w.logical()) * (filter ? 4 : e);
    const Pass pass = data ? Pass::data : filter ? Pass::filter : Pass::forward;
    if (precision == Precision::bf16) {
        const ConvExtras extras{.moments = direction == "forward_moments",
                                .residual = direction.ends_with("add") || direction.ends_with("residual")};
        // Forward, with moments or not, has the kernel of the pass with moments: `split` is for inference alone.
        const bool trains = pass == Pass::forward && !direction.starts_with("infer");
        const ConvChoice best = conv_choice(s, pass, {.moments = trains, .residual = extras.residual});
        const Cost c = cost(kDevice, s, pass, best, extras);
        const std::string blocks = best.resident > 1 ? text("/", best.resident) : "";
        return {.flops = s.flops(),
                .bytes = bytes,
                .floor = std::max(s.flops() / kDevice.bf16_matrix, bytes / kDevice.hbm),
                .expected = c.seconds(),
                .limiter = c.limiter(),
                .kernel = text(name_of(best.kernel), ":", best.tile.m, "x", best.tile.n, blocks)};
    }
    const auto on = [&](const MatrixProduct& p, const auto& tiles, const auto& split_of) {
        Expectation out = multiplying(p, tiles, s.flops(), bytes);
        const int parts = filter ? split_of(p, best_tile(p, tiles).tile).parts() : 1;
        if (parts > 1)  // written, and read by the kernel that adds them
            out.expected += kDevice.start + 2.0 * parts * double(s.w.stored()) * 4 / kDevice.hbm;
        return out;
    };
    const MatrixProduct p = product_of(s, pass, e, peak_flops(precision));
    if (precision == Precision::f32) return on(p, kFfmaTiles, ffma_split_of);
    return on(p, kTensorTiles, mma_split_of);
}

Expectation expect(std::istringstream& line, Precision precision) {
    const int e = precision == Precision::bf16 ? 2 : 4;
    std::string op, direction;
    int n = 0, h = 0, c = 0;
    line >> op;
    if (op == "conv") {
        int k = 0, r = 0, stride = 0;
        line >> direction >> n >> h >> c >> k >> r >> stride;
        const int block = c <= 4 ? nhwc_image_block(c) : nhwc_block_bf16(c);
        ConvForced choice;
        for (std::string word; line >> word;)
            if (word != "rectified") force(choice, word);
        const Forced now(choice);
        return expect_conv({.x = {.n = n, .c = c, .h = h, .w = h, .block = block},
                            .w = krsc_filter(k, c, r, r, block),
                            .stride = stride,
                            .pad = r / 2,
                            .y_block = nhwc_block_bf16(k)},
                           direction, precision);
    }
    if (op == "linear") {
        int k = 0;
        line >> n >> c >> k;
        if (n <= 4) return moving(4.0 * c * k + 2.0 * n * (c + k), 1, 2.0 * n * c * k);  // linear_rows.cu
        return expect_conv(
            {.x = map_of(n, c, 1), .w = krsc_filter(k, c, 1, 1, nhwc_block_bf16(c)), .y_block = nhwc_block_bf16(k)},
            "forward", precision);
    }
    if (op == "moving") {
        bool residual = false;
        line >> direction >> n >> h >> c >> residual;
        for (int i = 0; i < kMovings; ++i)
            if (name_of(Moving(i)) == direction)
                return moving(Moving(i), bytes_of(Moving(i), map_of(n, c, h), residual));
        fail_with(Exit::usage, direction, ": no such kernel");
    }
    if (op == "finish") {
        line >> c;
        const Cost finish = finishing(kDevice, c);
        return {.expected = finish.seconds(), .limiter = finish.limiter()};
    }
    if (op == "snnl") {
        bool gradient = false;
        SnnlForced forced;
        line >> n >> c >> h;
        for (std::string word; line >> word;) {
            if (word == "gradient")
                gradient = true;
            else
                force(forced, word);
        }
        const Forced now(forced);
        const SnnlShape s{.x = map_of(n, c, h)};
        return gradient ? snnl_gradient(s, e) : snnl(s, e);
    }
    if (op == "image") {
        line >> n >> h;
        return moving(Moving::image, double(n) * h * h * (3 + 4 * e));
    }
    if (op == "sgd" || op == "adamw") {
        double count = 0;
        line >> count;
        return moving(Moving::sgd, count * (op == "sgd" ? 20 : 28),
                      2);  // filters, and what does not decay
    }
    if (op == "loss") {  // forward, its sum, backward
        line >> n >> c;
        return moving(3.0 * e * n * c, 3);
    }
    if (op == "dropout") {
        line >> n >> c;
        Expectation out = moving(2.0 * e * n * c);
        // Ten rounds of Philox an element; 64 integer lanes on a multiprocessor, at 1.83 GHz.
        const double draw = 100.0 * n * c / (kProcessors * 64 * 1.83e9);
        if (draw > out.expected - kDevice.start) {
            out.expected = kDevice.start + draw;
            out.limiter = "integers";
        }
        return out;
    }
    line >> n >> h >> c;
    const double map = double(e) * double(map_of(n, c, h).logical());
    if (op == "columns") return moving(map, 2);
    if (op == "relu") return moving(2 * map);
    if (op == "add") return moving(3 * map);
    if (op == "avgpool") {
        return moving(AvgPoolShape{.x = map_of(n, c, h)}.bytes(e));
    }
    fail_with(Exit::usage, op, ": no such op");
}

}  // namespace fp
