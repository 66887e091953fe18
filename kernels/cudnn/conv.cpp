// Convolutions by cuDNN's graphs. The first call for a shape and pass times the plans that cuDNN's heuristics propose
// and keeps the fastest. Inference is one graph of convolution, bias, residual and ReLU, with float32 between them;
// where cuDNN has no such plan, it is a convolution and a kernel of ours (elementwise.cu).
//
// cuDNN gets filters with as many rows as the output has stored channels, the rows after the logical ones zero, so that
// both maps are packed. That takes a copy where the two counts differ, and in bf16. The copy is in the caller's
// scratch; the plans' workspace belongs to graph.h.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "kernels/cudnn/graph.h"

namespace fp::cudnn {
namespace {

using Pass = OperationGraph::Pass;

constexpr int64_t kAlign = 256;

// The operations after the convolution.
struct Finish {
    bool bias = false, residual = false, relu = false;
    bool any() const { return bias || residual || relu; }
    auto operator<=>(const Finish&) const = default;
};

// The filter as cuDNN sees it.
struct FilterSizes {
    int64_t rows, stored;  // weights in the logical rows, and in all rows
    explicit FilterSizes(const ConvShape& s) : rows(s.w.stored()), stored(rows / s.w.k * s.y().stored_c()) {}
    bool is_copied() const { return libraries().activation() == Type::bf16 || rows != stored; }
    int64_t bytes() const { return stored * bytes_of(libraries().activation()); }
};

struct ConvPlan {
    Plan plan;
    int x, w, y, bias, residual;
    Finish fused;  // the operations that the plan includes
};

std::optional<ConvPlan> search(const ConvShape& s, Pass pass, const Finish& finish, cudnnHandle_t cudnn) {
    const cudnnDataType_t type = libraries().data_type();
    const Map out = s.y();
    const std::array<int64_t, 4> y_sizes{out.n, out.stored_c(), out.h, out.w};
    OperationGraph graph;
    const int x = graph.tensor({s.x.n, s.x.stored_c(), s.x.h, s.x.w}, type);
    const int w = graph.tensor({out.stored_c(), s.x.stored_c(), s.w.r, s.w.s}, type);
    int last = graph.tensor(y_sizes, finish.any() ? CUDNN_DATA_FLOAT : type, !finish.any());
    int bias = 0, residual = 0;
    graph.convolution(pass, s, x, w, last);
    // Only the last operation's output is stored; the others' are float32.
    int left = int(finish.bias) + int(finish.residual) + int(finish.relu);
    const auto next = [&] {
        --left;
        return graph.tensor(y_sizes, left > 0 ? CUDNN_DATA_FLOAT : type, left == 0);
    };
    if (finish.bias) {
        bias = graph.tensor({1, out.stored_c(), 1, 1}, CUDNN_DATA_FLOAT);
        const int y = next();
        graph.add(last, bias, y);
        last = y;
    }
    if (finish.residual) {
        residual = graph.tensor(y_sizes, type);
        const int y = next();
        graph.add(last, residual, y);
        last = y;
    }
    if (finish.relu) {
        const int y = next();
        graph.relu(last, y);
        last = y;
    }
    auto plan = graph.fastest(cudnn);
    if (!plan) return {};
    return ConvPlan{std::move(*plan), x, w, last, bias, residual, finish};
}

// Estimate of finish_map: its maps once at 4 TB/s, and a launch.
double finish_seconds(const Map& y, const Finish& finish) {
    const double maps = finish.residual ? 3 : 2;
    return maps * double(y.stored()) * bytes_of(libraries().activation()) / 4e12 + 2e-6;
}

std::shared_ptr<const ConvPlan> choose(const ConvShape&, Pass, const Finish&, cudnnHandle_t);

// Searched at the first call, on the handle's stream: a step runs twice before it is captured as a graph.
const ConvPlan& plan_of(const ConvShape& s, Pass pass, cudnnHandle_t cudnn, const Finish& finish = {}) {
    const auto key = std::make_tuple(s.x.n, s.x.c, s.x.h, s.x.w, s.x.block, s.w.k, s.w.r, s.w.s, s.stride, s.pad,
                                     s.y_block, libraries().precision, pass, finish.bias, finish.residual, finish.relu);
    static std::recursive_mutex mutex;  // choose() asks for the plan without a finish
    static std::map<decltype(key), std::shared_ptr<const ConvPlan>> plans;
    const std::lock_guard lock(mutex);
    const auto found = plans.find(key);
    if (found != plans.end()) return *found->second;
    return *plans.emplace(key, choose(s, pass, finish, cudnn)).first->second;
}

std::shared_ptr<const ConvPlan> choose(const ConvShape& s, Pass pass, const Finish& finish, cudnnHandle_t cudnn) {
    std::optional<ConvPlan> plan = search(s, pass, finish, cudnn);
    if (finish.any()) {
        // A separate finish is one more pass over the map; a fused plan must be faster than convolution and pass
        // together.
        const ConvPlan& plain = plan_of(s, pass, cudnn);
        const double apart = plain.plan.seconds() + finish_seconds(s.y(), finish);
        if (!plan || apart < plan->plan.seconds()) return {std::shared_ptr<const ConvPlan>(), &plain};
    }
    FP_REQUIRE(plan, Exit::device, "cudnn: no plan for a convolution of ", s.x.c, " channels at ", s.x.h, "x", s.x.w,
               " with ", s.w.k, " filters of ", s.w.r, "x", s.w.s);
    constexpr const char* kNames[] = {"forward", "data", "filter"};
    note_plan(text(kNames[int(pass)], " ", s.x.n, " ", s.x.h, " ", s.x.c, " ", s.w.k, " ", s.w.r, " ", s.stride,
                   finish.any() ? " fused" : "", ": ", plan->plan.name()));
    return std::make_shared<const ConvPlan>(std::move(*plan));
}

// ---- scratch: the filter's copy or its gradient; then dx before it is added, or the ones of the bias gradient's
// product

size_t behind_filter(const FilterSizes& f) { return size_t(round_up(f.bytes(), kAlign)); }
size_t scratch_bytes(const ConvShape& s) {
    const int64_t e = bytes_of(libraries().activation());
    const Map y = s.y();
    return behind_filter(FilterSizes(s)) + size_t(std::max(s.x.stored(), int64_t(y.n) * y.pixels()) * e);
}

// Copies the filter to `to` in cuDNN's form.
void lay_out(const FilterSizes& f, const par* w, void* to, Stream stream) {
    const Memory& memory = libraries().own->memory;
    if (libraries().activation() == Type::bf16) {
        to_bf16(as<float>(w), f.rows, f.stored, to, stream);
        return;
    }
    memory.copy(to, w, size_t(f.rows) * sizeof(float), stream);
    if (f.stored > f.rows)
        memory.zero(static_cast<float*>(to) + f.rows, size_t(f.stored - f.rows) * sizeof(float), stream);
}
const void* library_filter(const ConvShape& s, const par* w, void* scratch, Stream stream) {
    const FilterSizes f(s);
    if (!f.is_copied()) return w;
    lay_out(f, w, scratch, stream);
    return scratch;
}

void infer(const ConvShape& s, const Conv::Infer& a, void*, Stream stream) {
    const Finish wanted{.bias = a.bias != nullptr, .residual = a.residual != nullptr, .relu = a.relu};
    const cudnnHandle_t cudnn = libraries().on(stream);
    const ConvPlan& p = plan_of(s, Pass::forward, cudnn, wanted);
    std::vector<Placed> tensors{{p.x, a.x}, {p.w, a.prepared}, {p.y, a.y}};
    if (p.fused.bias) tensors.emplace_back(p.bias, a.bias);
    if (p.fused.residual) tensors.emplace_back(p.residual, a.residual);
    p.plan.run(tensors, cudnn);
    if (wanted.any() && !p.fused.any())
        finish_map(s.y(), {.bias = a.bias, .residual = a.residual, .relu = a.relu}, a.y, stream);
}

void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream stream) {
    infer(s, Conv::Infer::of(a, library_filter(s, a.w, scratch, stream)), scratch, stream);
}

void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch, Stream stream) {
    const cudnnHandle_t cudnn = libraries().on(stream);
    const ConvPlan& p = plan_of(s, Pass::data, cudnn);
    void* apart = static_cast<char*>(scratch) + behind_filter(FilterSizes(s));
    void* to = a.write == Write::add ? apart : a.dx;
    p.plan.run({{p.y, a.dy}, {p.w, library_filter(s, a.w, scratch, stream)}, {p.x, to}}, cudnn);
    if (a.write == Write::add)
        libraries().own->add.accumulate(s.x, {.dy = static_cast<const act*>(apart), .dx = a.dx, .write = a.write},
                                        stream);
}

