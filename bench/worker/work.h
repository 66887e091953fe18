// What a worker can be told to do, one file per kind. Each reads the rest of its line (worker.cpp has the forms), brings its
// inputs to the device and returns the call and its outputs.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "bench/worker/numbers.h"
#include "kernels/kernels.h"

namespace fp {

// The words behind a command. Inputs are drawn so that they are exact in `inputs`, whatever the backend stores them in.
struct Line : std::istringstream {
    Line(const std::string& text, Type exact) : std::istringstream(text), inputs(exact) {}
    Type inputs;
};

// One tensor that a call writes on the device. Without a layout it is hashed and not compared.
struct Output {
    std::string name;
    const void* data;
    size_t bytes;
    Type type = Type::f32;
    std::variant<std::monostate, Map, Filter> layout = {};
    const Guarded* guard = nullptr;

    Output(std::string called, const void* where, size_t count) : name(std::move(called)), data(where), bytes(count) {}
    Output(std::string called,
           const Guarded& block,
           Type t = Type::f32,
           std::variant<std::monostate, Map, Filter> l = {})
        : name(std::move(called)), data(block.data()), bytes(block.bytes()), type(t), layout(l), guard(&block) {}
};

struct Work {
    std::function<void(int set)> call;  // enqueued on the device's own stream; repeatable
    // Makes so many sets of inputs and outputs that they take these bytes together, so that a rotation through them does
    // not find its data in the L2 cache. Returns their number.
    std::function<int(size_t bytes)> rotate = [](size_t) { return 1; };
    bool captured = true;                 // timed as one graph over all sets; a network replays graphs of its own
    std::function<void()> reset = [] {};  // what a call of set 0 starts from: outputs are NaN or hold what is added to
    std::vector<Output> outputs = {};     // of set 0
    std::function<nlohmann::json()> in_double = {};  // compares the outputs with values in double: rms, worst, samples
    std::function<void(const std::string& file)> dump = {};              // instead of the outputs' bytes
    std::function<nlohmann::json(const std::string& file)> beside = {};  // compares with such a file
    double flops = 0;                                                    // or what else a rate counts
    double expected = 0;                                                 // seconds, where model.h does not say
    size_t input_bytes = 0, scratch_bytes = 0;                           // on the device
};

Work copy_work(const Kernels&, Line&);
Work product_work(const Kernels&, Line&);
Work convolution_work(const Kernels&, Line&);
Work rate_work(const Kernels&, Line&);
Work network_work(const Kernels&, Line&);
Work snnl_work(const Kernels&, Line&);
Work op_work(const Kernels&, Line&);
Work small_op_work(const Kernels&, Line&);

}  // namespace fp
