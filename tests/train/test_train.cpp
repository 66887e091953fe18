// A training run in a folder: what it leaves, how it resumes, and what it refuses.
#include "engine/train/train.h"

#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "engine/io/files.h"
#include "engine/run/checkpoint.h"
#include "engine/train/selection.h"
#include "engine/train/train_json.h"
#include "kernels/random.h"
#include "models/models.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;

constexpr const char* kSynth = "synth:n=60,size=16,classes=2,groups=2,seed=3";

struct Small {
    explicit Small(const std::string& spec = kSynth, const TrainingSettings& training = {.epochs = 2})
        : data(open_images(spec, {.image_size = 16})),
          options(fit_options(training, {"group"}, 8, 1, data.set)),
          net(models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.0625},
                            kernels(Backend::cpu))) {}

    TrainResult train(const TrainRun& run) { return fp::train(*net, {.image_size = 16}, data, options, run); }

    ImageData data;
    FitOptions options;
    std::unique_ptr<Network> net;
};

// Everything in a file of metrics but the times, which end each row.
std::vector<std::string> rows_of(const std::filesystem::path& folder) {
    std::vector<std::string> out;
    std::ifstream file(folder / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) out.push_back(line.substr(0, line.find("\"times\"")));
    return out;
}

TEST(Train, a_run_leaves_models_and_a_row_per_epoch) {
    const TemporaryFolder folder;
    Small small;
    const TrainResult result = small.train({.folder = folder / "run"});
    EXPECT_TRUE(result.finished);
    EXPECT_TRUE(std::filesystem::exists(result.best));
    EXPECT_EQ(rows_of(folder / "run").size(), 2u);
    const LoadedModel last = read_checkpoint(folder / "run" / "last.safetensors", models::all(), kernels(Backend::cpu));
    EXPECT_EQ(weights_hash(*last.network), weights_hash(*small.net));
    EXPECT_THAT(last.card.provenance, HasSubstr("synth:n=60"));
}

TEST(Train, stopped_anywhere_it_resumes_to_the_same_bits) {
    const TemporaryFolder folder;
    Small whole;
    whole.train({.folder = folder / "whole"});
    for (const int asked : {1, 3, 5, 6, 8}) {  // some in training, some in a validation
        const std::filesystem::path path = folder / ("stopped-" + std::to_string(asked));
        Small first;
        int times = 0;
        const TrainResult stopped =
            first.train({.folder = path, .observer = {.stop = [&] { return ++times >= asked; }}});
        EXPECT_FALSE(stopped.finished) << asked;
        Small second;
        std::string said;
        EXPECT_TRUE(second
                        .train({.folder = path,
                                .if_run_is_there = IfRunIsThere::resume,
                                .observer = {.say = [&](const std::string& s) { said += s; }}})
                        .finished);
        EXPECT_THAT(said, HasSubstr("resuming after step"));
        EXPECT_EQ(weights_hash(*second.net), weights_hash(*whole.net)) << asked;
        EXPECT_EQ(rows_of(path), rows_of(folder / "whole")) << asked;
    }
}

TEST(Train, another_setting_or_other_groups_are_refused) {
    const TemporaryFolder folder;
    const TrainRun first{.folder = folder / "run", .caller = {.settings = {{"--lr", "0.05"}}}};
    Small().train(first);
    TrainRun again = first;
    again.if_run_is_there = IfRunIsThere::resume;
    EXPECT_TRUE(Small().train(again).finished);
    again.caller.settings[0].value = "0.1";
    expect_error(
        Exit::model, [&] { Small().train(again); }, "--resume: --lr was 0.05, is 0.1");
    again.caller.settings[0].value = "0.05";
    Small other;
    for (Sample& s : other.data.set.samples) s.attributes = {"g0", s.attributes[1]};
    Cells& first_sample = other.data.set.samples[0].attributes;
    first_sample = {"g1", first_sample[1]};
    expect_error(
        Exit::model, [&] { other.train(again); }, "the groups of group");
}

// Without settings of its caller a run is known by what the library itself can name.
TEST(Train, the_library_compares_the_settings_that_it_knows) {
    const TemporaryFolder folder;
    Small().train({.folder = folder / "run"});
    const TrainRun again{.folder = folder / "run", .if_run_is_there = IfRunIsThere::resume};
    EXPECT_TRUE(Small().train(again).finished);
    TrainingSettings other{.epochs = 2};
    other.optimizer.weight_decay = 0.5;
    expect_error(
        Exit::model, [&] { Small(kSynth, other).train(again); }, "weight_decay was 0.0001, is 0.5");
    Small seeded;
    seeded.options.seed = 7;
    expect_error(
        Exit::model, [&] { seeded.train(again); }, "seed was 1, is 7");
}

TEST(Train, a_run_whose_best_model_is_damaged_is_not_called_finished) {
    const TemporaryFolder folder;
    Small().train({.folder = folder / "run"});
    const TrainRun again{.folder = folder / "run", .if_run_is_there = IfRunIsThere::resume};
    const std::filesystem::path best = folder / "run" / "best.safetensors";
    const std::string whole = read_file(best, 1 << 24);
    std::filesystem::remove(best);  // it may be a link
    for (const size_t at : {size_t(100), whole.size() - 100}) {
        std::string damaged = whole;
        damaged[at] = char(damaged[at] ^ 0x10);
        write_file(best, damaged);
        expect_error(
            Exit::model, [&] { Small().train(again); }, "best.safetensors");
    }
    write_file(best, whole);
    EXPECT_TRUE(Small().train(again).finished);
}

