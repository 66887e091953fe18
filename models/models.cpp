#include "models/models.h"

#include <cmath>
#include <numbers>

#include "kernels/error.h"
#include "kernels/name_key.h"
#include "kernels/random.h"
#include "models/resnet.h"
#include "models/vgg.h"

namespace fp::models {
namespace {

double normal(uint64_t key, uint64_t i) {  // Box and Muller, 1958
    const double u = 1 - uniform_double(key, i, 0), v = uniform_double(key, i, 1);
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

template <class Draw>
void fill(ParamStore& store, const Param& p, Draw draw) {
    std::vector<float> values(p.count());
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(draw(i));
    store.set_f32(p, values.data());
}

}  // namespace

std::vector<std::string> names() {
    std::vector<std::string> out{"resnet18", "resnet34", "resnet50", "resnet101"};
    for (const char* depth : {"11", "13", "16", "19"}) {
        out.push_back(std::string("vgg") + depth);
        out.push_back(std::string("vgg") + depth + "_bn");
    }
    return out;
}

std::unique_ptr<Network> build(const ModelSpec& spec, const Kernels& k) {
    FP_REQUIRE(spec.stem == "imagenet" || spec.stem == "small", Exit::usage, "stem ", spec.stem,
               " is unknown: imagenet or small");
    if (is_resnet(spec.arch)) return resnet(spec, k);
    FP_REQUIRE(is_vgg(spec.arch), Exit::usage, "model ", spec.arch,
               " is unknown: resnet18/34/50/101, vgg11/13/16/19 with or without _bn");
    FP_REQUIRE(spec.stem == "imagenet", Exit::usage, "model ", spec.arch, " has no stem to choose");
    return vgg(spec, k);
}

void initialize(Network& network, uint64_t seed) {
    ParamStore& store = network.params;
    const bool is_vgg_net = is_vgg(network.spec.arch);
    double linear_bound = 0;  // of the layer whose bias comes next
    for (const Param& p : store.all()) {
        const uint64_t key = key_of(seed, key_of_name(p.name));
        const Filter& f = p.shape;
        const bool of_linear = linear_bound > 0 && p.name.ends_with(".bias");
        switch (p.kind) {
            case Param::Kind::filter: {
                const double sd = std::sqrt(2.0 / (double(f.k) * f.r * f.s));
                fill(store, p, [&](size_t i) { return sd * normal(key, i); });
                linear_bound = 0;
                break;
            }
            case Param::Kind::linear:
                linear_bound = 1 / std::sqrt(double(f.c) * f.r * f.s);
                if (is_vgg_net)
                    fill(store, p, [&](size_t i) { return 0.01 * normal(key, i); });
                else
                    fill(store, p,
                         [&](size_t i) { return linear_bound * (2 * uniform_double(key, i) - 1); });
                break;
            case Param::Kind::vector:
                if (of_linear && !is_vgg_net)
                    fill(store, p,
                         [&](size_t i) { return linear_bound * (2 * uniform_double(key, i) - 1); });
                else
                    fill(store, p, [&](size_t) { return p.name.ends_with(".weight") ? 1.0 : 0.0; });
                break;
            case Param::Kind::statistic:
                fill(store, p, [&](size_t) { return p.name.ends_with("var") ? 1.0 : 0.0; });
                break;
        }
    }
}

std::string head(const ModelSpec& spec) { return is_resnet(spec.arch) ? "fc" : "classifier.6"; }

}  // namespace fp::models
