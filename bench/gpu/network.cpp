// A whole network: an inference, or a training step with its update.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "bench/gpu/work.h"
#include "engine/stopwatch.h"
#include "kernels/error.h"
#include "models/models.h"

namespace fp {

Work network_work(const Kernels& k, std::istringstream& words) {
    std::string mode, layer;
    TimingOptions o;
    ModelSpec spec{.classes = 8};
    words >> mode >> o.image_size >> o.batch_size >> spec.arch >> spec.stem;
    o.train = mode == "train";
    while (words >> layer) {
        const size_t equals = layer.find('=');
        FP_REQUIRE(equals != layer.npos, Exit::usage, layer, ": LAYER=CHANNELS expected");
        spec.widths[layer.substr(0, equals)] = std::stoi(layer.substr(equals + 1));
    }
    struct Timed {
        std::unique_ptr<Network> net;
        TimedNetwork timed;
        Timed(std::unique_ptr<Network> n, const TimingOptions& options)
            : net(std::move(n)), timed(*net, options) {}
    };
    auto net = models::build(spec, k);
    models::initialize(*net, 1);
    const auto it = std::make_shared<Timed>(std::move(net), o);
    return {.call = [it](int) { it->timed.run(); },
            .bits =
                [it, &k] {
                    it->timed.run();
                    const ParamStore& p = it->net->params;
                    if (const char* to = std::getenv("FP_DUMP")) {
                        std::vector<char> raw(size_t(p.trained_count()) *
                                              size_t(bytes_of(k.parameter)));
                        k.memory.copy_out(raw.data(), p.grads(), raw.size(), {});
                        std::FILE* file = std::fopen(to, "wb");
                        std::fwrite(raw.data(), 1, raw.size(), file);
                        std::fclose(file);
                        return uint64_t(0);
                    }
                    return hash_of(k, p.grads(),
                                   size_t(p.trained_count()) * size_t(bytes_of(k.parameter)));
                }};
}

}  // namespace fp
