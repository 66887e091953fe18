// Our side of a comparison: times what it is told to on standard input, so that a driver can let several
// engines take turns. One line a command, one line an answer:
//   network train|infer IMAGE_SIZE BATCH ARCH [LAYER=CHANNELS ...]    -> ready
//   snnl forward|backward N C SIDE                                   -> ready    (N maps of C x SIDE x SIDE)
//   time SECONDS     -> seconds of each call, as many as fit, one at least
//   macs             -> multiply-adds of one image, padding taps counted
//   peak             -> the process's largest resident memory so far, bytes
#include <fmt/format.h>
#include <omp.h>
#include <sys/resource.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>

#include "engine/measure/layer_costs.h"
#include "engine/measure/stopwatch.h"
#include "kernels/error.h"
#include "kernels/random.h"
#include "models/models.h"

namespace fp {
namespace {

struct Work {
    std::function<double()> run;  // seconds of one call
    double macs = 0;
};

Work network(const Kernels& k, std::istringstream& words) {
    std::string mode, layer;
    TimingOptions o;
    ModelSpec spec{.classes = 8};
    words >> mode >> o.image_size >> o.batch_size >> spec.arch;
    o.train = mode == "train";
    while (words >> layer) {
        const size_t equals = layer.find('=');
        FP_REQUIRE(equals != layer.npos, Exit::usage, layer, ": LAYER=CHANNELS expected");
        spec.widths[layer.substr(0, equals)] = std::stoi(layer.substr(equals + 1));
    }
    struct Timed {
        std::unique_ptr<Network> net;
        TimedNetwork timed;
        Timed(std::unique_ptr<Network> n, const TimingOptions& o) : net(std::move(n)), timed(*net, o) {}
    };
    auto net = models::build(spec, k);
    net->initialize(1);
    const auto timed = std::make_shared<Timed>(std::move(net), o);
    return {.run = [timed] { return timed->timed.run(); }, .macs = totals(layer_costs(*net, o.image_size)).macs};
}

Work snnl(const Kernels& k, std::istringstream& words) {
    std::string direction;
    int n, c, side;
    words >> direction >> n >> c >> side;
    struct Data {
        SnnlShape shape;
        Buffer x, dx, scratch, labels, scores, dscore;
    };
    const SnnlShape shape{.x = {.n = n, .c = c, .h = side, .w = side, .block = k.block(c)}, .temperature = 0.5};
    const size_t bytes = size_t(shape.x.stored()) * size_t(bytes_of(k.activation));
    auto d = std::make_shared<Data>(Data{.shape = shape,
                                         .x = Buffer(k.memory, bytes),
                                         .dx = Buffer(k.memory, bytes),
                                         .scratch = Buffer(k.memory, k.snnl.scratch_bytes(shape, true)),
                                         .labels = Buffer(k.memory, size_t(n) * 4),
                                         .scores = Buffer(k.memory, size_t(c) * 8),
                                         .dscore = Buffer(k.memory, size_t(c) * 8)});
    std::vector<float> x(size_t(shape.x.stored()), 0.f);
    uint64_t i = 0;
    for (int s = 0; s < n; ++s)
        for (int ch = 0; ch < c; ++ch)
            for (int h = 0; h < side; ++h)
                for (int w = 0; w < side; ++w) x[size_t(shape.x.at(s, ch, h, w))] = uniform(key_of(1), i++);
    std::vector<int32_t> labels;
    for (int s = 0; s < n; ++s) labels.push_back(int32_t(uniform_below(2, key_of(2), uint64_t(s))));
    const std::vector<double> ones(size_t(c), 1.0);
    FP_CHECK(k.activation == Type::f32, "snnl is timed in float32");
    k.memory.copy_in(d->x.data(), x.data(), bytes, {});
    k.memory.copy_in(d->labels.data(), labels.data(), labels.size() * 4, {});
    k.memory.copy_in(d->dscore.data(), ones.data(), ones.size() * 8, {});
    k.memory.synchronize({});
    const bool backward = direction == "backward";
    return {.run = [d, &k, backward] {
        using Clock = std::chrono::steady_clock;
        const auto start = Clock::now();
        const auto* label = d->labels.as<int32_t>();
        k.snnl.forward(d->shape,
                       {.x = d->x.as<act>(), .labels = label, .strata = nullptr, .scores = d->scores.as<double>()},
                       d->scratch.data(), {});
        if (backward)
            k.snnl.backward(d->shape,
                            {.x = d->x.as<act>(),
                             .labels = label,
                             .strata = nullptr,
                             .dscore = d->dscore.as<double>(),
                             .dx = d->dx.as<act>(),
                             .write = Write::replace},
                            d->scratch.data(), {});
        k.memory.synchronize({});
        return std::chrono::duration<double>(Clock::now() - start).count();
    }};
}

int serve(const Kernels& k) {
    Work work;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "network" || command == "snnl") {
            work = command == "network" ? network(k, words) : snnl(k, words);
            for (int i = 0; i < 2; ++i) work.run();  // plans, memory, pages
            std::cout << "ready";
        } else if (command == "time") {
            double left = 0;
            words >> left;
            do {
                const double taken = work.run();
                std::cout << fmt::format("{:.9f} ", taken);
                left -= taken;
            } while (left > 0);
        } else if (command == "macs") {
            std::cout << fmt::format("{:.0f}", work.macs);
        } else if (command == "peak") {
            rusage own{};
            getrusage(RUSAGE_SELF, &own);
            std::cout << own.ru_maxrss * 1024;
        } else {
            std::cout << "unknown command " << command;
        }
        std::cout << std::endl;
    }
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    try {
        if (argc > 1) omp_set_num_threads(std::stoi(argv[1]));
        return fp::serve(fp::kernels(fp::Backend::cpu));
    } catch (const std::exception& e) {
        std::cerr << "bench_worker: " << e.what() << "\n";
        return 1;
    }
}
