// Ops that are compared whole with the reference backend: those beside convolutions, and norms without moments.
//   small relu|relu_backward|add|dropout N H C
//   small norm_train|norm_infer N H C              with ReLU; statistics of the batch, or running ones
//   small linear|linear_data|linear_filter N C K
//   small loss|loss_backward N C
//   small sgd|adamw COUNT
// In place of flops it returns the bytes that a perfect memory would move.
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/worker/work.h"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Device memory, as whichever pointer an op takes.
struct Input {
    const void* at;
    template <class T>
    operator const T*() const {
        return static_cast<const T*>(at);
    }
};
struct Target {
    void* at;
    template <class T>
    operator T*() const {
        return static_cast<T*>(at);
    }
};

// What such an op reads and writes on a backend's device.
struct Tensors {
    const Kernels& k;
    Type exact;
    std::deque<Buffer> inputs = {};
    std::deque<Guarded> written = {};
    struct Update {
        const Guarded* block;
        const Buffer* from;  // what it holds before a call
    };
    std::vector<Update> updates = {};
    std::vector<Output> outputs = {};
    double moved = 0;  // bytes
    uint64_t seed = 0;

    template <class Layout>
    Input in(Type type, const Layout& l, bool positive = false) {
        inputs.push_back(upload(k, type, l, {.seed = ++seed, .rectified = positive, .exact = exact}));
        moved += double(inputs.back().bytes());
        return {inputs.back().data()};
    }
    template <class T>
    const T* in(const std::vector<T>& host) {
        inputs.push_back(upload(k, host));
        return static_cast<const T*>(inputs.back().data());
    }
    void* scratch(size_t bytes) {
        inputs.emplace_back(k.memory, std::max<size_t>(bytes, 1));
        return inputs.back().data();
    }
    template <class Layout>
    Target out(const char* name, Type type, const Layout& l) {
        written.emplace_back(k, size_t(l.stored()) * size_t(bytes_of(type)));
        outputs.emplace_back(name, written.back(), type, l);
        moved += double(written.back().bytes());
        return {written.back().data()};
    }
    template <class Layout>
    Target update(const char* name, Type type, const Layout& l, bool positive = false) {
        const Target to = out(name, type, l);
        inputs.push_back(upload(k, type, l, {.seed = ++seed, .rectified = positive, .exact = exact}));
        moved += double(inputs.back().bytes());
        updates.push_back({&written.back(), &inputs.back()});
        return to;
    }
    void reset() {
        for (Guarded& block : written) block.poison();
        for (const Update& u : updates) k.memory.copy(u.block->data(), u.from->data(), u.block->bytes(), {});
        k.memory.synchronize({});
    }
};

using Call = std::function<void()>;

Call map_op(const std::string& name, const std::shared_ptr<Tensors>& t, Line& words) {
    const Kernels& k = t->k;
    int n, h, c;
    words >> n >> h >> c;
    const Map m{.n = n, .c = c, .h = h, .w = h, .block = k.block(c)};
    const Type a = k.activation, p = k.parameter;
    const act* x = t->in(a, m);
    if (name == "relu") return [&k, m, x, y = t->out("y", a, m)] { k.relu.forward(m, {.x = x, .y = y}, {}); };
    if (name == "relu_backward")
        return [&k, m, x, dy = t->in(a, m), dx = t->update("dx", a, m)] {
            k.relu.backward(m, {.y = x, .dy = dy, .dx = dx, .write = Write::add}, {});
        };
    if (name == "add")
        return [&k, m, x, b = t->in(a, m), y = t->out("y", a, m)] { k.add.forward(m, {.a = x, .b = b, .y = y}, {}); };
    if (name == "dropout")
        return [&k, m, x, y = t->out("y", a, m)] { k.dropout.forward(m, {.p = 0.3, .key = 11, .x = x, .y = y}, {}); };
    const BatchNormShape s{.x = m, .relu = true};
    const Map v{.c = c, .block = m.block};
    const par *gamma = t->in(p, v), *beta = t->in(p, v);
    if (name == "norm_train")
        return [&k, s, x, gamma, beta, mean_ = t->update("running_mean", p, v), var_ = t->update("running_var", p, v),
                y = t->out("y", a, m), mean = t->out("mean", p, v), rstd = t->out("rstd", p, v),
                scratch = t->scratch(k.batchnorm.scratch_bytes(s))] {
            k.batchnorm.train(s,
                              {.x = x,
                               .residual = nullptr,
                               .gamma = gamma,
                               .beta = beta,
                               .running_mean = mean_,
                               .running_var = var_,
                               .y = y,
                               .mean = mean,
                               .rstd = rstd},
                              scratch, {});
        };
    FP_REQUIRE(name == "norm_infer", Exit::usage, "small: unknown op ", name);
    return [&k, s, x, gamma, beta, mean = t->in(p, v), var = t->in(p, v, true), y = t->out("y", a, m)] {
        k.batchnorm.infer(s,
                          {.x = x,
                           .residual = nullptr,
                           .gamma = gamma,
                           .beta = beta,
                           .running_mean = mean,
                           .running_var = var,
                           .y = y},
                          {});
    };
}

