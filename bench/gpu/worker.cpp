// One engine of a comparison on a GPU: times what it is told to on standard input, so that bench/gpu/run can let
// several engines take turns. Started as: gpu_worker DEVICE [PRECISION]. One line a command, one an answer:
//   copy BYTES                       -> ready BYTES MOVED 0 EXPECTED    from one place of the device's memory to another
//   product N [zeros]                -> ready FLOPS 0 EXPECTED              N x N x N, as a linear layer
//   conv DIRECTION N H C K R STRIDE [rectified] [kernel=NAME] [tile=MxN] [blocks=N] [parts=N]
//                                    -> ready FLOPS FLOOR EXPECTED   seconds; DIRECTION: forward, infer,
//                                                       forward_moments, backward_data, backward_filter; padding R/2; rectified: x
//                                                       and dy as behind a ReLU, half of them zeros. The other words choose in the
//                                                       rule's place; NAME: of a ConvKernel
//                                                       (kernels/cuda/plan/conv_choice.h)
//   rate l2|wgmma|ex2|start VARIANT BLOCKS STEPS   -> ready UNITS 0 EXPECTED   (rates/rates.h)
//   network train|infer SIZE BATCH ARCH STEM [LAYER=CHANNELS ...]   -> ready
//   snnl N C SIDE                    -> ready           scores of one label set, exact, cosine
//   op NAME ...                      -> ready BYTES 0 EXPECTED   one op that memory bounds (ops.cpp)
//   error                            -> of the convolution: root mean square, relative, on some outputs in double
//   bits                             -> a hash of the outputs, of a convolution or of the weights after a step
//   memory                           -> bytes of the input and of the scratch memory, of scores
//   time SECONDS                     -> seconds a call, of each stretch of about 20 ms
// With `model` for a device it needs none, and answers lines as model.h has them with what an op should take.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "bench/gpu/model.h"
#include "bench/gpu/work.h"
#include "engine/memory.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {

uint64_t hash_of(const Kernels& k, const void* device, size_t bytes) {
    std::vector<uint8_t> host(bytes);
    k.memory.copy_out(host.data(), device, bytes, {});
    uint64_t hash = 0;
    for (const uint8_t byte : host) hash = mix(hash + byte);
    return hash;
}

namespace {

constexpr double kStretch = 0.02;  // seconds between two marks
constexpr double kWarmUp = 0.5;    // seconds after which no further call warms up

constexpr struct {
    const char* name;
    Work (*make)(const Kernels&, std::istringstream&);
} kKinds[] = {
    {"copy", copy_work},       {"product", product_work}, {"conv", convolution_work},
    {"network", network_work}, {"snnl", snnl_work},       {"rate", rate_work},
    {"op", op_work},
};

// Stretches of as many calls as fill about 20 ms, one at least, between two marks of the device's clock.
std::string time(const Kernels& k, const Work& work, double wanted) {
    Mark begin(k.order), end(k.order);
    const auto stretch = [&](int calls) {
        begin.record({});
        for (int i = 0; i < calls; ++i) work.call(i % kSets);
        end.record({});
        end.wait();
        return end.seconds_since(begin);
    };
    const double once = std::max(stretch(1), 1e-7);
    const int calls = int(std::clamp(kStretch / once, 1.0, 10000.0));
    std::string out;
    double left = wanted;
    do {
        const double taken = stretch(calls);
        out += fmt::format("{:.4e} ", taken / calls);
        left -= taken;
    } while (left > 0);
    return out;
}

// Plans, memory, graphs.
void warm_up(const Kernels& k, const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
        work.call(i % kSets);
        k.memory.synchronize({});
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
        if (passed.count() > kWarmUp) return;
    }
}

int serve(const Kernels& k, Precision precision) {
    Work work;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "time") {
            double seconds = 0;
            words >> seconds;
            std::cout << time(k, work, seconds);
        } else if (command == "error" || command == "bits") {
            FP_REQUIRE(command == "error" ? bool(work.error) : bool(work.bits), Exit::usage,
                       command, ": not of this");
            std::cout << (command == "error" ? fmt::format("{:.6e}", work.error())
                                             : fmt::format("{:016x}", work.bits()));
        } else if (command == "memory") {
            std::cout << fmt::format("{} {}", work.input_bytes, work.scratch_bytes);
        } else {
            work = {};  // its memory first
            const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                           [&](const auto& k_) { return command == k_.name; });
            FP_REQUIRE(kind != std::end(kKinds), Exit::usage, "unknown command ", command);
            work = kind->make(k, words);
            Expectation expected{.expected = work.expected};
            if (command == "product") expected.expected = work.flops / peak_flops(precision);
            if (command == "conv" || command == "snnl") {
                std::istringstream again(line);
                expected = expect(again, precision);
            }
            warm_up(k, work);
            std::cout << fmt::format("ready {:.6e} {:.6e} {:.6e}", work.flops, expected.floor,
                                     expected.expected);
        }
        std::cout << std::endl;
    }
    return 0;
}

// What model.h says of each line: FLOPS BYTES FLOOR EXPECTED LIMITER KERNEL.
int expect_all(Precision precision) {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        const Expectation e = expect(words, precision);
        std::cout << fmt::format("{:.6e} {:.6e} {:.6e} {:.6e} {} {}", e.flops, e.bytes, e.floor,
                                 e.expected, e.limiter, e.kernel)
                  << std::endl;
    }
    return 0;
}

int run(const std::vector<std::string>& words) {
    FP_REQUIRE(!words.empty(), Exit::usage, "DEVICE [PRECISION], or model [PRECISION]");
    const std::string precision_name = words.size() > 1 ? words[1] : "fp32";
    for (const Precision p : {Precision::f32, Precision::tf32, Precision::bf16})
        if (words[0] == "model" && precision_name == name(p)) return expect_all(p);
    for (const Precision p : {Precision::f32, Precision::tf32, Precision::bf16})
        for (const Backend b :
             {Backend::cpu, Backend::cuda, Backend::cudnn, Backend::emulated, Backend::reference})
            if (words[0] == name(b) && precision_name == name(p)) return serve(kernels(b, p), p);
    fail_with(Exit::usage, words[0], " ", precision_name, ": no such device or precision");
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    try {
        return fp::run({argv + 1, argv + argc});
    } catch (const fp::Error& e) {
        std::cerr << "gpu_worker: " << e.what() << "\n";
        return int(e.exit);
    } catch (const std::exception& e) {
        std::cerr << "gpu_worker: " << e.what() << "\n";
        return 1;
    }
}
