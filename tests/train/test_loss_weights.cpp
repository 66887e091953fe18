// Weights by group: their values by hand, the gradient that they give a network, and what they do to a minority.
#include "engine/train/loss_weights.h"

#include <gmock/gmock.h>

#include <cmath>

#include "engine/run/checkpoint.h"
#include "engine/train/train.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::random_network;
using testing::TemporaryFolder;

// Training images by (class, group): (0,a) 3, (0,b) 1, (1,a) 1, (1,b) 1, one unknown; and one image of validation.
struct Counted {
    Dataset set = {.classes = {"x", "y"}, .columns = {"sex"}};
    Grouping sex = {.name = "sex", .groups = {"a", "b"}, .of = {}};
    Counted() {
        for (const auto& [label, group] : {std::pair{0, 0}, {0, 0}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, -1}}) {
            set.samples.push_back({.image = std::to_string(set.samples.size()), .label = label, .split = Split::train});
            sex.of.push_back(group);
        }
        set.samples.push_back({.image = "val", .label = 1, .split = Split::val});
        sex.of.push_back(1);
    }
};

TEST(LossWeights, reweighing_makes_class_and_group_independent) {
    const Counted c;
    // n = 6; groups 4, 2; classes 4, 2: n_g n_y / (n n_gy)
    EXPECT_THAT(sample_weights(SampleWeighting::reweighing, c.set, c.sex),
                ElementsAre(16 / 18.f, 16 / 18.f, 16 / 18.f, 8 / 6.f, 8 / 6.f, 4 / 6.f, 1, 1));
    EXPECT_THAT(sample_weights(SampleWeighting::class_group, c.set, c.sex),
                ElementsAre(.5f, .5f, .5f, 1.5f, 1.5f, 1.5f, 1, 1));
    EXPECT_THAT(sample_weights(SampleWeighting::none, c.set, c.sex), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1));
}

TEST(LossWeights, cells_are_groups_or_groups_of_classes) {
    const Counted c;
    const LossCells groups = loss_cells(c.set, c.sex, false), both = loss_cells(c.set, c.sex, true);
    EXPECT_THAT(groups.names, ElementsAre("a", "b"));
    EXPECT_THAT(groups.of, ElementsAre(0, 0, 0, 1, 0, 1, -1, 1));
    EXPECT_THAT(both.names, ElementsAre("x*a", "x*b", "y*a", "y*b"));
    EXPECT_THAT(both.of, ElementsAre(0, 0, 0, 1, 2, 3, -1, 3));
}

// q is 1/2 each; the means are 1 and 3, so q becomes exp(eta 1) and exp(eta 3) over their sum.
TEST(LossWeights, group_dro_by_hand) {
    GroupDro dro(0.5, {.names = {"a", "b"}, .of = {0, 0, 1, -1}});
    const Batch batch{.n = 5, .samples = {0, 1, 2, 3, -1}, .labels = {0, 1, 1, 0, -1}};
    const std::vector<double> losses{0.5, 1.5, 3, 9, 0};
    const std::vector<float> u = dro.weigh(batch, losses);
    const double a = std::exp(0.5), b = std::exp(1.5), qa = a / (a + b), qb = b / (a + b);
    EXPECT_NEAR(dro.q()[0], qa, 1e-15);
    EXPECT_NEAR(dro.q()[1], qb, 1e-15);
    EXPECT_THAT(u, ElementsAre(float(qa * 3 / 2), float(qa * 3 / 2), float(qb * 3), 1, 0));
    // A group that is not in the batch keeps what exp(0) leaves it.
    dro.set_q({0.5, 0.5});
    dro.weigh({.n = 1, .samples = {2}, .labels = {0}}, std::vector<double>{2});
    EXPECT_NEAR(dro.q()[0], 1 / (1 + std::exp(1.0)), 1e-15);
    EXPECT_NO_THROW(dro.weigh(batch, std::vector<double>{1e6, 1e6, 3e6, 0, 0}));  // no exponent overflows
    EXPECT_NEAR(dro.q()[1], 1, 1e-15);
}

