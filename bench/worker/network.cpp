// A whole network: an inference, or a training step with its update. The gradients of a step are compared with those of
// another engine, read from a file.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/worker/forced.h"
#include "bench/worker/work.h"
#include "engine/io/safetensors.h"
#include "engine/measure/layer_costs.h"
#include "engine/measure/stopwatch.h"
#include "kernels/error.h"
#include "models/models.h"

namespace fp {
namespace {

constexpr size_t kMostOfEach = 2048;  // gradients of a parameter that are kept, evenly spaced

struct Timed {
    std::unique_ptr<Network> net;
    TimedNetwork timed;

    Timed(std::unique_ptr<Network> n, const TimingOptions& options) : net(std::move(n)), timed(*net, options) {}

    std::vector<float> some_gradients(const Param& p) const {
        const std::vector<double> all = net->params.get_grad(p);
        const size_t step = (all.size() + kMostOfEach - 1) / kMostOfEach;
        std::vector<float> some;
        for (size_t i = 0; i < all.size(); i += step) some.push_back(float(all[i]));
        return some;
    }

    void dump(const std::string& file) const {
        TensorFile out;
        for (const Param& p : net->params.all()) {
            if (!p.trained()) continue;
            const std::vector<float> some = some_gradients(p);
            TensorEntry entry{.name = p.name, .shape = {int64_t(some.size())}};
            entry.data.resize(some.size() * sizeof(float));
            std::memcpy(entry.data.data(), some.data(), entry.data.size());
            out.tensors.push_back(std::move(entry));
        }
        write_safetensors(file, out);
    }

    // rms: of the differences, over that of the file's gradients; of the parameter that is furthest off, and of all.
    nlohmann::json beside(const std::string& file) const {
        const TensorFile theirs = read_safetensors(file);
        double squares = 0, of_file = 0, product = 0, own = 0, worst = 0;
        std::string worst_name;
        for (const Param& p : net->params.all()) {
            if (!p.trained()) continue;
            const TensorEntry* entry = theirs.find(p.name);
            const std::vector<float> some = some_gradients(p);
            FP_REQUIRE(entry && entry->data.size() == some.size() * sizeof(float), Exit::model, file,
                       ": has no such gradient of ", p.name);
            const std::vector<float> want = as_f32(*entry);
            double off = 0, all = 0;
            for (size_t i = 0; i < some.size(); ++i) {
                off += std::pow(double(some[i]) - want[i], 2);
                all += double(want[i]) * want[i];
                product += double(some[i]) * want[i];
                own += double(some[i]) * some[i];
            }
            squares += off;
            of_file += all;
            const double relative = std::sqrt(off / std::max(all, 1e-300));
            if (!(relative <= worst)) {
                worst = std::isfinite(relative) ? relative : 1e30;
                worst_name = p.name;
            }
        }
        const auto finite = [](double v) { return std::isfinite(v) ? v : 1e30; };
        return {{"rms", finite(std::sqrt(squares / of_file))},
                {"cosine", finite(product / std::sqrt(own * of_file))},
                {"worst", worst},
                {"worst_parameter", worst_name}};
    }
};

}  // namespace

Work network_work(const Kernels& k, Line& words) {
    std::string mode, layer;
    TimingOptions o;
    ModelSpec spec{.classes = 8};
    ConvForced choice;
    words >> mode >> o.image_size >> o.batch_size >> spec.arch >> spec.stem;
    o.train = mode == "train";
    while (words >> layer) {
        if (layer.starts_with("without=") || layer.starts_with("late=")) {
            force(choice, layer);
            continue;
        }
        const size_t equals = layer.find('=');
        FP_REQUIRE(equals != layer.npos, Exit::usage, layer, ": LAYER=CHANNELS expected");
        spec.widths[layer.substr(0, equals)] = std::stoi(layer.substr(equals + 1));
    }
    auto net = models::build(spec, k);
    net->initialize(1);
    const auto it = std::make_shared<Timed>(std::move(net), o);
    const double macs = totals(layer_costs(*it->net, o.image_size)).macs * o.batch_size;
    const auto call = [it, choice](int) {
        const Forced now(choice);
        it->timed.enqueue();
    };
    Work work{.call = call, .captured = false, .flops = 2 * (o.train ? 3 : 1) * macs};
    if (!o.train) return work;
    const ParamStore& p = it->net->params;
    work.outputs.emplace_back("gradients", p.grads(), size_t(p.trained_count()) * size_t(bytes_of(k.parameter)));
    work.dump = [it](const std::string& file) { it->dump(file); };
    work.beside = [it](const std::string& file) { return it->beside(file); };
    return work;
}

}  // namespace fp
