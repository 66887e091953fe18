// Convolutions by cuDNN's graphs: for each shape and pass the fastest plan that the library's heuristics name, found at
// the first call. Inference is one graph: convolution, bias, residual, ReLU, in float32 between them; where the library
// has no plan for that, a convolution and a kernel of our own (elementwise.cu).
//
// Filters go to the library with as many rows as the output has stored channels, rows of zeros behind the logical ones,
// so that both maps are packed; that takes a copy where the counts differ, and in bf16. The copy lies in the caller's
// scratch, the plans' workspace is the library's own (graph.h).
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

// What is asked of a shape. `finish`: bias, residual and ReLU behind the convolution.
struct Finish {
    bool bias = false, residual = false, relu = false;
    bool any() const { return bias || residual || relu; }
    auto operator<=>(const Finish&) const = default;
};

// The filter in the library's eyes.
struct FilterSizes {
    int64_t rows, stored;  // numbers of the logical rows, and of all
    explicit FilterSizes(const ConvShape& s)
        : rows(s.w.stored()), stored(rows / s.w.k * s.y().stored_c()) {}
    bool is_copied() const { return libraries().activation() == Type::bf16 || rows != stored; }
    int64_t bytes() const { return stored * bytes_of(libraries().activation()); }
};

struct ConvPlan {
    Plan plan;
    int x, w, y, bias, residual;
    Finish fused;  // what of Finish the plan does
};

std::optional<ConvPlan> search(const ConvShape& s,
                               Pass pass,
                               const Finish& finish,
                               cudnnHandle_t cudnn) {
    const cudnnDataType_t type = libraries().data_type();
    const Map out = s.y();
    const std::array<int64_t, 4> y_sizes{out.n, out.stored_c(), out.h, out.w};
    OperationGraph graph;
    const int x = graph.tensor({s.x.n, s.x.stored_c(), s.x.h, s.x.w}, type);
    const int w = graph.tensor({out.stored_c(), s.x.stored_c(), s.w.r, s.w.s}, type);
    int last = graph.tensor(y_sizes, finish.any() ? CUDNN_DATA_FLOAT : type, !finish.any());
    int bias = 0, residual = 0;
    graph.convolution(pass, s, x, w, last);
    // Each operation's output is float32 and not stored, but the last one's.
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

// What finish_map should take: its maps once at 4 TB/s, and a launch.
double finish_seconds(const Map& y, const Finish& finish) {
    const double maps = finish.residual ? 3 : 2;
    return maps * double(y.stored()) * bytes_of(libraries().activation()) / 4e12 + 2e-6;
}

std::shared_ptr<const ConvPlan> choose(const ConvShape&, Pass, const Finish&, cudnnHandle_t);

// Searched at the first call, on the handle's stream: a step runs twice before it is captured as a graph.
const ConvPlan& plan_of(const ConvShape& s,
                        Pass pass,
                        cudnnHandle_t cudnn,
                        const Finish& finish = {}) {
    const auto key = std::make_tuple(s.x.n, s.x.c, s.x.h, s.x.w, s.x.block, s.w.k, s.w.r, s.w.s,
                                     s.stride, s.pad, s.y_block, libraries().precision, pass,
                                     finish.bias, finish.residual, finish.relu);
    static std::recursive_mutex mutex;  // choose() asks for the plan without a finish
    static std::map<decltype(key), std::shared_ptr<const ConvPlan>> plans;
    const std::lock_guard lock(mutex);
    const auto found = plans.find(key);
    if (found != plans.end()) return *found->second;
    return *plans.emplace(key, choose(s, pass, finish, cudnn)).first->second;
}

std::shared_ptr<const ConvPlan> choose(const ConvShape& s,
                                       Pass pass,
                                       const Finish& finish,
                                       cudnnHandle_t cudnn) {
    std::optional<ConvPlan> plan = search(s, pass, finish, cudnn);
    if (finish.any()) {
        // The finish apart is one more pass over the map: a fused plan has to beat the two.
        const ConvPlan& plain = plan_of(s, pass, cudnn);
        const double apart = plain.plan.seconds() + finish_seconds(s.y(), finish);
        if (!plan || apart < plan->plan.seconds())
            return {std::shared_ptr<const ConvPlan>(), &plain};
    }
    FP_REQUIRE(plan, Exit::device, "cudnn: no plan for a convolution of ", s.x.c, " channels at ",
               s.x.h, "x", s.x.w, " with ", s.w.k, " filters of ", s.w.r, "x", s.w.s);
    constexpr const char* kNames[] = {"forward", "data", "filter"};
    note_plan(text(kNames[int(pass)], " ", s.x.n, " ", s.x.h, " ", s.x.c, " ", s.w.k, " ", s.w.r,
                   " ", s.stride, finish.any() ? " fused" : "", ": ", plan->plan.name()));
    return std::make_shared<const ConvPlan>(std::move(*plan));
}

// ---- scratch: the filter's copy or its gradient; then dx before it is added, or the ones of the bias gradient's product

size_t behind_filter(const FilterSizes& f) { return size_t(round_up(f.bytes(), kAlign)); }
size_t scratch_bytes(const ConvShape& s) {
    const int64_t e = bytes_of(libraries().activation());
    const Map y = s.y();
    return behind_filter(FilterSizes(s)) +
           size_t(std::max(s.x.stored(), int64_t(y.n) * y.pixels()) * e);
}

// The filter as the library wants it, at `to`.
void lay_out(const FilterSizes& f, const par* w, void* to, Stream stream) {
    const Memory& memory = libraries().own->memory;
    if (libraries().activation() == Type::bf16) {
        to_bf16(static_cast<const float*>(w), f.rows, f.stored, to, stream);
        return;
    }
    memory.copy(to, w, size_t(f.rows) * sizeof(float), stream);
    if (f.stored > f.rows)
        memory.zero(static_cast<float*>(to) + f.rows, size_t(f.stored - f.rows) * sizeof(float),
                    stream);
}
const void* library_filter(const ConvShape& s, const par* w, void* scratch, Stream stream) {
    const FilterSizes f(s);
    if (!f.is_copied()) return w;
    lay_out(f, w, scratch, stream);
    return scratch;
}

void run_forward(const ConvShape& s,
                 const act* x,
                 const void* filter,
                 const par* bias,
                 const act* residual,
                 bool relu,
                 act* y,
                 Stream stream) {
    const Finish wanted{bias != nullptr, residual != nullptr, relu};
    const cudnnHandle_t cudnn = libraries().on(stream);
    const ConvPlan& p = plan_of(s, Pass::forward, cudnn, wanted);
    std::vector<Placed> tensors{{p.x, x}, {p.w, filter}, {p.y, y}};
    if (p.fused.bias) tensors.emplace_back(p.bias, bias);
    if (p.fused.residual) tensors.emplace_back(p.residual, residual);
    p.plan.run(tensors, cudnn);
    if (wanted.any() && !p.fused.any()) finish_map(s.y(), bias, residual, relu, y, stream);
}

void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    run_forward(s, x, library_filter(s, w, scratch, stream), bias, nullptr, false, y, stream);
}

