#include "models/initial_weights.h"

#include <cmath>
#include <numbers>

#include "kernels/name_key.h"
#include "kernels/random.h"

namespace fp::models {
namespace {

double normal(uint64_t key, uint64_t i) {  // Box and Muller, 1958
    const double u = 1 - uniform_double(key, i, 0), v = uniform_double(key, i, 1);
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

template <class Draw>
void fill(ParamStore& store, const Param& p, Draw draw) {
    std::vector<float> values(p.count());
#pragma omp parallel for if (values.size() > 10'000)
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(draw(i));
    store.set_f32(p, values.data());
}

}  // namespace

void draw_weights(ParamStore& store, uint64_t seed, LinearWeights linear) {
    double bound = 0;  // of the linear layer whose bias comes next
    for (const Param& p : store.all()) {
        const uint64_t key = key_of(seed, key_of_name(p.name));
        const Filter& f = p.shape;
        const auto uniform = [&](size_t i) { return bound * (2 * uniform_double(key, i) - 1); };
        switch (p.kind) {
            case Param::Kind::filter: {
                const double sd = std::sqrt(2.0 / (double(f.k) * f.r * f.s));
                fill(store, p, [&](size_t i) { return sd * normal(key, i); });
                bound = 0;
                break;
            }
            case Param::Kind::linear:
                bound = 1 / std::sqrt(double(f.c) * f.r * f.s);
                if (linear == LinearWeights::normal_small)
                    fill(store, p, [&](size_t i) { return 0.01 * normal(key, i); });
                else
                    fill(store, p, uniform);
                break;
            case Param::Kind::vector:
                if (linear == LinearWeights::uniform && bound > 0 && p.name.ends_with(".bias"))
                    fill(store, p, uniform);
                else
                    fill(store, p, [&](size_t) { return p.name.ends_with(".weight") ? 1.0 : 0.0; });
                break;
            case Param::Kind::statistic:
                fill(store, p, [&](size_t) { return p.name.ends_with("var") ? 1.0 : 0.0; });
                break;
        }
    }
}

}  // namespace fp::models