Call linear_op(const std::string& name, const std::shared_ptr<Tensors>& t, Line& words) {
    const Kernels& k = t->k;
    int n, c, outputs;
    words >> n >> c >> outputs;
    const LinearShape s{.x = {.n = n, .c = c, .block = k.block(c)},
                        .w = k.filter(outputs, c, 1, 1, k.block(c)),
                        .y_block = k.block(outputs)};
    const Type a = k.activation, p = k.parameter;
    const Map bias{.c = outputs, .block = s.y_block};
    void* scratch = t->scratch(k.linear.scratch_bytes(s));
    if (name == "linear")
        return [&k, s, scratch, x = t->in(a, s.x), w = t->in(p, s.w), b = t->in(p, bias), y = t->out("y", a, s.y())] {
            k.linear.forward(s, {.x = x, .w = w, .bias = b, .y = y}, scratch, {});
        };
    if (name == "linear_data")
        return [&k, s, scratch, dy = t->in(a, s.y()), w = t->in(p, s.w), dx = t->out("dx", a, s.x)] {
            k.linear.backward_data(s, {.dy = dy, .w = w, .dx = dx, .write = Write::replace}, scratch, {});
        };
    return [&k, s, scratch, x = t->in(a, s.x), dy = t->in(a, s.y()), dw = t->out("dw", p, s.w),
            db = t->out("dbias", p, bias)] {
        k.linear.backward_filter(s, {.x = x, .dy = dy, .dw = dw, .dbias = db, .write = Write::replace}, scratch, {});
    };
}

Call loss_op(const std::string& name, const std::shared_ptr<Tensors>& t, Line& words) {
    const Kernels& k = t->k;
    int n, c;
    words >> n >> c;
    const LossShape s{.logits = {.n = n, .c = c, .block = k.block(c)}};
    const Type a = k.activation, p = k.parameter;
    const int32_t* labels = t->in(drawn_labels(n, c, 7));
    const act* logits = t->in(a, s.logits);
    if (name == "loss")
        return [&k, s, labels, logits, losses = t->out("losses", p, Map{.n = n}),
                sums = static_cast<double*>(t->scratch(2 * sizeof(double)))] {
            k.loss.forward(
                s, {.logits = logits, .labels = labels, .class_weight = nullptr, .losses = losses, .sums = sums}, {});
        };
    return [&k, s, labels, logits, sums = t->in(std::vector<double>{0.0, double(n)}),
            dx = t->out("dlogits", a, s.logits)] {
        k.loss.backward(s,
                        {.logits = logits,
                         .labels = labels,
                         .class_weight = nullptr,
                         .sample_weight = nullptr,
                         .sums = sums,
                         .scale = 1.0,
                         .dlogits = dx,
                         .write = Write::replace},
                        {});
    };
}

Call optimizer_op(const std::string& name, const std::shared_ptr<Tensors>& t, Line& words) {
    const Kernels& k = t->k;
    int64_t count = 0;
    words >> count;
    const Map flat{.n = int(count)};
    const Type p = k.parameter;
    const par* g = t->in(p, flat);
    par *w = t->update("w", p, flat), *m = t->update("m", p, flat);
    if (name == "sgd")
        return [&k, count, g, w, m] {
            k.optimizer.sgd(count, {.lr = 0.1, .momentum = 0.9, .decay = 1e-4, .nesterov = true},
                            {.w = w, .g = g, .v = m}, {});
        };
    return [&k, count, g, w, m, v = t->update("v", p, flat, true)] {
        k.optimizer.adamw(count, {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.01, .step = 3},
                          {.w = w, .g = g, .m = m, .v = v}, {});
    };
}

}  // namespace

Work small_op_work(const Kernels& k, Line& words) {
    std::string name;
    words >> name;
    const auto t = std::make_shared<Tensors>(Tensors{.k = k, .exact = words.inputs});
    const Call call = name.starts_with("linear")         ? linear_op(name, t, words)
                      : name.starts_with("loss")         ? loss_op(name, t, words)
                      : name == "sgd" || name == "adamw" ? optimizer_op(name, t, words)
                                                         : map_op(name, t, words);
    t->reset();
    return {.call = [t, call](int) { call(); },
            .reset = [t] { t->reset(); },
            .outputs = t->outputs,
            .flops = t->moved,
            .expected = t->moved / kDevice.hbm};
}

}  // namespace fp
