// One engine of a comparison: does what it is told on standard input, so that a driver (bench/gpu/run,
// bench/host/compare_host) can let several engines take turns. Started as: bench_worker DEVICE [PRECISION].
// One line per command, one line per answer; torch_worker.py answers a part of the same lines.
//
// Lines that make something ready, answered with "ready WORK FLOOR EXPECTED". WORK: the flops of a call, or what else is
// said below; FLOOR and EXPECTED: seconds on an H200 by model.h, 0 where it says nothing.
//   copy BYTES                       within the device's memory; WORK: bytes read and written
//   product N [zeros]                N x N x N, as a linear layer
//   conv DIRECTION N H C K R STRIDE [rectified] [kernel=NAME] [without=NAME] [tile=MxN] [blocks=N]
//                                    [parts=N] [late=1]
//                                    DIRECTION: forward, forward_moments, infer, infer_residual, backward_data,
//                                    backward_data_add, backward_filter; padding R/2; rectified: x and dy as behind a ReLU,
//                                    half of them zeros. The other words choose in place of the rule; NAME: of a
//                                    ConvKernel (kernels/cuda/plan/conv_choice.h)
//   rate l2|wgmma|ex2|start VARIANT BLOCKS STEPS         WORK: as bench/gpu/rates/rates.h has it
//   network train|infer SIZE BATCH ARCH STEM [without=NAME] [late=1] [LAYER=CHANNELS ...]
//                                    padding taps are counted as work
//   snnl N C SIDE [gradient] [kernel=NAME]      scores of one label set, exact, cosine; gradient: and their gradient; NAME: of
//                                    a SnnlKernel (kernels/cuda/plan/snnl_plan.h), in place of the rule
//   op NAME ...                      one op that memory bounds (ops.cpp); WORK: bytes
//   small NAME ...                   one op of those beside them (small_ops.cpp); WORK: bytes
//   once LINE                        one call of such a line without warming up, for a profiler
// Lines about what was made ready last:
//   time SECONDS [BYTES]   -> seconds per call, of each stretch of about 10 ms: of the calls themselves or of one replayed
//                             graph, which rotate through so many bytes of inputs and outputs
//   timed                  -> how: "graph of N calls" or "eager, N sets"
//   check [DEVICE]         -> JSON: whether three calls on poisoned outputs leave the same bits, intact guards and no NaN;
//                             samples beside double; whole tensors beside those of another device
//   dump FILE              -> dumped: a call's outputs; of a training step its gradients
//   gradients FILE         -> JSON: a training step's gradients beside such a file
//   bits                   -> a hash of a call's outputs
//   memory                 -> bytes of the input and of the scratch memory, of scores
// With `model` for DEVICE it needs none, and answers lines as model.h has them with what an op should take.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/worker/compare.h"
#include "bench/worker/model.h"
#include "bench/worker/work.h"
#include "engine/core/memory.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr double kStretch = 0.01;  // seconds between two marks
constexpr double kWarmUp = 0.5;    // seconds after which no further call warms up

constexpr struct {
    const char* name;
    Work (*make)(const Kernels&, Line&);
} kKinds[] = {
    {"copy", copy_work},       {"product", product_work}, {"conv", convolution_work},
    {"network", network_work}, {"snnl", snnl_work},       {"rate", rate_work},
    {"op", op_work},           {"small", small_op_work},
};

// How far an element may be from another engine's, in root mean squares: what the rounding of sums of a few thousand
// products can lose.
double tolerance(Precision p) { return p == Precision::bf16 ? 0.02 : p == Precision::tf32 ? 0.01 : 2e-4; }

// Where outputs are rounded to bf16, so are all inputs, whoever computes.
Type inputs_of(Precision p) { return p == Precision::bf16 ? Type::bf16 : Type::f32; }

const Kernels& table(const std::string& device, Precision precision) {
    for (const Backend b : {Backend::cpu, Backend::onednn, Backend::cuda, Backend::cudnn, Backend::emulated, Backend::reference})
        if (device == name(b)) {
            const bool host = b == Backend::cpu || b == Backend::onednn || b == Backend::reference;
            return kernels(b, host ? Precision::f32 : precision);
        }
    fail_with(Exit::usage, device, ": no such device");
}

Work made(const Kernels& k, const std::string& text, Precision precision) {
    Line words(text, inputs_of(precision));
    std::string command;
    words >> command;
    const auto kind =
        std::find_if(std::begin(kKinds), std::end(kKinds), [&](const auto& k_) { return command == k_.name; });
    FP_REQUIRE(kind != std::end(kKinds), Exit::usage, "unknown command ", command);
    return kind->make(k, words);
}

