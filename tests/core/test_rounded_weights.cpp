// Weights that are rounded once per step give the bits of rounding them at each use, whatever happens between steps.
#include "engine/core/rounded_weights.h"

#include <gtest/gtest.h>

#include "engine/eval/predict.h"
#include "engine/run/checkpoint.h"
#include "engine/train/trainer.h"
#include "models/models.h"
#include "tests/kernels_with.h"
#include "tests/steps.h"
#include "tests/synth_images.h"

namespace fp {
namespace {

const Kernels& emulated() { return kernels(Backend::emulated, Precision::bf16); }

int rounded = 0, ended = 0;
int64_t weights = 0;

void count_and_round(const par* w, int64_t count, void* to, Stream stream) {
    ++(count > 0 ? rounded : ended);
    if (count > 0) weights = count;
    emulated().conv.keep_rounded(w, count, to, stream);
}

// The emulated device with another Conv::keep_rounded.
Kernels with_rounding(decltype(Conv::keep_rounded) keep_rounded, Conv& conv) {
    const Kernels& k = emulated();
    conv.keep_rounded = keep_rounded;
    return testing::kernels_with(k, {.memory = k.memory, .streams = k.streams, .graph = k.graph, .conv = conv});
}
const Kernels& once_a_step() {
    static Conv conv = emulated().conv;
    static const Kernels k = with_rounding(count_and_round, conv);
    return k;
}
const Kernels& at_each_use() {
    static Conv conv = emulated().conv;
    static const Kernels k = with_rounding(nullptr, conv);
    return k;
}

struct Outcome {
    std::vector<double> losses;
    std::vector<double> predicted;
    std::string weights;
    int64_t replays;
};

Outcome train(const Kernels& k) {
    const auto net = testing::thin_network(k);
    for (Param& p : net->params.all())
        if (p.name.starts_with("layer1.")) p.trainable = false;
    const Preprocessing preprocessing{.image_size = testing::kSide};
    const ImageData data = testing::synth_images("synth:n=8,size=8,classes=3,groups=2", testing::kSide);
    Trainer trainer(*net, preprocessing, {.accumulate = 2, .ema = 0.5});
    Outcome out;
    for (int i = 0; i < 20; ++i) {
        const testing::Images images(i);
        out.losses.push_back(trainer.batch(images.batch, 0.05, uint64_t(i), false).loss);
        if (i == 13) {  // replayed by now
            const Trainer::Averaged averaged(trainer);
            Session session(*net);
            out.predicted = predict({session, preprocessing, data, {0, 1, 2, 3}, {.batch_size = 2, .workers = 1}}).prob;
        }
        if (i == 15) {
            const Param& p = *net->params.find("layer3.0.conv1.weight");
            std::vector<double> values = net->params.get(p);
            for (double& v : values) v *= -1.5;
            net->params.set(p, values.data());
        }
    }
    out.weights = weights_hash(*net);
    out.replays = trainer.session().replays();
    return out;
}

TEST(RoundedWeights, StepsHaveTheBitsOfRoundingAtEachUse) {
    rounded = ended = 0;
    const Outcome once = train(once_a_step());
    EXPECT_GT(once.replays, 0);
    // Counts the steps of 20 that are not replays, and the captures; each ends with count 0 what it began.
    EXPECT_EQ(rounded, ended);
    EXPECT_GE(rounded, 20 - int(once.replays));
    EXPECT_LT(rounded, 20 + int(once.replays));
    const Outcome each = train(at_each_use());
    EXPECT_EQ(once.losses, each.losses);
    EXPECT_EQ(once.predicted, each.predicted);
    EXPECT_EQ(once.weights, each.weights);
}

TEST(RoundedWeights, NobodyTakesThemAfterTheirEnd) {
    const auto net = testing::thin_network(once_a_step());
    const RoundedWeights of(net->params);
    EXPECT_GT(of.bytes(), 0u);
    rounded = ended = 0;
    try {
        const RoundedWeights::InUse in_use(of);
        EXPECT_EQ(rounded, 1);
        EXPECT_EQ(weights, net->params.trained_count());
        fail("a step that stops");
    } catch (const Error&) {}
    EXPECT_EQ(ended, 1);
}

TEST(RoundedWeights, AreNoneWhereWeightsAreUsedAsTheyAre) {
    const auto net = testing::thin_network(kernels(Backend::emulated));
    const RoundedWeights of(net->params);
    EXPECT_EQ(of.bytes(), 0u);
    const RoundedWeights::InUse in_use(of);
}

}  // namespace
}  // namespace fp