TEST(Train, metrics_that_select_are_named) {
    const std::string words = selection_words();
    for (const char* word : {"loss, accuracy, balanced_accuracy", "macro_auc", "ece", "GAP:ATTRIBUTE"})
        EXPECT_THAT(words, HasSubstr(word));
    const Small small;
    for (const char* known : {"worst:group", "worst:macro_auc:group", "worst:ece:group", "minimax:group", "eopp1:group",
                              "operating:class01:group", "operating:class01@0.9:group"})
        check_selection(known, {"group"}, small.data);
    const std::pair<const char*, const char*> wrong[] = {{"worst:auc:group", "no metric is called auc"},
                                                         {"worst:accuracy:age", "age is no --attribute"},
                                                         {"operating:group", "operating:CLASS:ATTRIBUTE is wanted"},
                                                         {"operating:x:group", "no class x; there are"},
                                                         {"operating:class01@2:group", "2 is no specificity"},
                                                         {"f2:group", "no gap is called f2"}};
    for (const auto& [select, words_of_error] : wrong)
        expect_error(
            Exit::usage, [&] { check_selection(select, {"group"}, small.data); }, words_of_error);
    expect_error(
        Exit::usage, [&] { check_selection("rms:age", {"group"}, small.data, "--objective"); },
        "--objective rms:age: age");
    expect_error(
        Exit::usage, [&] { check_selection("f1", {}, small.data); }, "--select f1 is unknown", "macro_f1");
}

TEST(Train, images_that_cannot_be_read_are_listed) {
    const TemporaryFolder folder;
    Small small(kSynth, {.epochs = 1, .skip_bad = true});
    const ImageSource read = small.data.source;
    const int64_t bad = members(small.data.set, Split::train)[3];
    small.data.source = [&, read](int64_t sample, const View& view, int side, uint8_t* rgb) {
        if (sample == bad) {
            small.data.unreadable->add(sample, "x.png: is no image");
            fail_with(Exit::data, "x.png: is no image");
        }
        read(sample, view, side, rgb);
    };
    const TrainResult result = small.train({.folder = folder / "run"});
    EXPECT_THAT(result.document, HasSubstr("\"first\": \"x.png: is no image\""));
    EXPECT_THAT(read_file(folder / "run" / "bad_images.csv", 1000), HasSubstr("x.png: is no image"));
    EXPECT_THAT(skipped_text(small.data), HasSubstr("1 image was skipped"));
    Small resumed(kSynth, {.epochs = 1, .skip_bad = true});  // it is done, and reads no image
    EXPECT_EQ(resumed.train({.folder = folder / "run", .if_run_is_there = IfRunIsThere::resume}).document,
              result.document);
}

// Of the batches of 8 whole ones are left out: the first, one that ends a step, the last.
TEST(Train, a_batch_without_an_image_that_can_be_read_is_left_out) {
    const TemporaryFolder folder;
    const TrainingSettings training{.epochs = 1, .accumulate = 2, .skip_bad = true};
    for (const std::vector<int>& bad : {std::vector<int>{0}, {1}, {3}, {0, 1, 2}}) {
        Small small(kSynth, training);
        const ImageSource read = small.data.source;
        const std::vector<int64_t> order =
            epoch_order(*small.options.settings.sampler, std::vector<int>(36), {}, key_of(small.options.seed, 1), 0);
        const std::vector<int64_t> train = members(small.data.set, Split::train);
        ASSERT_EQ(train.size(), order.size());
        std::set<int64_t> unreadable;
        for (const int batch : bad)
            for (int i = 0; i < 8; ++i) unreadable.insert(train[size_t(order[size_t(8 * batch + i)])]);
        small.data.source = [&](int64_t sample, const View& view, int side, uint8_t* rgb) {
            if (unreadable.contains(sample)) {
                small.data.unreadable->add(sample, "x.png: is no image");
                fail_with(Exit::data, "x.png: is no image");
            }
            read(sample, view, side, rgb);
        };
        const std::filesystem::path run = folder / text("run-", bad[0], "-", bad.size());
        EXPECT_TRUE(small.train({.folder = run}).finished);
        EXPECT_THAT(rows_of(run).at(0), HasSubstr(text("\"samples\":", 8 * (4 - int(bad.size())))));
        const std::string listed = read_file(run / "bad_images.csv", 10000);
        EXPECT_EQ(std::ranges::count(listed, '\n'), 1 + 8 * int64_t(bad.size()));
    }
}

TEST(Train, no_image_at_all_is_an_error_of_the_data) {
    const TemporaryFolder folder;
    Small small(kSynth, {.epochs = 1, .skip_bad = true});
    small.data.source = [](int64_t, const View&, int, uint8_t*) { fail_with(Exit::data, "x.png: is no image"); };
    expect_error(
        Exit::data, [&] { small.train({.folder = folder / "run"}); }, "can be read");
}

TEST(Train, a_position_is_the_same_after_a_checkpoint) {
    FitPosition p{.epoch = 3,
                  .batch = 7,
                  .sums = {.loss = 0.1 + 0.2, .penalty = 1e-300, .samples = 9, .correct = 4},
                  .best = 0.75,
                  .best_epoch = 2,
                  .plateau = {.best = 0.75, .waited = 1, .drops = 2}};
    for (const bool started : {true, false}) {
        if (!started) p.best = p.plateau.best = -std::numeric_limits<double>::infinity();
        const FitPosition q = parse_fit_position(to_text(p));
        EXPECT_EQ(to_text(q), to_text(p));
        EXPECT_EQ(q.best, p.best);
        EXPECT_EQ(q.plateau.best, p.plateau.best);
        EXPECT_EQ(q.sums.loss, p.sums.loss);
    }
}

}  // namespace
}  // namespace fp