uint64_t hash_of(const Kernels& k, const Work& work) {
    uint64_t hash = 0;
    for (const Output& o : work.outputs) {
        const std::vector<char> host = on_host(k, o.data, o.bytes);
        for (size_t i = 0; i < host.size(); i += sizeof(uint64_t)) {
            uint64_t word = 0;
            std::copy_n(host.data() + i, std::min(sizeof word, host.size() - i), reinterpret_cast<char*>(&word));
            hash = mix(hash ^ word);
        }
    }
    return hash;
}

void call_once(const Kernels& k, const Work& work) {
    work.reset();
    work.call(0);
    k.memory.synchronize({});
}

nlohmann::json check(
    const Kernels& k, const Work& work, const std::string& line, const std::string& device, Precision precision) {
    FP_REQUIRE(!work.outputs.empty(), Exit::usage, "check: this leaves no outputs");
    std::vector<uint64_t> hashes;
    for (int i = 0; i < 3; ++i) {
        call_once(k, work);
        hashes.push_back(hash_of(k, work));
    }
    nlohmann::json out{{"bits", fmt::format("{:016x}", hashes[0])},
                       {"same_bits", hashes[0] == hashes[1] && hashes[0] == hashes[2]},
                       {"guards", true}};
    int64_t missing = 0;
    for (const Output& o : work.outputs) {
        if (o.guard && !o.guard->intact()) out["guards"] = false;
        missing += unwritten(k, o);
    }
    out["unwritten"] = missing;
    if (work.in_double) out["double"] = work.in_double();
    if (device.empty()) return out;
    const Kernels& theirs = table(device, precision);
    std::string their_line = line;
    const std::string with_moments = "conv forward_moments";
    if (!theirs.conv.forward_moments && line.starts_with(with_moments))
        their_line = "conv forward" + line.substr(with_moments.size());
    const Work their_work = made(theirs, their_line, precision);
    call_once(theirs, their_work);
    for (const Output& want : their_work.outputs) {
        const auto got = std::find_if(work.outputs.begin(), work.outputs.end(),
                                      [&](const Output& o) { return o.name == want.name; });
        if (got == work.outputs.end() || std::holds_alternative<std::monostate>(want.layout)) continue;
        nlohmann::json beside = compare(k, *got, theirs, want, tolerance(precision));
        beside["output"] = want.name;
        out["beside"].push_back(beside);
    }
    out["device"] = device;
    return out;
}

void dump(const Kernels& k, const Work& work, const std::string& path) {
    call_once(k, work);
    if (work.dump) return work.dump(path);
    std::ofstream file(path, std::ios::binary);
    for (const Output& o : work.outputs) {
        const std::vector<char> host = on_host(k, o.data, o.bytes);
        file.write(host.data(), std::streamsize(host.size()));
    }
    file.close();
    FP_REQUIRE(file, Exit::data, path, ": cannot be written");
}

// How a work is timed: one graph of a call of each set, or the calls themselves.
class Rotation {
public:
    Rotation(const Kernels& k, const Work& work, size_t bytes)
        : k_(k), work_(work), sets_(bytes ? work.rotate(bytes) : 1) {
        if (!work.captured) return;
        for (int i = 0; i < sets_; ++i) work.call(i);  // plans and memory of every set
        k.memory.synchronize({});
        if (!k.graph) return;
        k.graph->begin({});
        try {
            for (int i = 0; i < sets_; ++i) work.call(i);
            graph_ = k.graph->end({});
        } catch (const Error& e) {
            std::cerr << "bench_worker: not captured: " << e.what() << std::endl;
            k.graph->abandon({});
        }
    }
    ~Rotation() {
        if (graph_) drop_errors([&] { k_.graph->release(graph_); });
    }
    Rotation(const Rotation&) = delete;
    Rotation& operator=(const Rotation&) = delete;

    std::string how() const {
        return graph_ ? fmt::format("graph of {} calls", sets_) : fmt::format("eager, {} sets", sets_);
    }
    // Seconds of so many calls at least, and their number.
    std::pair<double, int> stretch(int calls) const {
        OwnedEvent begin(k_.streams), end(k_.streams);
        const int rounds = (calls + sets_ - 1) / sets_;
        begin.record({});
        for (int i = 0; i < rounds; ++i) {
            if (graph_)
                k_.graph->launch(graph_, {});
            else
                for (int set = 0; set < sets_; ++set) work_.call(set);
        }
        end.record({});
        end.wait();
        return {end.seconds_since(begin), rounds * sets_};
    }
    // Seconds a call, of each stretch.
    std::string time(double wanted) const {
        const auto [once, calls_of_once] = stretch(1);
        const double each = std::max(once / calls_of_once, 1e-7);
        const int calls = int(std::clamp(kStretch / each, 1.0, 10000.0));
        std::string out;
        double left = wanted;
        do {
            const auto [taken, count] = stretch(calls);
            out += fmt::format("{:.4e} ", taken / count);
            left -= taken;
        } while (left > 0);
        return out;
    }

private:
    const Kernels& k_;
    const Work& work_;
    int sets_;
    void* graph_ = nullptr;
};

