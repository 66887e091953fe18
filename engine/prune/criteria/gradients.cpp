#include "engine/prune/criteria/gradients.h"

#include <algorithm>

#include "engine/core/elements.h"
#include "engine/core/loss.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr uint64_t kSigns = 0x516e5;

// Multiplies each sample's row by its sign.
void sign_rows(const Kernels& k, const Tensor& x, const std::vector<int64_t>& samples, uint64_t seed) {
    std::vector<double> values = read_activations(k, x.data, 0, x.map.stored());
    const size_t row = values.size() / size_t(x.map.n);
    for (int n = 0; n < x.map.n; ++n)
        if (samples[n] >= 0 && uniform_double(key_of(seed, kSigns), uint64_t(samples[n])) < 0.5)
            for (size_t i = 0; i < row; ++i) values[size_t(n) * row + i] *= -1;
    write_activations(k, x.data, 0, values);
}

}  // namespace

double for_each_gradient(const Pass& pass,
                         SampleSigns signs,
                         uint64_t seed,
                         const std::function<void(int64_t n)>& visit) {
    const Network& net = pass.network();
    const Kernels& k = pass.kernels();
    FP_REQUIRE(!pass.samples.empty(), Exit::data, "gradients: there are no calibration samples");
    for (const Param& p : net.params.all()) FP_CHECK(p.trainable, "gradients: ", p.name, " is frozen");
    const CrossEntropy entropy(k, net.spec.classes);
    double sum = 0;
    int64_t seen = 0;
    for_each_batch(pass, LastBatch::padded, [&](const Batch& batch, DeviceInput& input) {
        Tape tape = pass.session.begin({.mode = Mode::eval});
        const Var logits = net.forward(tape, input(tape, batch));
        const LossRow loss = cross_entropy(tape, logits, batch.labels, entropy);
        const int64_t n = std::count_if(batch.labels.begin(), batch.labels.end(), [](int32_t l) { return l >= 0; });
        sum += mean_loss(tape, loss) * double(n);
        seen += n;
        if (n == 0) return;
        if (signs == SampleSigns::signed_samples)
            tape.on_gradient(logits, [&](const Tensor& gradient) { sign_rows(k, gradient, batch.samples, seed); });
        tape.backward({{loss.row}});
        visit(n);
    });
    FP_REQUIRE(seen > 0, Exit::data, "gradients: no calibration image could be read");
    return sum / double(seen);
}

}  // namespace fp