void backward_filter(const ConvShape& s, const Conv::BackwardFilter& a, void* scratch, Stream stream) {
    const cudnnHandle_t cudnn = libraries().on(stream);
    const ConvPlan& p = plan_of(s, Pass::filter, cudnn);
    const FilterSizes f(s);
    const bool apart = f.is_copied() || a.write == Write::add;
    void* to = apart ? scratch : a.dw;
    p.plan.run({{p.x, a.x}, {p.y, a.dy}, {p.w, to}}, cudnn);
    if (libraries().activation() == Type::bf16) {
        from_bf16(to, f.rows, as<float>(a.dw), a.write, stream);
    } else if (apart) {
        const Map numbers{.c = int(f.rows), .block = 1};
        void* dw = a.dw;  // float32, as activations are in this branch
        libraries().own->add.accumulate(
            numbers, {.dy = static_cast<const act*>(to), .dx = static_cast<act*>(dw), .write = a.write}, stream);
    }
    if (!a.dbias) return;
    const Map y = s.y();
    void* ones = static_cast<char*>(scratch) + behind_filter(f);
    column_sums({a.dy, int64_t(y.n) * y.pixels(), y.stored_c()}, as<float>(a.dbias), a.write, ones, stream);
}

size_t prepared_bytes(const ConvShape& s, Conv::Fused) { return size_t(FilterSizes(s).bytes()); }

void prepare(const ConvShape& s, Conv::Fused, const par* w, void* prepared, Stream stream) {
    lay_out(FilterSizes(s), w, prepared, stream);
}

}  // namespace

extern const Conv conv{.scratch_bytes = scratch_bytes,
                       .forward = forward,
                       .backward_data = backward_data,
                       .backward_filter = backward_filter,
                       .prepared_bytes = prepared_bytes,
                       .prepare = prepare,
                       .infer = infer};

}  // namespace fp::cudnn