void backward_data(const ConvShape& s,
                   const act* dy,
                   const par* w,
                   act* dx,
                   Write write,
                   void* scratch,
                   Stream stream) {
    const cudnnHandle_t cudnn = libraries().on(stream);
    const ConvPlan& p = plan_of(s, Pass::data, cudnn);
    void* apart = static_cast<char*>(scratch) + behind_filter(FilterSizes(s));
    void* to = write == Write::add ? apart : dx;
    p.plan.run({{p.y, dy}, {p.w, library_filter(s, w, scratch, stream)}, {p.x, to}}, cudnn);
    if (write == Write::add)
        libraries().own->add.accumulate(s.x, {.dy = apart, .dx = dx, .write = write}, stream);
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    const cudnnHandle_t cudnn = libraries().on(stream);
    const ConvPlan& p = plan_of(s, Pass::filter, cudnn);
    const FilterSizes f(s);
    const bool apart = f.is_copied() || write == Write::add;
    void* to = apart ? scratch : dw;
    p.plan.run({{p.x, x}, {p.y, dy}, {p.w, to}}, cudnn);
    if (libraries().activation() == Type::bf16) {
        from_bf16(to, f.rows, static_cast<float*>(dw), write, stream);
    } else if (apart) {
        const Map numbers{.c = int(f.rows), .block = 1};
        libraries().own->add.accumulate(numbers, {.dy = to, .dx = dw, .write = write}, stream);
    }
    if (!dbias) return;
    const Map y = s.y();
    void* ones = static_cast<char*>(scratch) + behind_filter(f);
    column_sums(dy, int64_t(y.n) * y.pixels(), y.stored_c(), static_cast<float*>(dbias), write,
                ones, stream);
}

size_t prepared_bytes(const ConvShape& s, bool, bool) { return size_t(FilterSizes(s).bytes()); }

void prepare(const ConvShape& s, bool, bool, const par* w, void* prepared, Stream stream) {
    lay_out(FilterSizes(s), w, prepared, stream);
}

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void*,
           Stream stream) {
    run_forward(s, x, prepared, bias, residual, relu, y, stream);
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
