// Arms that a result is compared with: a retrained last layer on fixed features, and placebo groups.
#include <gmock/gmock.h>

#include "engine/data/split.h"
#include "engine/io/files.h"
#include "engine/prune/loop.h"
#include "engine/prune/prune_json.h"
#include "engine/prune/score.h"
#include "engine/prune/sweep_plan.h"
#include "models/models.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;

struct Arms : ::testing::Test {
    ImageData data = open_images("synth:n=160,size=16,classes=2,groups=2,bias=0.9,seed=1", {.image_size = 16});
    LoadedModel dense{.network = models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.0625},
                                               *find_kernels(Backend::cpu)),
                      .card = {.preprocessing = {.image_size = 16}, .classes = data.set.classes}};
    PruneSettings settings{.attributes = {"group"},
                           .score = {.criterion = "none"},
                           .max_drop = 1,
                           .finetune = "head",
                           .fixed_features = true,
                           .tune = {.epochs = 2, .schedule = {.lr = 0.1}, .sampler = Sampling::class_group_balanced},
                           .batch_size = 16};
    TemporaryFolder folder;

    Arms() { dense.network->initialize(1); }

    std::map<std::string, std::vector<double>> tuned(const char* name) {
        const PruneResult r = prune(dense, data, settings, folder / name);
        EXPECT_EQ(r.best.network->batches_seen, dense.network->batches_seen);
        return values(*r.best.network);
    }
    static std::map<std::string, std::vector<double>> values(const Network& net) {
        std::map<std::string, std::vector<double>> out;
        for (const Param& p : net.params.all()) out[p.name] = net.params.get(p);
        return out;
    }
};

TEST_F(Arms, fixed_features_keep_every_bit_below_the_head) {
    auto before = values(*dense.network), after = tuned("fixed");
    EXPECT_NE(before["fc.weight"], after["fc.weight"]);
    for (const char* name : {"fc.weight", "fc.bias"}) before.erase(name), after.erase(name);
    EXPECT_EQ(before, after);  // running statistics among them
    settings.fixed_features = false;
    const PruneResult moved = prune(dense, data, settings, folder / "moved");
    EXPECT_NE(values(*moved.best.network)["bn1.running_mean"], before["bn1.running_mean"]);
}

TEST_F(Arms, a_model_of_unknown_training_stays_one) {
    settings.tune.epochs = 0;
    const PruneResult unknown = prune(dense, data, settings, folder / "unknown");
    ASSERT_TRUE(unknown.best.card.seen);
    EXPECT_TRUE(unknown.best.card.seen->earlier_unknown);
    EXPECT_EQ(unknown.best.card.seen->train.size(), members(data.set, Split::train).size());
    dense.card.seen = seen_images(data.set, std::nullopt);
    EXPECT_FALSE(prune(dense, data, settings, folder / "known").best.card.seen->earlier_unknown);
    dense.card.seen->earlier_unknown = true;  // pruned again
    EXPECT_TRUE(prune(dense, data, settings, folder / "again").best.card.seen->earlier_unknown);
}

TEST_F(Arms, a_fresh_head_starts_from_its_seed_and_not_from_the_model) {
    settings.tune.schedule.lr = 0;
    EXPECT_EQ(tuned("kept")["fc.weight"], values(*dense.network)["fc.weight"]);
    settings.fresh_head = true;
    const auto a = tuned("a")["fc.weight"], b = tuned("b")["fc.weight"];
    EXPECT_EQ(a, b);
    EXPECT_NE(a, values(*dense.network)["fc.weight"]);
    settings.seed = 9;
    EXPECT_NE(tuned("c")["fc.weight"], a);
}

TEST_F(Arms, l1_makes_weights_of_the_head_zero) {
    const auto zeros = [&](const char* name) {
        const auto w = tuned(name)["fc.weight"];
        return std::count(w.begin(), w.end(), 0.0);
    };
    EXPECT_EQ(zeros("without"), 0);
    settings.l1 = 10;
    EXPECT_GT(zeros("with"), 10);  // of 64
    settings.finetune = "all";
    settings.fixed_features = false;
    expect_error(
        Exit::usage, [&] { prune(dense, data, settings, folder / "all"); }, "are for --finetune head");
}

TEST_F(Arms, half_of_the_validation_lesions_become_train) {
    const auto train = members(data.set, Split::train), val = members(data.set, Split::val);
    train_on_half_of_validation(data.set, 3);
    const auto half = members(data.set, Split::train), rest = members(data.set, Split::val);
    EXPECT_EQ(half.size() + rest.size(), val.size());
    EXPECT_NEAR(double(half.size()), double(val.size()) / 2, 1.5);
    for (const int64_t i : half) EXPECT_TRUE(std::ranges::binary_search(val, i));
    for (const int64_t i : train) EXPECT_EQ(split_name(data.set.samples[size_t(i)]), kFirstStage);
    EXPECT_THAT(data.set.notes.back(), HasSubstr("training on 16 images of val"));
    tuned("half");
}

