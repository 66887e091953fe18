// Scores of all channels of one layer, as the engine asks for them: the whole set of samples at once, one label
// set, exact, cosine.
#include <memory>
#include <vector>

#include "bench/gpu/numbers.h"
#include "bench/gpu/work.h"
#include "kernels/random.h"

namespace fp {

Work snnl_work(const Kernels& k, std::istringstream& words) {
    int n, c, side;
    words >> n >> c >> side;
    struct Data {
        SnnlShape shape;
        Buffer x, scratch, labels, scores;
    };
    const SnnlShape shape{.x = {.n = n, .c = c, .h = side, .w = side, .block = k.block(c)}};
    std::vector<int32_t> labels;
    for (int s = 0; s < n; ++s) labels.push_back(int32_t(uniform_below(2, key_of(2), uint64_t(s))));
    auto d = std::make_shared<Data>(
        Data{.shape = shape,
             .x = upload(k, k.activation, shape.x, {.seed = 1}),
             .scratch = Buffer(k.memory, std::max<size_t>(k.snnl.scratch_bytes(shape, false), 1)),
             .labels = Buffer(k.memory, labels.size() * sizeof(int32_t)),
             .scores = Buffer(k.memory, size_t(c) * sizeof(double))});
    k.memory.copy_in(d->labels.data(), labels.data(), d->labels.bytes(), {});
    k.memory.synchronize({});
    const auto call = [d, &k](int) {
        k.snnl.forward(d->shape, d->x.data(), static_cast<const int32_t*>(d->labels.data()),
                       nullptr, static_cast<double*>(d->scores.data()), d->scratch.data(), {});
    };
    return {.call = call,
            .bits =
                [d, &k, call] {
                    call(0);
                    return hash_of(k, d->scores.data(), d->scores.bytes());
                },
            .flops = shape.flops(),
            .input_bytes = d->x.bytes(),
            .scratch_bytes = d->scratch.bytes()};
}

}  // namespace fp