constexpr int kSize = 16, kBatch = 6;
const ModelSpec kResNet{.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.03125};

// The gradient of a trainer's step against finite differences of sum_n u_n loss_n / N, with u from the losses there.
TEST(LossWeights, the_step_has_the_gradient_of_the_weighted_loss) {
    const LossWeights constant{.of = {0.5f, 2, 1, 0, 3, 1}},
        robust{.eta = 1, .cells = {.names = {"a", "b"}, .of = {0, 0, 1, 1, 0, -1}}};
    const Preprocessing preprocessing{.image_size = kSize};
    std::vector<uint8_t> rgb;
    for (uint64_t i = 0; i < uint64_t(kBatch) * kSize * kSize * 3; ++i)
        rgb.push_back(uint8_t(uniform_below(256, 5, i)));
    const Batch batch{.n = kBatch, .samples = {0, 1, 2, 3, 4, 5}, .labels = {0, 1, 0, 1, 0, 1}, .rgb = rgb.data()};
    for (const LossWeights& weights : {constant, robust}) {
        const auto net = random_network(kResNet, kernels(Backend::reference_f64), 7);
        Trainer trainer(*net, preprocessing, {.accumulate = 2, .weights = weights});
        const Sums sums = trainer.batch(batch, 0.1, 1, false);  // no update: the gradients stay
        std::map<std::string, std::vector<double>> said;
        for (const Param& p : net->params.all())
            if (p.trained()) said[p.name] = net->params.get_grad(p);
        // The losses of the samples, with the statistics of the whole batch.
        const auto losses = [&] {
            Session session(*net);
            DeviceInput input(net->kernels(), preprocessing);
            Tape tape = session.begin({.mode = Mode::train, .dropout = false});
            const CrossEntropy entropy(net->kernels(), 2);
            const LossRow row = cross_entropy(tape, net->forward(tape, input(tape, batch)),
                                              std::vector<int32_t>(batch.labels), entropy);
            return copy_to_host<double>(net->kernels().memory, reinterpret_cast<const double*>(row.losses), kBatch);
        };
        std::vector<float> u = constant.of;
        if (weights.eta > 0) u = GroupDro(weights.eta, weights.cells).weigh(batch, losses());
        const auto weighted = [&] {
            double sum = 0;
            const std::vector<double> each = losses();
            for (int i = 0; i < kBatch; ++i) sum += u[size_t(i)] * each[size_t(i)] / kBatch;
            return sum;
        };
        EXPECT_NEAR(sums.weighted, weighted() * kBatch, 1e-9);
        int checked = 0;
        for (const auto& [name, gradient] : said) {
            const Param& p = *net->params.find(name);
            const std::vector<double> old = net->params.get(p);
            const size_t i = uniform_below(gradient.size(), 3, uint64_t(checked++));
            constexpr double kStep = 1e-7;  // small, so that no ReLU turns over
            const auto at = [&](double t) {
                std::vector<double> now = old;
                now[i] += t;
                net->params.set(p, now.data());
                const double value = weighted();
                net->params.set(p, old.data());
                return value;
            };
            const double seen = (at(kStep) - at(-kStep)) / (2 * kStep);
            EXPECT_NEAR(gradient[i], seen, 1e-6 + 1e-4 * std::abs(seen)) << name << " " << i;
        }
        EXPECT_GT(checked, 20);
    }
}