TEST_F(Arms, a_placebo_says_so_everywhere_and_scores_by_other_groups) {
    settings.finetune = "all";
    settings.fixed_features = false;
    settings.score = {.criterion = "snnl", .layers = "all"};
    settings.choose = {.amount = "10%"};
    settings.tune.epochs = 1;
    const Baseline base(dense, data, settings);
    std::string said;
    const PruneStart start{.observer = {.say = [&](const std::string& line) { said += line + "\n"; }}};
    const auto run = [&](const PruneSettings& p, const char* name) {
        said.clear();
        const Baseline baseline(dense, data, p);
        check(p, baseline);
        RunFolder of_run(folder / name, IfRunIsThere::refuse);
        const auto result = prune(baseline, p, of_run, start);
        return std::pair{read_file(folder / name / "scores.json", 1 << 20), result->best.card.provenance};
    };
    const auto truth = run(settings, "true");
    EXPECT_THAT(said, Not(HasSubstr("placebo")));
    EXPECT_THAT(truth.first, Not(HasSubstr("placebo")));
    PruneSettings placebo = settings;
    placebo.tune.placebo = 7;
    const auto permuted = run(placebo, "placebo");
    EXPECT_THAT(said, HasSubstr("placebo (seed 7): scores, sampler saw groups permuted among lesions within class"));
    EXPECT_THAT(said, HasSubstr("keep theirs: group "));
    EXPECT_THAT(permuted.first, HasSubstr("\"placebo\": 7"));
    EXPECT_THAT(permuted.second, HasSubstr("\"placebo\""));
    EXPECT_NE(permuted.first, truth.first);

    // Scores of the one do not serve the other.
    const auto from = [&](const char* file, const PruneSettings& p) {
        check_settings(scores_in(folder / file / "scores.json", base.hash), score_options(p, {{"group", 1}}));
    };
    from("true", settings);
    from("placebo", placebo);
    expect_error(
        Exit::model, [&] { from("placebo", settings); }, "placebo was 7, is not set");
    expect_error(
        Exit::model, [&] { from("true", placebo); }, "placebo was not set, is 7");
}

TEST_F(Arms, the_word_placebo_is_for_scores_alone) {
    settings.score.criterion = "snnl";
    PruneSettings p = with_criterion(settings, "snnl+placebo");
    p.seed = 4;
    EXPECT_EQ(score_options(p, {}).placebo, 4u);
    EXPECT_EQ(score_options(p, {}, 2).placebo, 4u);  // the same in every round
    EXPECT_FALSE(score_options(settings, {}).placebo);
    EXPECT_FALSE(fit_options(p.tune, p.attributes, 16, 1, data.set).settings.placebo);
    ASSERT_TRUE(placebo_note(p));
    EXPECT_THAT(placebo_note(p)->seen_by, ::testing::ElementsAre("scores"));
    EXPECT_NE(scores_key(p), scores_key(settings));
    p.learn_weights = 1;
    const Baseline base(dense, data, p);
    expect_error(
        Exit::usage, [&] { check(p, base); }, "--learn-weights");
    PruneSettings deaf = settings;
    deaf.tune.placebo = 7;
    deaf.tune.sampler = Sampling::shuffled;
    expect_error(
        Exit::usage, [&] { sweep_points({.base = deaf, .criterion = "l1"}); }, "nothing in this run reads groups");
    EXPECT_EQ(sweep_points({.base = deaf, .criterion = "l1,snnl", .sweep = true}).size(), 2u);
    expect_error(
        Exit::usage, [&] { check(with_criterion(settings, "l1+placebo"), base); }, "l1+placebo: its scores read no");
}

// --batches 0 is all at once whatever the definition; without it the released one has the paper's blocks of 128.
TEST_F(Arms, blocks_are_those_that_are_asked_for) {
    using Definition = SnnlShape::Definition;
    EXPECT_EQ(block_of({}), 0);
    EXPECT_EQ(block_of({.snnl = {.definition = Definition::as_released}}), 128);
    EXPECT_EQ(block_of({.snnl = {.definition = Definition::as_released}, .batches = 0}), 0);
    EXPECT_EQ(block_of({.batches = 20}), 20);
    settings.score = {.criterion = "snnl", .snnl = {.definition = Definition::as_released}, .batches = 0};
    Session session(*dense.network);
    const Trace rows = trace(*dense.network, 16);
    ScoreOptions options = score_options(settings, {{"group", 1}});
    const auto blocks = [&] {
        return score_channels(session, {.image_size = 16}, data, rows.nodes, options).layers.at(0).blocks;
    };
    EXPECT_EQ(blocks(), 1);
    options.batches = 32;
    EXPECT_EQ(blocks(), 3);  // of 96 images
}

}  // namespace
}  // namespace fp
