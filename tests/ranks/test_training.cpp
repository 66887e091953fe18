// N ranks have the bits of one rank with --accumulate N.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>

#include "engine/core/elements.h"
#include "tests/ranks/ranked_training.h"

namespace fp::testing {
namespace {

void expect_equal_to_accumulated(int ranks, const TrainingCase& c) {
    const Outcome one = accumulated(ranks, c);
    const std::vector<Outcome> all = train_on(ranks, c);
    EXPECT_GT(one.epochs.at(0).train.samples, 0);
    for (const Outcome& rank : all) expect_same_bits(rank, one);
    EXPECT_EQ(all[0].saves, one.saves);
    for (size_t rank = 1; rank < all.size(); ++rank) EXPECT_EQ(all[rank].saves, 0);
}

TrainingCase vgg() {
    return {.arch = "vgg11_bn",
            .data = "synth:n=36,size=32,classes=2,groups=2,seed=3",
            .image_size = 32,
            .batch_size = 4,
            .width = 0.02,
            .settings = {.epochs = 1}};
}

// The 5 batches of an epoch are no multiple of 2 or 3: in the last step some ranks have none.
TEST(RankedTraining, two_and_three_ranks_have_the_bits_of_accumulation) {
    for (const int ranks : {2, 3}) {
        SCOPED_TRACE(ranks);
        expect_equal_to_accumulated(ranks, {});
    }
    EXPECT_EQ(accumulated(2, {}).epochs.at(0).train.samples, 5 * 8);
}

TEST(RankedTraining, dropout_follows_the_batch) {
    for (const int ranks : {2, 3}) {
        SCOPED_TRACE(ranks);
        expect_equal_to_accumulated(ranks, vgg());
    }
}

TEST(RankedTraining, more_ranks_than_batches) {
    TrainingCase c;
    c.settings.epochs = 1;
    c.settings.limit_batches = 2;
    expect_equal_to_accumulated(4, c);
}

TEST(RankedTraining, clipping_averages_and_the_rest_follow) {
    TrainingCase c;
    c.settings.optimizer.clip_norm = 0.5;
    c.settings.ema = 0.9;
    c.settings.label_smoothing = 0.1;
    c.settings.class_weights = "balanced";
    c.settings.schedule.kind = "plateau";
    expect_equal_to_accumulated(2, c);
    c.settings.optimizer = {.kind = "adamw", .weight_decay = 0.01, .clip_norm = 0.5};
    c.bucket_bytes = 25 << 20;
    expect_equal_to_accumulated(2, c);
}

TEST(RankedTraining, group_weights_move_in_the_order_of_the_batches) {
    TrainingCase c;
    c.settings.group_dro.eta = 0.5;
    for (const int ranks : {2, 3}) {
        SCOPED_TRACE(ranks);
        expect_equal_to_accumulated(ranks, c);
    }
}

TEST(RankedTraining, a_penalty_and_sample_weights_are_of_a_batch) {
    TrainingCase c;
    c.settings.sample_weights = SampleWeighting::reweighing;
    c.settings.snnl = {.weight = 0.5};
    expect_equal_to_accumulated(2, c);
    EXPECT_NE(accumulated(2, c).epochs.at(0).train.penalty.value_or(0), 0);
}

TEST(RankedTraining, frozen_layers_and_fixed_features_stay) {
    TrainingCase c;
    c.change = [](int, FitOptions& options, ImageData&, Network& net) {
        options.trainer.fixed_features = true;
        options.trainer.l1 = 0.01;
        for (Param& p : net.params.all()) p.trainable = p.trained() && p.name.starts_with("fc.");
    };
    expect_equal_to_accumulated(2, c);
    c.change = [](int, FitOptions&, ImageData&, Network& net) {
        for (Param& p : net.params.all()) p.trainable = p.trained() && !p.name.starts_with("layer2.");
    };
    expect_equal_to_accumulated(2, c);
}

TEST(RankedTraining, the_reference_kernels_agree_too) {
    TrainingCase c{.data = "synth:n=24,size=8,classes=2,groups=2,seed=3",
                   .image_size = 8,
                   .batch_size = 4,
                   .width = 0.03,
                   .settings = {.epochs = 1},
                   .backend = Backend::reference};
    expect_equal_to_accumulated(2, c);
}

void leave_out(ImageData& data, std::function<bool(int64_t)> bad) {
    data.source = [read = data.source, bad](int64_t sample, const View& view, int side, uint8_t* rgb) {
        if (bad(sample)) fail_with(Exit::data, "image ", sample, " is bad");
        read(sample, view, side, rgb);
    };
}

TEST(RankedTraining, batches_without_a_readable_image_are_no_part_of_a_step) {
    TrainingCase c;
    c.batch_size = 2;  // so that some batches have none at all
    c.settings.epochs = 1;
    c.settings.skip_bad = true;
    c.change = [](int, FitOptions&, ImageData& data, Network&) {
        leave_out(data, [](int64_t sample) { return sample % 3 != 0; });
    };
    expect_equal_to_accumulated(2, c);
}

// Each rank meets other damaged images while it trains; all know all of them once they have judged the epoch together.
TEST(RankedTraining, bad_images_of_each_rank_are_known_to_all) {
    TrainingCase c;
    c.settings.epochs = 1;
    c.settings.skip_bad = true;
    std::array<std::shared_ptr<UnreadableImages>, 2> known;
    std::array<std::set<int64_t>, 2> met;  // while training
    std::mutex mutex;
    c.change = [&](int rank, FitOptions&, ImageData& data, Network&) {
        known[size_t(rank)] = data.unreadable;
        std::set<int64_t> bad;
        for (const int64_t sample : members(data.set, Split::train))
            if (sample % 4 == 0) bad.insert(sample);
        data.source = [&, rank, bad, read = data.source, images = data.unreadable](int64_t sample, const View& view,
                                                                                   int side, uint8_t* rgb) {
            if (!bad.contains(sample)) return read(sample, view, side, rgb);
            images->add(sample, text("image ", sample, " is bad"));
            const std::lock_guard lock(mutex);
            met[size_t(rank)].insert(sample);
            fail_with(Exit::data, "image ", sample, " is bad");
        };
    };
    train_on(2, c);
    std::set<int64_t> all;
    for (const auto& of_rank : met) {
        EXPECT_FALSE(of_rank.empty());
        all.insert(of_rank.begin(), of_rank.end());
    }
    EXPECT_EQ(all.size(), met[0].size() + met[1].size()) << "each image is of one rank";
    for (const auto& images : known) {
        std::set<int64_t> named;
        for (const auto& [sample, reason] : images->reasons()) named.insert(sample);
        EXPECT_EQ(named, all);
    }
}

// Rank 1 is asked to stop, in the middle of an epoch; all do after the same step, and go on from there.
TEST(RankedTraining, stopped_on_one_rank_all_resume_to_the_same_bits) {
    TrainingCase c;
    c.settings.ema = 0.9;
    const std::vector<Outcome> whole = train_on(2, c);
    for (const int asked : {1, 2, 4, 5}) {
        SCOPED_TRACE(asked);
        Saved saved;
        std::atomic<int> times = 0;
        RunHooks hooks{.stop = [&](int rank) { return rank == 1 && ++times == asked; }, .to = &saved};
        const std::vector<Outcome> stopped = train_on(2, c, hooks);
        for (const Outcome& rank : stopped) EXPECT_FALSE(rank.finished);
        EXPECT_EQ(saved.position.ranks, 2);
        const std::vector<Outcome> resumed = train_on(2, c, {.from = &saved});
        for (size_t rank = 0; rank < 2; ++rank) {
            EXPECT_EQ(resumed[rank].values, whole[rank].values);
            EXPECT_EQ(resumed[rank].momenta, whole[rank].momenta);
            EXPECT_EQ(resumed[rank].epochs.back().train.loss, whole[rank].epochs.back().train.loss);
        }
        if (saved.position.batch == 0) continue;
        expect_error(
            Exit::model, [&] { train_on(3, c, {.from = &saved}); }, "number of ranks of 2, now it is 3");
    }
}

struct Failure {
    Exit exit;
    std::string who, what;
};
void expect_all_fail(const TrainingCase& c, int ranks, const Failure& wanted) {
    const std::vector<SharedError> errors = errors_of(ranks, c);
    ASSERT_EQ(int(errors.size()), ranks);
    for (const SharedError& error : errors) {
        EXPECT_EQ(error.exit, wanted.exit) << error.what();
        EXPECT_EQ(error.who, wanted.who);
        EXPECT_THAT(error.what(), ::testing::HasSubstr(wanted.what));
    }
}

TEST(RankedTraining, a_loss_that_is_not_finite_on_one_rank_ends_all) {
    TrainingCase c;
    c.change = [](int rank, FitOptions& options, ImageData&, Network&) {
        if (rank == 1) options.trainer.smoothing = std::numeric_limits<double>::quiet_NaN();
    };
    expect_all_fail(c, 3, {Exit::diverged, "rank 1 of 3 on threads", "the loss is "});
    c.settings.sync_norms = true;
    expect_all_fail(c, 3, {Exit::diverged, "rank 1 of 3 on threads", "the loss is "});
}

TEST(RankedTraining, a_gradient_that_is_not_finite_names_its_rank) {
    TrainingCase c;
    c.settings.optimizer.clip_norm = 1;
    c.change = [](int rank, FitOptions& options, ImageData&, Network&) {
        if (rank != 1) return;
        options.trainer.penalty.add = [](Tape& tape, const Batch&, std::vector<Tape::Seed>& seeds) {
            const Var logits = tape.nodes().back().inputs[0];
            const Tensor wrong = tape.empty(tape.value(logits).map);
            write_activations(tape.kernels(), wrong.data, 0,
                              std::vector<double>(size_t(wrong.map.stored()), std::numeric_limits<double>::infinity()));
            seeds.push_back({logits, wrong});
            return 0.0;
        };
    };
    expect_all_fail(c, 2, {Exit::diverged, "rank 1 of 2 on threads", "the gradient's norm is "});
}

TEST(RankedTraining, an_image_that_one_rank_cannot_read_ends_all) {
    for (const bool sync : {false, true}) {
        TrainingCase c;
        c.settings.sync_norms = sync;
        c.change = [](int rank, FitOptions&, ImageData& data, Network&) {
            if (rank == 1) leave_out(data, [](int64_t) { return true; });
        };
        expect_all_fail(c, 2, {Exit::data, "rank 1 of 2 on threads", "image "});
    }
}

TEST(RankedTraining, other_weights_on_one_rank_are_noticed) {
    TrainingCase c;
    c.change = [](int rank, FitOptions&, ImageData&, Network& net) { net.initialize(uint64_t(1 + rank)); };
    expect_all_fail(c, 2, {Exit::device, "", "rank 1's weights at the start are not those of rank 0"});
}

TEST(RankedTraining, a_rank_sends_what_the_formula_says) {
    TrainingCase c;
    c.settings.epochs = 1;
    for (const int ranks : {2, 4}) {
        const int64_t sent = train_on(ranks, c)[0].bytes_sent;
        const auto net =
            models::build({.arch = c.arch, .classes = 2, .stem = "small", .width = c.width}, kernels(c.backend));
        int64_t gradients = 0;
        for (const bool filters : {true, false})
            for (const auto [begin, end] : net->params.runs(filters)) gradients += (end - begin) * 4;
        const int64_t rounds = (5 + ranks - 1) / ranks, others = ranks - 1;
        const double expected = double(rounds) * (2.0 * double(others) / ranks * double(gradients) +
                                                  double(others * net->params.statistics_count() * 4));
        EXPECT_GE(double(sent), expected);
        EXPECT_LE(double(sent), expected * 1.01 + double(others) * 1000 * double(rounds + 3));
    }
}

// Two ranks with norms over both batches of 8 are one rank with batches of 16.
TEST(RankedTraining, norms_over_ranks_are_those_of_the_whole_batch) {
    TrainingCase c;
    c.settings = {.epochs = 1, .sync_norms = true};
    c.settings.schedule.kind = "constant";
    c.settings.schedule.lr = 0.01;
    c.settings.limit_batches = 4;
    const std::vector<Outcome> two = train_on(2, c);
    expect_same_bits(two[0], two[1]);
    TrainingCase whole = c;
    whole.batch_size = 16;
    whole.settings.limit_batches = 2;
    const Outcome one = train_case(whole, {});
    EXPECT_EQ(two[0].batches_seen, one.batches_seen);
    for (const auto& [name, values] : one.values) {
        double apart = 0, length = 0;
        for (size_t i = 0; i < values.size(); ++i) {
            apart += (values[i] - two[0].values.at(name)[i]) * (values[i] - two[0].values.at(name)[i]);
            length += values[i] * values[i];
        }
        EXPECT_LE(std::sqrt(apart), 1e-5 * std::sqrt(length) + 1e-7) << name;
    }
    TrainingCase apart = c;
    apart.settings.sync_norms = false;
    EXPECT_NE(train_on(2, apart)[0].values, two[0].values);
}

TEST(RankedTraining, norms_over_ranks_want_a_batch_on_each) {
    TrainingCase c;
    c.settings = {.epochs = 1, .sync_norms = true, .limit_batches = 2};
    expect_all_fail(c, 3, {Exit::usage, "", "too few batches"});
}

}  // namespace
}  // namespace fp::testing
