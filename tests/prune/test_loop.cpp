// The prune-and-tune loop: what it keeps between saves, that a stop changes no bit, and what a resume refuses.
#include "engine/prune/loop.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/prune/prune_json.h"
#include "models/models.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using ::testing::Contains;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

Summary summary() {
    AttributeReport sex;
    sex.name = "sex";
    sex.groups.resize(2);
    sex.groups[0].name = "female";
    sex.groups[0].samples = 5;
    sex.groups[0].metrics = {{.key = "accuracy", .value = 0.2}};
    sex.groups[1].name = "male";
    sex.groups[1].samples = 7;
    sex.gaps.resize(1);
    sex.gaps[0].key = "eodd_mean";
    sex.gaps[0].value = 0.7;
    return {.samples = 12,
            .loss = 0.1,
            .metrics = {{.key = "accuracy", .value = 1.0 / 3}, {.key = "macro_auc"}},
            .attributes = {sex}};
}

TEST(PruneState, ComesBackFromItsTextWithTheSameBits) {
    PruneState s;
    s.round = 1;
    s.rounds.push_back({.number = 1,
                        .attribute_weights = {{"sex", 1.5}},
                        .removed = {{"layer1.0.conv1", {0, 3}}},
                        .channels = 2,
                        .parameters = 100,
                        .macs = 1e9 / 3,
                        .cut = summary(),
                        .recalibrated = summary(),
                        .val = summary(),
                        .objective = {.by = "rms:sex", .value = std::nan("")},
                        .within_max_drop = true});
    s.begun = Round{.number = 2, .cut = summary()};
    s.position.epoch = 3;
    s.masked = {{"conv1", {1}}};
    const PruneState back = parse_prune_state(to_text(s));
    EXPECT_EQ(to_text(back), to_text(s));
    ASSERT_EQ(back.rounds.size(), 1u);
    EXPECT_EQ(back.rounds[0].macs, 1e9 / 3);
    EXPECT_EQ(back.rounds[0].val.metric("accuracy"), 1.0 / 3);
    EXPECT_TRUE(std::isnan(back.rounds[0].val.metric("macro_auc")));
    EXPECT_TRUE(std::isnan(back.rounds[0].objective.value));
    EXPECT_EQ(back.rounds[0].cut.attributes[0].groups[1].samples, 7);
    EXPECT_TRUE(back.begun && back.begun->number == 2 && !back.begun->recalibrated);
    EXPECT_EQ(back.position.epoch, 3);
}

TEST(PruneSettings, EveryPartOfThemIsNamed) {
    const PruneSettings plain;
    PruneSettings other = plain;
    other.tune.epochs = 7;
    other.tune.optimizer.weight_decay = 0.5;
    other.max_drop = 0.25;
    const std::string said = difference(settings_by_name(plain), settings_by_name(other));
    EXPECT_THAT(said, HasSubstr("max_drop was 0.05, is 0.25"));
    EXPECT_THAT(said, HasSubstr("2 more"));
}

TEST(Observer, ALabelStandsInFrontOfEverything) {
    std::vector<std::string> said;
    const Observer plain{.say = [&](const std::string& s) { said.push_back(s); },
                         .progress = [&](const ProgressState& p) { said.push_back(p.what); }};
    const Observer own = labelled(plain, "l1 5%: ");
    own.tell("a line");
    own.update({.what = "round 1"});
    EXPECT_THAT(said, ::testing::ElementsAre("l1 5%: a line", "l1 5%: round 1"));
    EXPECT_FALSE(own.stopped());
}

// A thin network on generated images.
struct Loop : ::testing::Test {
    ImageData data = open_images("synth:n=80,size=16,classes=2,groups=2,bias=0.9,seed=1", {.image_size = 16});
    LoadedModel dense{.network = models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.0625},
                                               *find_kernels(Backend::cpu)),
                      .card = {.preprocessing = {.image_size = 16}, .classes = data.set.classes}};
    PruneSettings settings{.attributes = {"group"},
                           .score = {.criterion = "l1", .layers = "all"},
                           .choose = {.amount = "10%"},
                           .iterations = 2,
                           .max_drop = 1,
                           .tune = {.epochs = 1},
                           .batch_size = 16};
    TemporaryFolder folder;

    Loop() { dense.network->initialize(1); }

    std::optional<PruneResult> run(const char* name, bool resume, const Observer& o = {}) {
        RunFolder own(folder.path() / name, resume ? IfRunIsThere::resume : IfRunIsThere::refuse);
        return prune(Baseline(dense, data, settings), settings, own, {.resume = resume, .observer = o});
    }
};

