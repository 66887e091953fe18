#include "engine/prune/criteria/gradients.h"

#include <algorithm>

#include "engine/core/elements.h"
#include "engine/core/loss.h"
#include "engine/data/device_input.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr uint64_t kSigns = 0x516e5;

// Multiplies each sample's row by its sign.
void sign_rows(const Kernels& k,
               const Tensor& x,
               const std::vector<int64_t>& samples,
               uint64_t seed) {
    std::vector<double> values = read_activations(k, x.data, 0, x.map.stored());
    const size_t row = values.size() / size_t(x.map.n);
    for (int n = 0; n < x.map.n; ++n)
        if (samples[n] >= 0 && uniform_double(key_of(seed, kSigns), uint64_t(samples[n])) < 0.5)
            for (size_t i = 0; i < row; ++i) values[size_t(n) * row + i] *= -1;
    write_activations(k, x.data, 0, values);
}

}  // namespace

double for_each_gradient(Session& session,
                         const Preprocessing& preprocessing,
                         const ImageData& data,
                         const std::vector<int64_t>& samples,
                         const PredictOptions& options,
                         SampleSigns signs,
                         uint64_t seed,
                         const std::function<void(int64_t n)>& visit) {
    const Network& net = session.network();
    const Kernels& k = net.kernels();
    FP_REQUIRE(!samples.empty(), Exit::data, "gradients: there are no calibration samples");
    for (const Param& p : net.params.all())
        FP_CHECK(p.trainable, "gradients: ", p.name, " is frozen");
    Loader loader(
        data.source, data.labels(),
        {.batch_size = int(std::min<int64_t>(options.batch_size, int64_t(samples.size()))),
         .image_size = preprocessing.image_size,
         .workers = options.workers,
         .ready = data.ready,
         .skip_bad = options.skip_bad});
    loader.start(samples, 0);
    Feed feed(k, preprocessing);
    CrossEntropy loss(k, net.spec.classes);
    double sum = 0;
    int64_t seen = 0, done = 0;
    Batch batch;
    while (loader.next(batch)) {
        Tape tape = session.begin({.mode = Mode::eval});
        const Var logits = net.forward(tape, feed(tape, batch));
        const int64_t n = std::count_if(batch.labels.begin(), batch.labels.end(),
                                        [](int32_t l) { return l >= 0; });
        const double mean = loss.forward(tape, logits, batch.labels);
        if (n > 0) {
            const Tensor gradient = loss.gradient(tape, logits);
            if (signs == SampleSigns::signed_samples) sign_rows(k, gradient, batch.samples, seed);
            tape.backward({{logits, gradient}});
            visit(n);
        }
        sum += mean * double(n);
        seen += n;
        done += batch.n;
        if (options.progress)
            options.progress(std::min<int64_t>(done, int64_t(samples.size())),
                             int64_t(samples.size()));
    }
    FP_REQUIRE(seen > 0, Exit::data, "gradients: no calibration image could be read");
    return sum / double(seen);
}

}  // namespace fp
