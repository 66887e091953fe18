// Scores of all channels of one layer, as the engine asks for them: the whole set of samples at once, one label set, exact,
// cosine; and their gradient, as the penalty of a training step asks for it. Scores are compared with double where the
// pairs of one channel take no more than a second or two.
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/worker/forced.h"
#include "bench/worker/work.h"

namespace fp {
namespace {

struct Scores {
    const Kernels& k;
    SnnlShape shape;
    SnnlForced forced;
    Numbers numbers;
    std::vector<int32_t> label;
    Buffer x, scratch, labels;
    Guarded scores;
    Buffer ones = {};  // the gradient of every score
    Guarded dx = {};   // empty where only scores are asked for

    void call() {
        const Forced now(forced);
        const auto* label_of = labels.as<int32_t>();
        k.snnl.forward(shape, {.x = x.as<act>(), .labels = label_of, .strata = nullptr, .scores = scores.as<double>()},
                       scratch.data(), {});
        if (!dx.data()) return;
        k.snnl.backward(shape,
                        {.x = x.as<act>(),
                         .labels = label_of,
                         .strata = nullptr,
                         .dscore = ones.as<double>(),
                         .dx = dx.as<act>(),
                         .write = Write::replace},
                        scratch.data(), {});
    }

    double in_double(int c) const {
        const Drawn drawn(numbers, k.activation);
        const int n = shape.x.n, d = int(shape.d()), side = shape.x.w;
        std::vector<double> rows(size_t(n) * size_t(d));
        for (int i = 0; i < n; ++i) {
            double squares = 0;
            double* row = &rows[size_t(i) * size_t(d)];
            for (int j = 0; j < d; ++j) {
                row[j] = drawn.at(shape.x, i, c, j / side, j % side);
                squares += row[j] * row[j];
            }
            for (int j = 0; j < d; ++j) row[j] /= std::sqrt(squares);
        }
        std::vector<double> all(size_t(n), 0.0), same(size_t(n), 0.0);
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < i; ++j) {
                double cosine = 0;
                for (int v = 0; v < d; ++v)
                    cosine += rows[size_t(i) * size_t(d) + size_t(v)] * rows[size_t(j) * size_t(d) + size_t(v)];
                const double e = std::exp(cosine - 1);
                for (const int at : {i, j}) {
                    all[size_t(at)] += e;
                    if (label[size_t(i)] == label[size_t(j)]) same[size_t(at)] += e;
                }
            }
        double sum = 0, count = 0;
        for (int i = 0; i < n; ++i)
            if (same[size_t(i)] > 0) {
                sum += std::log(all[size_t(i)]) - std::log(same[size_t(i)]);
                ++count;
            }
        return sum / count;
    }
    nlohmann::json compared() const {
        const auto got = on_host<double>(k, scores);
        const double pairs = double(shape.x.n) * shape.x.n * double(shape.d());
        std::vector<int> channels{shape.x.c / 2};
        if (pairs < 3e8) channels = {0, shape.x.c / 2, shape.x.c - 1};
        double worst = 0;
        for (const int c : channels) worst = worse(worst, std::abs(got[size_t(c)] / in_double(c) - 1));
        return {{"rms", worst}, {"worst", worst}, {"samples", channels.size()}};
    }
};

}  // namespace

Work snnl_work(const Kernels& k, Line& words) {
    int n, c, side;
    words >> n >> c >> side;
    bool gradient = false;
    SnnlForced forced;
    for (std::string word; words >> word;) {
        if (word == "gradient")
            gradient = true;
        else
            force(forced, word);
    }
    const SnnlShape shape{.x = {.n = n, .c = c, .h = side, .w = side, .block = k.block(c)}};
    const Numbers numbers{.seed = 1, .exact = words.inputs};
    const std::vector<int32_t> label = drawn_labels(n, 2, 2);
    const size_t scratch_bytes = [&] {
        const Forced now(forced);
        return std::max<size_t>(k.snnl.scratch_bytes(shape, gradient), 1);
    }();
    const auto it = std::make_shared<Scores>(Scores{.k = k,
                                                    .shape = shape,
                                                    .forced = forced,
                                                    .numbers = numbers,
                                                    .label = label,
                                                    .x = upload(k, k.activation, shape.x, numbers),
                                                    .scratch = Buffer(k.memory, scratch_bytes),
                                                    .labels = upload(k, label),
                                                    .scores = Guarded(k, size_t(c) * sizeof(double))});
    if (gradient) {
        it->ones = upload(k, std::vector<double>(size_t(c), 1.0));
        it->dx = Guarded(k, it->x.bytes());
    }
    k.memory.synchronize({});
    Work work{.call = [it](int) { it->call(); },
              .reset =
                  [it] {
                      it->scores.poison();
                      it->dx.poison();
                  },
              .flops = shape.flops() + (gradient ? shape.backward_flops() : 0),
              .input_bytes = it->x.bytes(),
              .scratch_bytes = it->scratch.bytes()};
    work.outputs.emplace_back("scores", it->scores, Type::f64, Map{.n = 1, .c = c});
    if (gradient) work.outputs.emplace_back("dx", it->dx, k.activation, shape.x);
    if (double(n) * n * double(shape.d()) < 6e9) work.in_double = [it] { return it->compared(); };
    return work;
}

}  // namespace fp