// Plans, memory, graphs.
void warm_up(const Kernels& k, const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
        work.call(0);
        k.memory.synchronize({});
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        if (passed.count() > kWarmUp) return;
    }
}

struct Server {
    const Kernels& k;
    const std::string device;
    Precision precision;
    std::string made_line = {};
    Work work = {};
    std::unique_ptr<Rotation> rotation = {};

    std::string make(const std::string& line, bool warm) {
        rotation.reset();
        work = {};  // its memory first
        made_line = line;
        work = made(k, line, precision);
        Expectation expected{.expected = work.expected};
        if (line.starts_with("product")) expected.expected = work.flops / peak_flops(precision);
        if (line.starts_with("conv") || line.starts_with("snnl")) {
            std::istringstream again(line);
            expected = expect(again, precision);
        }
        if (warm)
            warm_up(k, work);
        else
            call_once(k, work);
        return fmt::format("ready {:.6e} {:.6e} {:.6e}", work.flops, expected.floor, expected.expected);
    }

    std::string answer(const std::string& line) {
        std::istringstream words(line);
        std::string command, word;
        words >> command;
        if (command == "once") return make(line.substr(line.find(' ') + 1), false);
        for (const auto& kind : kKinds)
            if (command == kind.name) return make(line, true);
        FP_REQUIRE(work.call, Exit::usage, command, ": nothing is ready");
        if (command == "time") {
            double seconds = 0;
            size_t bytes = 0;
            words >> seconds >> bytes;
            if (!rotation) rotation = std::make_unique<Rotation>(k, work, bytes);
            return rotation->time(seconds);
        }
        if (command == "timed") return rotation ? rotation->how() : "not yet";
        if (command == "memory") return fmt::format("{} {}", work.input_bytes, work.scratch_bytes);
        words >> word;
        if (command == "check") return check(k, work, made_line, word, precision).dump();
        if (command == "dump") {
            dump(k, work, word);
            return "dumped";
        }
        if (command == "bits") {
            call_once(k, work);
            return fmt::format("{:016x}", hash_of(k, work));
        }
        FP_REQUIRE(command == "gradients" && work.beside, Exit::usage, command, ": not of this");
        call_once(k, work);
        return work.beside(word).dump();
    }
};

int serve(const std::string& device, Precision precision) {
    Server server{table(device, precision), device, precision};
    size_t told = 0;  // of cuDNN's plans, which go into the log as they are chosen
    for (std::string line; std::getline(std::cin, line);) {
        std::cout << server.answer(line) << std::endl;
        if (device != name(Backend::cudnn)) continue;
        const std::string plans = cudnn_plans();
        std::cerr << plans.substr(told) << std::flush;
        told = plans.size();
    }
    return 0;
}

// What model.h says of each line: FLOPS BYTES FLOOR EXPECTED LIMITER KERNEL.
int expect_all(Precision precision) {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        const Expectation e = expect(words, precision);
        std::cout << fmt::format("{:.6e} {:.6e} {:.6e} {:.6e} {} {}", e.flops, e.bytes, e.floor, e.expected, e.limiter,
                                 e.kernel)
                  << std::endl;
    }
    return 0;
}

int run(const std::vector<std::string>& words) {
    FP_REQUIRE(!words.empty(), Exit::usage, "DEVICE [PRECISION], or model [PRECISION]");
    const std::string precision_name = words.size() > 1 ? words[1] : "fp32";
    for (const Precision p : {Precision::f32, Precision::tf32, Precision::bf16})
        if (precision_name == name(p)) return words[0] == "model" ? expect_all(p) : serve(words[0], p);
    fail_with(Exit::usage, precision_name, ": no such precision");
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    try {
        return fp::run({argv + 1, argv + argc});
    } catch (const fp::Error& e) {
        std::cerr << "bench_worker: " << e.what() << std::endl;
        return int(e.exit);
    } catch (const std::exception& e) {
        std::cerr << "bench_worker: " << e.what() << std::endl;
        return 1;
    }
}