// In the training split of these data class and group go together in 9 of 10 lesions.
struct Biased {
    explicit Biased(const TrainingSettings& training)
        : data(
              open_images("synth:n=400,size=16,classes=2,groups=2,bias=0.9,difficulty=0.1,seed=3", {.image_size = 16})),
          options(fit_options(training, {"group"}, 16, 1, data.set)),
          net(models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.0625},
                            kernels(Backend::cpu))) {}

    TrainResult train(const TrainRun& run) { return fp::train(*net, {.image_size = 16}, data, options, run); }

    // The mean loss of the training images of each (class, group).
    std::map<std::pair<int, int>, double> losses() {
        Session session(*net);
        const std::vector<int64_t> train = members(data.set, Split::train);
        const Predictions p = predict({session, {.image_size = 16}, data, train, {.batch_size = 16}});
        const Grouping g = group_by(data.set, "group");
        std::map<std::pair<int, int>, std::vector<double>> cells;
        for (size_t i = 0; i < train.size(); ++i) cells[{p.label[i], g.of[size_t(train[i])]}].push_back(p.loss[i]);
        std::map<std::pair<int, int>, double> out;
        for (const auto& [cell, each] : cells)
            for (const double loss : each) out[cell] += loss / double(each.size());
        return out;
    }
    double worst() {
        double out = 0;
        for (const auto& [cell, loss] : losses()) out = std::max(out, loss);
        return out;
    }

    ImageData data;
    FitOptions options;
    std::unique_ptr<Network> net;
};

TrainingSettings short_training() { return {.epochs = 4, .schedule = {.lr = 0.05}}; }

TEST(LossWeights, the_minority_loses_more_loss_than_under_plain_training) {
    const auto worst_of = [](const TrainingSettings& t) {
        const TemporaryFolder folder;
        Biased run(t);
        run.train({.folder = folder / "run"});
        return run.worst();
    };
    const double plain = worst_of(short_training());
    TrainingSettings robust = short_training(), reweighed = robust, equal = robust;
    robust.group_dro = {.eta = 0.2, .by_class = true};
    reweighed.sample_weights = SampleWeighting::reweighing;
    equal.sample_weights = SampleWeighting::class_group;
    const double r = worst_of(robust), w = worst_of(reweighed), e = worst_of(equal);
    EXPECT_LT(r, 0.8 * plain) << r << " " << w << " " << e << " " << plain;
    EXPECT_LT(w, 0.8 * plain) << r << " " << w << " " << e << " " << plain;
    EXPECT_LT(e, 0.8 * plain) << r << " " << w << " " << e << " " << plain;
}

TEST(LossWeights, group_dro_resumes_to_the_same_bits) {
    const TemporaryFolder folder;
    TrainingSettings t = short_training();
    t.epochs = 2;
    t.group_dro = {.eta = 0.2, .by_class = true};
    Biased whole(t);
    const TrainResult done = whole.train({.folder = folder / "whole"});
    EXPECT_THAT(done.document, HasSubstr("\"group_dro\""));
    Biased first(t), second(t);
    int times = 0;
    EXPECT_FALSE(first.train({.folder = folder / "run", .observer = {.stop = [&] { return ++times >= 5; }}}).finished);
    EXPECT_TRUE(second.train({.folder = folder / "run", .if_run_is_there = IfRunIsThere::resume}).finished);
    EXPECT_EQ(weights_hash(*second.net), weights_hash(*whole.net));
    TrainingSettings other = t;
    other.group_dro.eta = 0.1;
    expect_error(
        Exit::model, [&] { Biased(other).train({.folder = folder / "run", .if_run_is_there = IfRunIsThere::resume}); },
        "group_dro");
}

TEST(LossWeights, settings_that_exclude_each_other_are_refused) {
    const Dataset set = open_dataset("synth:n=60,size=16,classes=2,groups=2");
    const auto refused = [&](const TrainingSettings& t, const std::string& word, bool named = true) {
        expect_error(
            Exit::usage,
            [&] { fit_options(t, named ? std::vector<std::string>{"group"} : std::vector<std::string>{}, 8, 1, set); },
            word);
    };
    refused({.sample_weights = SampleWeighting::reweighing, .group_dro = {.eta = 1}}, "exclude each other");
    refused({.class_weights = "balanced", .group_dro = {.eta = 1}}, "--group-dro and --class-weights");
    refused({.sampler = Sampling::group_balanced, .sample_weights = SampleWeighting::reweighing}, "twice");
    refused({.group_dro = {.eta = 1}}, "--group-dro needs an --attribute", false);
    refused({.sample_weights = SampleWeighting::class_group}, "--sample-weights needs an --attribute", false);
}

}  // namespace
}  // namespace fp
