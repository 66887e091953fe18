// The loss of an evaluation is that of the logits: probabilities of float32 end at exp(-104), and theirs was cut at 1e-12.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/eval/predict.h"
#include "tests/constant_network.h"

namespace fp {
namespace {

class ConfidentlyWrong : public ::testing::TestWithParam<Backend> {};

TEST_P(ConfidentlyWrong, ALogitOf100CostsExactly100) {
    Network net(testing::kConstant, {.arch = "constant", .classes = 2}, kernels(GetParam()));
    net.initialize(1);
    const ImageData data = open_images("synth:n=20,size=8,classes=2,groups=2,seed=3", {.image_size = 8});
    std::vector<int64_t> samples(data.set.samples.size());
    for (size_t i = 0; i < samples.size(); ++i) samples[i] = int64_t(i);
    Session session(net);
    const Predictions p = predict({session, {.image_size = 8}, data, samples, {.batch_size = 8}});
    ASSERT_EQ(p.loss.size(), samples.size());
    for (size_t i = 0; i < samples.size(); ++i) EXPECT_NEAR(p.loss[i], p.label[i] == 0 ? 0 : 100, 1e-5) << i;
    const double wrong = double(std::ranges::count(p.label, 1)) / double(p.size());
    ASSERT_GT(wrong, 0);
    EXPECT_NEAR(mean_loss(p), 100 * wrong, 1e-5);
    EXPECT_NEAR(mean_loss(rows_of(p, {0, 1})), 50.0 * (p.label[0] + p.label[1]), 1e-5);
    Predictions from_file = p;
    from_file.loss.clear();
    EXPECT_NEAR(mean_loss(from_file), -std::log(1e-12) * wrong, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Loss,
                         ConfidentlyWrong,
                         ::testing::Values(Backend::cpu, Backend::reference, Backend::reference_f64));

}  // namespace
}  // namespace fp