struct StoppedLoop : Loop, ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Criteria, StoppedLoop, ::testing::Values("l1", "masks+epochs=1+snnl=1+sampler=class-group"));

TEST_P(StoppedLoop, AStopAnywhereChangesNoBit) {
    settings = with_criterion(settings, GetParam());
    const auto whole = run("whole", false);
    ASSERT_TRUE(whole);
    ASSERT_EQ(whole->rounds.size(), 2u);
    EXPECT_LT(whole->rounds[1].parameters, whole->rounds[0].parameters);
    bool resume = false;
    std::optional<PruneResult> result;
    for (int stops = 1; !result && stops < 60; ++stops) {
        int asked = 0;
        result = run("stopped", resume, {.stop = [&] { return ++asked == stops; }});
        resume = true;
    }
    ASSERT_TRUE(result);
    EXPECT_EQ(weights_hash(*result->best.network), weights_hash(*whole->best.network));
    EXPECT_EQ(result->rounds[1].val.metric("accuracy"), whole->rounds[1].val.metric("accuracy"));
    const auto rows_of = [&](const char* name) {
        auto rows = read_rows(folder / name / "metrics.jsonl");
        for (auto& row : rows) row.erase("times");
        return rows;
    };
    EXPECT_EQ(rows_of("stopped"), rows_of("whole"));
}

TEST_F(Loop, AResumeWithAnotherSettingIsRefusedAndLeavesTheRecord) {
    data.set.split_seed = 7;  // as if it had been drawn
    bool judged = false;      // once
    const Observer stopping{.say = [&](const std::string& line) { judged |= line.starts_with("round 1: validation"); },
                            .stop = [&] { return judged; }};
    EXPECT_FALSE(run("a", false, stopping));
    const auto split = [&] { return read_file(folder / "a" / "split.csv", 1 << 20); };
    const std::string recorded = split();
    settings.tune.schedule.lr = 0.5;
    data.set.samples[0].attributes[0] = "another";
    expect_error(
        Exit::model, [&] { run("a", true); }, "tune.lr was 0.05, is 0.5");
    EXPECT_EQ(split(), recorded);
}

TEST_F(Loop, MaskedFiltersAreZeroInAveragedWeightsToo) {
    settings.mask = true;
    settings.iterations = 1;
    settings.tune.ema = 0.5;
    const auto result = run("a", false);
    ASSERT_TRUE(result);
    const ParamStore& params = result->best.network->params;
    for (const auto& [layer, channels] : result->rounds[0].removed) {
        const Param& filters = *params.find(layer + ".weight");
        const std::vector<double> w = params.get(filters);
        const int64_t row = filters.count() / filters.shape.k;
        for (const int c : channels)
            EXPECT_EQ(std::count(w.begin() + c * row, w.begin() + (c + 1) * row, 0.0), row) << layer << " " << c;
    }
}

TEST_F(Loop, SettingsOfFineTuningAreCheckedBeforeARun) {
    const auto refused = [&](const TrainingSettings& tune, const char* words) {
        settings.tune = tune;
        expect_error(
            Exit::usage, [&] { check(settings, Baseline(dense, data, settings)); }, words);
    };
    refused({.select = "f1"}, "--select f1");
    refused({.augment = "sideways"}, "sideways");
    refused({.class_weights = "even"}, "--class-weights");
    refused({.snnl = {.weight = 1, .layers = "layer9"}}, "layer9");
}

TEST_F(Loop, WhatItSaysGoesToTheObserverAlone) {
    std::vector<std::string> said;
    ::testing::internal::CaptureStderr();
    run("a", false, {.say = [&](const std::string& line) { said.push_back(line); }});
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
    EXPECT_THAT(said, Contains(HasSubstr("round 2: validation balanced accuracy")));
}

TEST(Objective, AnRmsIsTheRootOfItsSquareOrSmallerThanNoise) {
    EXPECT_EQ(to_text(Objective{.by = "rms:sex", .value = -0.0097}), "rms:sex 0.0985");
    EXPECT_EQ(to_text(Objective{.by = "rms:sex", .value = 0.0001}), "rms:sex smaller than noise: 0");
    EXPECT_EQ(to_text(Objective{.by = "balanced_accuracy", .value = 0.25}), "balanced_accuracy 0.2500");
}

}  // namespace
}  // namespace fp
