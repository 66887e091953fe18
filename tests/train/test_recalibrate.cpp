#include "engine/train/recalibrate.h"

#include <gmock/gmock.h>

#include "tests/expect_error.h"
#include "tests/network_values.h"
#include "tests/synth_images.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::random_network;
using testing::synth_images;

constexpr int kSize = 16, kBatch = 4;

struct Norms {
    std::unique_ptr<Network> net = random_network(
        {.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.0625}, kernels(Backend::reference_f64), 7);
    ImageData data = synth_images("synth:n=32,size=16,classes=2,groups=2", kSize);
    Preprocessing preprocessing{.image_size = kSize};

    int64_t over(const std::vector<int64_t>& samples) {
        return recalibrate_norms(*net, preprocessing, data, samples, {.batch_size = kBatch, .workers = 1});
    }
    // Of the first norm, whose input no other norm's statistics reach.
    std::vector<double> first(const char* what) const {
        for (const Param& p : net->params.all())
            if (p.name.ends_with(what)) return net->params.get(p);
        return {};
    }
};

TEST(Recalibrate, the_mean_over_batches_whatever_was_there) {
    Norms a, b, both;
    both.net->params.set(*both.net->params.find("bn1.running_mean"),
                         std::vector<double>(a.first("running_mean").size(), 1e6).data());
    EXPECT_EQ(a.over({0, 1, 2, 3}), 1);
    EXPECT_EQ(b.over({4, 5, 6, 7}), 1);
    EXPECT_EQ(both.over({0, 1, 2, 3, 4, 5, 6, 7, 8}), 2) << "the ninth makes no whole batch";
    for (const char* what : {"running_mean", "running_var"}) {
        const std::vector<double> x = a.first(what), y = b.first(what), mean = both.first(what);
        ASSERT_FALSE(mean.empty());
        for (size_t c = 0; c < mean.size(); ++c)
            EXPECT_NEAR(mean[c], (x[c] + y[c]) / 2, 1e-12 * (1 + std::abs(mean[c]))) << what << c;
    }
}

TEST(Recalibrate, weights_stay) {
    Norms n;
    const Param& weight = *n.net->params.find("conv1.weight");
    const std::vector<double> before = n.net->params.get(weight);
    n.over({0, 1, 2, 3});
    EXPECT_EQ(n.net->params.get(weight), before);
}

// A session that has folded the norms into its filters folds them anew.
TEST(Recalibrate, what_a_session_derived_from_the_statistics_is_stale) {
    Norms n;
    const auto predicted = [&](Session& session) {
        return predict({session, n.preprocessing, n.data, {0, 1, 2, 3}, {.batch_size = kBatch, .workers = 1}}).prob;
    };
    Session used(*n.net);
    const std::vector<double> before = predicted(used);
    n.over({0, 1, 2, 3});
    Session fresh(*n.net);
    const std::vector<double> after = predicted(used);
    EXPECT_NE(after, before);
    EXPECT_EQ(after, predicted(fresh));
}

TEST(Recalibrate, fewer_images_than_a_batch_are_none) {
    Norms n;
    expect_error(
        Exit::data,
        [&] {
            n.over({0, 1, 2});
        },
        "do not fill one batch of 4");
}

}  // namespace
}  // namespace fp
